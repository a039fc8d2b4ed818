// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "codec/block_codec.hpp"

/// The order in which the multi-level predictor visits a block, and where it may look.
///
/// Points whose coordinates are multiples of a stride 2^level are known; the next level halves the stride, one
/// dimension after another: the pass over dimension d predicts the points whose coordinate d is an odd multiple of the
/// new stride from their neighbours on both sides along d, from the neighbours of these, and from rows of the same pass
/// that came before. A dimension that is *dense* takes no part in this: it is always there as a whole, and only looked
/// back along. Coordinates here are those of the level: multiples of its stride, counted.
namespace gregale::codec {

/// A place beside a point.
struct Tap {
  std::array<int64_t, 4> offset{};
  uint8_t weight = 0;   ///< of the residual there, for the activity around a point
  bool causal = false;  ///< of the same pass, in an earlier row
};

struct Pass {
  int dimension = 0;
  int level = 0;  ///< 0: the finest
  int place = 0;  ///< in its level
  std::array<int64_t, 4> start{}, step{};
  std::vector<Tap> taps;  ///< the first four along the dimension: -1, 1, -3, 3
};

struct Lattice {
  BlockExtents extents{1, 1, 1, 1};
  std::vector<int> order;  ///< dimensions that are not dense, the first pass of a level first; 3, the rows', comes last
  std::array<bool, 4> dense{};

  Lattice(const BlockExtents& e, std::vector<int> passes);
  int levels() const;
  BlockExtents extents_at(int level) const;
  /// Coarsest level first. Passes without points are left out.
  std::vector<Pass> passes() const;

  /// Elements of the block from one point of the level to the next along a dimension.
  int64_t stride(int level, size_t d) const {
    int64_t stride = dense[d] ? 1 : int64_t{1} << level;
    for (size_t j = d + 1; j < 4; ++j) stride *= extents[j];
    return stride;
  }
  /// Where a tap's component along `j` goes from coordinate c among n: inside, on the other side along the pass's
  /// dimension, nowhere along others.
  static int64_t resolve(const Pass& pass, const Tap& tap, size_t j, int64_t c, int64_t n) {
    const int64_t t = tap.offset[j];
    if (c + t >= 0 && c + t < n) return t;
    if (static_cast<int>(j) != pass.dimension) return 0;
    return t > 1 && c + 1 < n ? 1 : -1;
  }
  /// Whether no row of the pass stands there before: then the neighbour before along the pass's dimension stands in.
  static bool first_row(const Tap& tap, const std::array<int64_t, 4>& c) {
    if (!tap.causal) return false;
    for (size_t j = 0; j < 4; ++j)
      if (c[j] + tap.offset[j] < 0) return true;
    return false;
  }
};

}  // namespace gregale::codec
