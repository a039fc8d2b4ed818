// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gregale/context.hpp"

/// Residuals as symbols, in vectors of 16. Folded (0, -1, 1, -2, ... as 0, 1, 2, 3, ...) they are symbols themselves
/// below kSmall; above, a symbol says how many bits there are and the second highest, and the rest goes beside, as it
/// is.
namespace gregale::codec {

inline constexpr uint64_t kSmall = 24;
inline constexpr size_t kBitsSlack = 64;  ///< bytes that can be read behind the last bit

/// Where a decoder stands in the rest of large residuals.
struct RestBits {
  const std::byte* bytes = nullptr;
  uint64_t at = 0, end = 0;  ///< bits; `at` stays close to `end`
};

/// Where an encoder puts the rest of large residuals: eight bytes and more are free at `at`.
struct RestSink {
  std::byte* at = nullptr;
  uint64_t open = 0, filled = 0;                                    ///< bits that make no byte yet, below eight
  [[gnu::always_inline]] void put(uint64_t bits, uint64_t count) {  ///< at most 56
    open |= bits << filled;
    filled += count;
    std::memcpy(at, &open, sizeof open);
    at += filled / 8;
    open >>= filled & ~uint64_t{7};
    filled &= 7;
  }
};

struct ResidualTable {
  /// symbols[i], and for every 16 the lanes that are there, of those with valid[i] != 0 where `valid` is not null.
  /// Others' residuals become 0.
  void (*fold)(int32_t* residuals, const uint8_t* valid, int64_t count, uint8_t* symbols, uint16_t* there,
               RestSink& rest);
  /// The inverse; takes the bits of large ones in order.
  void (*unfold)(const uint8_t* symbols, int64_t count, RestBits& rest, int32_t* residuals);
};

const ResidualTable& residual_table(Isa isa);

// Inlined for certain: the linker keeps one copy of the others, perhaps one for an instruction set that is not here.
#define GREGALE_INLINE [[gnu::always_inline]] inline

GREGALE_INLINE uint64_t folded(int64_t residual) {
  return (static_cast<uint64_t>(residual) << 1) ^ static_cast<uint64_t>(residual >> 63);
}
GREGALE_INLINE int64_t unfolded(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }

/// The symbol of a large folded residual.
GREGALE_INLINE uint8_t put_large(uint64_t v, RestSink& rest) {
  const auto width = static_cast<uint64_t>(std::bit_width(v));  // at least 5
  const uint64_t count = width - 2;
  rest.put(v & ((uint64_t{1} << count) - 1), count);
  return static_cast<uint8_t>(kSmall + (width - 5) * 2 + (v >> count & 1));
}
/// The folded residual of a large symbol.
GREGALE_INLINE uint64_t take_large(uint32_t symbol, RestBits& rest) {
  const uint64_t count = (symbol - kSmall) / 2 + 3, top = (symbol - kSmall) & 1;  // at most 54 bits
  uint64_t eight;
  std::memcpy(&eight, rest.bytes + rest.at / 8, sizeof eight);
  const uint64_t low = eight >> rest.at % 8 & ((uint64_t{1} << count) - 1);
  rest.at = std::min(rest.at + count, rest.end + 1);
  return (uint64_t{2} | top) << count | low;
}

#undef GREGALE_INLINE

}  // namespace gregale::codec
