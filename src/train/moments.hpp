// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gregale/graph.hpp"

namespace gregale::train {

/// Adam's moments under an error contract. An update moves a weight by m / sqrt(v), scaled, so that is what the
/// contract is about: with bound b, at every single element
///
///     |m' - m| <= b sqrt(v)   and   |sqrt(v') - sqrt(v)| <= b sqrt(v),
///
/// whatever decades v spans; zeros stay zeros, and v' is never negative. Of v, log sqrt(v) is compressed with an
/// absolute bound, which is a relative one of sqrt(v); of m, m / sqrt(v') is. Both go through encode() (gregale/
/// codec.hpp).
struct MomentsCertificate {
  double bound = 0;
  int64_t tensors = 0;                       ///< moments of either kind
  int64_t exact = 0;                         ///< of them, kept exactly: where it is smaller, or the bound cannot be met
  int64_t bytes_in = 0, bytes_out = 0;       ///< of all moments
  double first_error = 0, second_error = 0;  ///< greatest |m' - m| and |sqrt(v') - sqrt(v)|, over sqrt(v)
};

/// Replaces "adam/m/NAME" and "adam/v/NAME" (f32) by streams "packed/adam/m/NAME" and "packed/adam/v/NAME" (u8).
/// Nothing else changes. `bound`: from kLeastMoments to
/// kMostMoments; ErrorCode::invalid_argument otherwise.
MomentsCertificate pack_moments(VariableValues& state, double bound);

/// The inverse, of states that were packed and of others. Throws ErrorCode::corrupt_data for streams that cannot have
/// been written, or are not of the shape of the parameter NAME.
void unpack_moments(VariableValues& state);

}  // namespace gregale::train
