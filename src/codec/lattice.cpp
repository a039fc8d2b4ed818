// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/lattice.hpp"

namespace gregale::codec {

Lattice::Lattice(const BlockExtents& e, std::vector<int> passes) : extents(e), order(std::move(passes)) {
  for (size_t d = 0; d < 4; ++d) dense[d] = std::find(order.begin(), order.end(), static_cast<int>(d)) == order.end();
}

int Lattice::levels() const {
  int levels = 0;
  for (const int d : order)
    while ((int64_t{1} << levels) < extents[static_cast<size_t>(d)]) ++levels;
  return levels;
}

BlockExtents Lattice::extents_at(int level) const {
  BlockExtents e = extents;
  for (size_t d = 0; d < 4; ++d)
    if (!dense[d]) e[d] = ((e[d] - 1) >> level) + 1;
  return e;
}

std::vector<Pass> Lattice::passes() const {
  const bool plane = std::count_if(extents.begin(), extents.end(), [](int64_t n) { return n > 1; }) <= 2;
  std::vector<Pass> all;
  for (int level = levels() - 1; level >= 0; --level) {
    const BlockExtents n = extents_at(level);
    std::array<bool, 4> done = dense;
    for (size_t p = 0; p < order.size(); ++p) {
      const auto d = static_cast<size_t>(order[p]);
      if (n[d] > 1) {
        Pass pass{order[p], level, static_cast<int>(p), {}, {}, {}};
        for (size_t j = 0; j < 4; ++j) pass.step[j] = done[j] ? 1 : 2;
        pass.start[d] = 1;
        std::array<int64_t, 4> at{};
        for (const int64_t along : {-1, 1, -3, 3}) {
          at[d] = along;
          pass.taps.push_back({at, static_cast<uint8_t>(along == 1 || along == -1 ? 3 : 0), false});
        }
        for (size_t e = 4; e-- > 0;) {
          if (e == d || n[e] <= pass.step[e]) continue;
          for (const int64_t along : {-1, 1})
            for (const int64_t aside : {-pass.step[e], pass.step[e]}) {
              at = {};
              at[d] = along;
              at[e] = aside;
              pass.taps.push_back({at, static_cast<uint8_t>(plane ? 1 : 0), false});
            }
          if (e == 3) continue;  // within a row nothing waits for anything
          at = {};
          at[e] = -pass.step[e];
          pass.taps.push_back({at, 4, true});
        }
        all.push_back(std::move(pass));
      }
      done[d] = true;
    }
  }
  return all;
}

}  // namespace gregale::codec
