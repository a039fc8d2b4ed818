// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "exec/plan.hpp"

namespace gregale {

int64_t place_storages(std::vector<Storage>& storages) {
  constexpr int64_t kAlign = 64;
  std::vector<size_t> order;
  for (size_t i = 0; i < storages.size(); ++i)
    if (storages[i].kind == Storage::Kind::arena) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return storages[a].bytes > storages[b].bytes; });

  std::vector<size_t> placed;  // ordered by offset
  int64_t total = 0;
  for (size_t i : order) {
    Storage& s = storages[i];
    const int64_t bytes = (s.bytes + kAlign - 1) / kAlign * kAlign;
    int64_t offset = 0;
    for (size_t j : placed) {
      const Storage& other = storages[j];
      if (other.last < s.first || s.last < other.first) continue;
      if (other.offset - offset >= bytes) break;  // the gap before it is large enough
      offset = std::max(offset, other.offset + (other.bytes + kAlign - 1) / kAlign * kAlign);
    }
    s.offset = offset;
    total = std::max(total, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return storages[a].offset < storages[b].offset; }),
                  i);
  }
  return total;
}

}  // namespace gregale
