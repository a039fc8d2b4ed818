// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// From f32 to bf16, rounded or in parts: results stand in the upper halves of words.
#include "kernels/layout/tile_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
using Mask = __mmask16;
GREGALE_INLINE Mask greater_w(W a, W b) { return _mm512_cmpgt_epi32_mask(a, b); }
GREGALE_INLINE W choose_w(Mask mask, W yes, W no) { return _mm512_mask_mov_epi32(no, mask, yes); }
GREGALE_INLINE W keep_w(Mask mask, W v) { return _mm512_maskz_mov_epi32(mask, v); }
GREGALE_INLINE Mask is_nan(W x) { return _mm512_cmp_ps_mask(bits<F>(x), bits<F>(x), _CMP_UNORD_Q); }
GREGALE_INLINE W max_w(W a, W b) { return _mm512_maskz_max_epu32(0xffff, a, b); }
GREGALE_INLINE W min_w(W a, W b) { return _mm512_maskz_min_epu32(0xffff, a, b); }
/// Words of the upper halves of a (below) and b.
GREGALE_INLINE W upper_pair(W a, W b) { return _mm512_mask_blend_epi16(0xaaaaaaaau, right<16>(a), b); }
#else
using Mask = W;
GREGALE_INLINE Mask greater_w(W a, W b) { return _mm256_cmpgt_epi32(a, b); }
GREGALE_INLINE W choose_w(Mask mask, W yes, W no) { return _mm256_blendv_epi8(no, yes, mask); }
GREGALE_INLINE W keep_w(Mask mask, W v) { return _mm256_and_si256(mask, v); }
GREGALE_INLINE Mask is_nan(W x) { return bits<W>(_mm256_cmp_ps(bits<F>(x), bits<F>(x), _CMP_UNORD_Q)); }
GREGALE_INLINE W max_w(W a, W b) { return _mm256_max_epu32(a, b); }
GREGALE_INLINE W min_w(W a, W b) { return _mm256_min_epu32(a, b); }
GREGALE_INLINE W upper_pair(W a, W b) { return _mm256_blend_epi16(right<16>(a), b, 0xaa); }
#endif

/// What RangeFlag (tile_layout.hpp) asks: the largest magnitude, and the smallest that is not zero, as integers.
struct Range {
  W largest = zero_w(), smallest = set1_w(0xffffffffu);  // of the magnitude less one, so that zero is not small
  GREGALE_INLINE void add(Range& range, W magnitude) {
    range.largest = max_w(range.largest, magnitude);
    range.smallest = min_w(range.smallest, add_w(magnitude, set1_w(0xffffffffu)));
  }
  int flags() const {
    const U high = bits<U>(largest), low = bits<U>(smallest);
    int result = 0;
    for (int i = 0; i < kLanes; ++i) {
      if (low[i] < 0x0c000000u - 1) result |= 1;  // below 2^-103
      if (high[i] >= 0x7f800000u) result |= 2;
    }
    return result;
  }
};

GREGALE_INLINE W round_w(W x) {
  const W odd = and_w(right<16>(x), set1_w(1));
  const W rounded = add_w(add_w(x, set1_w(0x7fff)), odd);
  return choose_w(is_nan(x), or_w(x, set1_w(0x400000)), rounded);
}

struct Rounded {
  static constexpr int kParts = 1;
  GREGALE_INLINE void of(W x, W (&v)[1], Range&) { v[0] = round_w(x); }
};

/// The truncated first part, and what it leaves (zero of what is not finite).
GREGALE_INLINE F first_part(W x, W& part, Range& range) {
  const W magnitude = and_w(x, set1_w(0x7fffffffu));
  Range::add(range, magnitude);
  const Mask finite = greater_w(set1_w(0x7f800000u), magnitude);
  const W high = and_w(x, set1_w(0xffff0000u));
  part = choose_w(is_nan(x), or_w(high, set1_w(0x400000)), high);
  return bits<F>(keep_w(finite, bits<W>(bits<F>(x) - bits<F>(high))));
}

struct Parts2 {
  static constexpr int kParts = 2;
  GREGALE_INLINE void of(W x, W (&v)[2], Range& range) { v[1] = round_w(bits<W>(first_part(x, v[0], range))); }
};
struct Parts3 {
  static constexpr int kParts = 3;
  GREGALE_INLINE void of(W x, W (&v)[3], Range& range) {
    const F rest = first_part(x, v[0], range);
    v[1] = and_w(bits<W>(rest), set1_w(0xffff0000u));
    v[2] = bits<W>(rest - bits<F>(v[1]));
  }
};

}  // namespace
}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
