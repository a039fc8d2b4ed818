// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/lattice.hpp"
#include "codec/predict_isa.hpp"

/// The multi-level predictor: points between known ones are predicted by linear combinations of these whose weights are
/// fitted to the block, in integers, and what is left is quantised. SZ3 (Zhao et al., ICDE 2021) interpolates level by
/// level with fixed cubic weights; QoZ (Liu et al., SC 2022) makes coarse levels finer than the bound asks. Here
/// weights are the least squares solution over samples of the block for neighbours that carry the noise of their
/// quantisation, which chooses by itself how much to smooth, and which directions to trust.
namespace gregale::codec {

/// How values become integers: value = offset + integer * unit.
struct Grid {
  double offset = 0, unit = 1;
  int fraction_bits = 4;            ///< the finest level's step is 2^fraction_bits units
  int64_t least = 0, greatest = 0;  ///< predictions are held between them
};

/// What was chosen for a block. `order`: Lattice::order; `weights`: per pass of Lattice::passes().
struct MultilevelPlan {
  std::vector<int> order;
  std::vector<int32_t> steps;  ///< by level, finest first: of the quantisation, in units
  std::vector<std::vector<int32_t>> weights;
};

/// Grid for +-bound around values in [least, greatest]; false where rounding leaves no room, or integers no range.
template <class T>
bool make_grid(double least, double greatest, double bound, Grid& grid);

/// The best of a few orders and of a few ratios between the steps of levels, by samples of the block.
template <class T>
MultilevelPlan plan_multilevel(const BlockInput<T>& in, const Grid& grid);

template <class T>
void encode_multilevel(const BlockInput<T>& in, const Grid& grid, const MultilevelPlan& plan, Isa isa, ByteWriter& out);
template <class T>
void decode_multilevel(ByteReader& in, const BlockOutput<T>& out, const Grid& grid, Isa isa);

}  // namespace gregale::codec
