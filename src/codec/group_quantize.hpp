// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "gregale/context.hpp"

/// Quantisation by groups, as ActNN (Chen et al., ICML 2021) keeps activations and CGX (Markov et al., Middleware 2022)
/// sends gradients: 256 neighbours share a least value and a step, and each is one of 2^bits multiples of the step
/// above it. Sizes are known beforehand: 8 bytes and 32 a bit for each group.
namespace gregale::codec {

inline constexpr int64_t kGroup = 256;
inline constexpr int kMostBits = 8;

struct GroupHeader {
  float least = 0, step = 0;  ///< NaN where a value of the group is no finite number: then all come back as NaN
};

constexpr int64_t group_count(int64_t values) { return (values + kGroup - 1) / kGroup; }
constexpr int64_t group_bytes(int bits) { return static_cast<int64_t>(sizeof(GroupHeader)) + bits * (kGroup / 8); }
constexpr int64_t quantized_bytes(int64_t values, int bits) { return group_count(values) * group_bytes(bits); }

/// How values between two multiples are rounded.
struct Rounding {
  bool stochastic = false;  ///< up with the probability that makes the error zero on average; otherwise to the nearest
  uint64_t key = 0;         ///< of the random numbers, which are functions of it and of a value's index
};

struct GroupTable {
  /// One group of `count` values (at most kGroup) with `bits` (0 to 8) to group_bytes(bits) bytes; `index`: of its
  /// first value, for the random numbers. A least value of zero stays exactly zero, and so do all zeros then.
  void (*encode)(const float* src, int64_t count, int bits, const Rounding& rounding, uint64_t index, std::byte* dst);
  void (*decode)(const std::byte* src, int64_t count, int bits, float* dst);
};

const GroupTable& group_table(Isa isa);

}  // namespace gregale::codec
