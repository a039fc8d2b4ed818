// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace gregale {

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
/// A draw is a pure function of (seed, step, stream, index), so nothing depends on threads, order or restarts.
struct RandomKey {
  uint64_t seed = 0;
  uint32_t step = 0;
  uint32_t stream = 0;  ///< which tensor or which use; names of parameters are hashed to it
};

/// The 128 random bits of block `block`: Philox key (seed low, seed high), counter (block low, block high, step,
/// stream).
std::array<uint32_t, 4> philox(const RandomKey& key, uint64_t block);
/// Element `index` of a stream of uniforms in [0, 1), 24 bits each (lane index % 4 of block index / 4).
float random_uniform(const RandomKey& key, uint64_t index);
/// Element `index` of a stream of standard normals: Box-Muller on the two lanes of its pair.
float random_normal(const RandomKey& key, uint64_t index);
/// A uniform integer in [0, n), by multiplication; bias below n / 2^64. Throws for n = 0.
uint64_t random_below(const RandomKey& key, uint64_t index, uint64_t n);
/// FNV-1a, folded to 32 bits: a name's stream.
uint32_t stream_of(const char* name);

}  // namespace gregale
