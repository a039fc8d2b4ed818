// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "gregale/context.hpp"

/// The inner loops of the entropy coder. Symbols stand in vectors of 16 lanes, some of which may be empty; lane l of
/// vector n belongs to state (n % 2 * 16 + l) % states, and states that run low take words in the order of their lanes.
/// So a loop over lanes and one over vectors read the same stream.
namespace gregale::codec {

inline constexpr int kRansBits = 11;  ///< frequencies of a context add up to 2048
inline constexpr int64_t kRansLanes = 16;
inline constexpr uint32_t kRansStates = 32;    ///< of a long stream: two vectors
inline constexpr uint32_t kRansFewStates = 4;  ///< of a short one
inline constexpr size_t kRansSlack = 64;       ///< bytes that can be read behind the last word

/// Where a decoder stands.
struct RansSource {
  const uint32_t* slots = nullptr;  ///< a context's 2048: symbol, place in it << 8, frequency - 1 << 20
  const std::byte* words = nullptr;
  size_t at = 0, end = 0;  ///< bytes; beyond `end` is kRansSlack of anything, and `at` stays within 32 of `end`
  alignas(64) std::array<uint32_t, kRansStates> states{};
  uint32_t state_count = kRansStates;
  uint32_t turn = 0;  ///< vectors so far, modulo 2
};

/// What an encoder goes through, last vector first.
struct RansVectors {
  const uint8_t* symbols = nullptr;
  const uint8_t* keys = nullptr;    ///< all of a vector have the same upper four bits
  const uint16_t* masks = nullptr;  ///< a bit for every lane that is there
  int64_t count = 0;
};

struct RansTable {
  /// The symbols of `count` lanes, of those with valid[i] != 0 where `valid` is not null; others are 0. The context of
  /// a lane is contexts[keys[i] % 16]. All may be read and written up to the next multiple of 16.
  void (*decode)(RansSource& source, const uint8_t* contexts, const uint8_t* keys, const uint8_t* valid, int64_t count,
                 uint8_t* symbols);
  /// Appends the words to `words`, the last that is read first, and says how many there are: at most one a symbol, and
  /// 16 may be written beyond. `entries`: of context c and symbol s at c * 128 + s, frequency and start << 12.
  /// `contexts`: of all keys.
  size_t (*encode)(const uint32_t* entries, const uint8_t* contexts, const RansVectors& vectors, uint32_t* states,
                   uint32_t state_count, uint16_t* words);
};

const RansTable& rans_table(Isa isa);

}  // namespace gregale::codec
