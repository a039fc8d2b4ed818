// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "exec/plan.hpp"
#include "gregale/error.hpp"

namespace gregale {
namespace {

int64_t aligned(int64_t bytes) {
  constexpr int64_t kAlign = 64;
  GREGALE_CHECK(bytes <= INT64_MAX - kAlign, out_of_memory, "[compile] an intermediate result of {} bytes", bytes);
  return (bytes + kAlign - 1) / kAlign * kAlign;
}

}  // namespace

int64_t place_storages(std::vector<Storage>& storages) {
  std::vector<size_t> order;
  for (size_t i = 0; i < storages.size(); ++i)
    if (storages[i].kind == Storage::Kind::arena) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return storages[a].bytes > storages[b].bytes; });

  std::vector<size_t> placed;  // ordered by offset
  int64_t total = 0;
  for (size_t i : order) {
    Storage& s = storages[i];
    const int64_t bytes = aligned(s.bytes);
    int64_t offset = 0;
    for (size_t j : placed) {
      const Storage& other = storages[j];
      if (other.last < s.first || s.last < other.first) continue;
      if (other.offset - offset >= bytes) break;  // the gap before it is large enough
      offset = std::max(offset, other.offset + aligned(other.bytes));
    }
    GREGALE_CHECK(bytes <= INT64_MAX - offset, out_of_memory, "[compile] intermediate results of more than 2^63 bytes");
    s.offset = offset;
    total = std::max(total, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return storages[a].offset < storages[b].offset; }),
                  i);
  }
  return total;
}

}  // namespace gregale
