// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

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

/// Adds up the bits of residuals whose expected squares are t steps squared: those of Gaussians, which fall off quickly
/// below t = 0.1. Of eight one logarithm is taken.
class BitSum {
 public:
  void add(double t) {
    product_ *= 1 + 17 * t * t / (t + 0.06);
    if (++count_ % 8 == 0 || product_ > 1e200) flush();
  }
  double get() {
    flush();
    return bits_;
  }

 private:
  void flush() {
    bits_ += 0.5 * std::log2(product_);
    product_ = 1;
  }
  double product_ = 1, bits_ = 0;
  int count_ = 0;
};

/// What a way to code a block is expected to give, summed over points.
struct Estimate {
  double bits = 0, slope = 0;  ///< slope: bits more for steps smaller by a factor of two
  double squares = 0;          ///< errors, in steps of the bound
  double points = 0;
  void add(const Estimate& other) {
    bits += other.bits;
    slope += other.slope;
    squares += other.squares;
    points += other.points;
  }
  /// Bits a value more than those of another way, at its error.
  double above(const Estimate& other) const {
    const double mean = (slope / points + other.slope / other.points) / 2;
    const double smaller = 0.5 * std::log2((squares / points + 1e-12) / (other.squares / other.points + 1e-12));
    return bits / points - other.bits / other.points + mean * smaller;
  }
};

/// What was chosen for a block. `order`: Lattice::order; `weights`: per pass of Lattice::passes().
struct MultilevelPlan {
  std::vector<int> order;
  std::vector<int32_t> steps;  ///< by level, finest first: of the quantisation, in units
  std::vector<std::vector<int32_t>> weights;
  Estimate estimate;
};

/// Whether integers of 32 bits hold all sums of weights and values.
bool is_narrow(const Grid& grid);

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
