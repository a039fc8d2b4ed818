// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cache_lines.hpp"

/// How extents are cut into blocks.
namespace gregale::tile {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t x, int64_t to) { return ceil_div(x, to) * to; }

/// The size of the fewest blocks of at most `most` (a multiple of `unit`, or one unit) that cover `extent`: as equal as
/// multiples of `unit` allow. At least 1, so that an empty extent can be stepped through.
constexpr int64_t balanced_block(int64_t extent, int64_t most, int64_t unit) {
  most = std::max(unit, most / unit * unit);
  if (extent <= most) return std::max<int64_t>(1, extent);
  return round_up(ceil_div(extent, ceil_div(extent, most)), unit);
}

using kernels::has_odd_lines;
using kernels::odd_lines;

/// Of `extent` cut into blocks of `block`: the size of the whole blocks (tail = 0) or of what is left; 0 where there is
/// none.
constexpr int64_t piece_size(int64_t extent, int64_t block, int tail) {
  if (tail != 0) return extent % block;
  return extent >= block ? block : 0;
}

}  // namespace gregale::tile
