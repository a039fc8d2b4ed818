// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "gregale/context.hpp"

/// The simple kernels: portable C++ over vectors, compiled once per instruction set. What holds for all of them:
/// - Pointers are dense row-major arrays unless strides are given; strides count elements, not bytes.
/// - Any extent may be 0. Ranks go up to kMaxRank.
/// - They allocate nothing and throw nothing; scratch comes from the caller, 64-byte aligned, as many bytes as the
///   matching *_scratch_bytes function says (0 bytes: null is fine).
/// - Bits depend on the instruction set and on the reduction length alone: not on threads, rows or batch splits.
/// - `Isa::reference` runs the generic build, `Isa::amx` the AVX-512 one.
/// - Sources and destinations must not overlap, unless "in place" is said to be fine.
namespace gregale::kernels {

inline constexpr int kMaxRank = 8;

/// What one task should at least do, in elements touched, to be worth handing to another thread.
inline constexpr int64_t kElementGrain = 1 << 15;

/// Rounds up to a multiple of 64 bytes.
constexpr int64_t align_bytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace gregale::kernels
