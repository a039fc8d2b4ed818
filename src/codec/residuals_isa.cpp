// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/residuals_isa.hpp"

#include <algorithm>
#include <array>

#include "codec/vector_isa.hpp"

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)

/// The symbols of large lanes, whose rest goes to `rest` in order.
__m512i put_large(__m512i v, __mmask16 large, RestSink& rest) {
  const __m512i one = _mm512_set1_epi32(1);
  // The exponent of a number that is rounded down is its width.
  const __m512 number = _mm512_cvt_roundepi32_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  const __m512i exponent = _mm512_srli_epi32(_mm512_castps_si512(number), 23);
  const __m512i count = _mm512_maskz_sub_epi32(large, exponent, _mm512_set1_epi32(126 + 2));
  const __m512i low = _mm512_and_si512(v, _mm512_sub_epi32(_mm512_sllv_epi32(one, count), one));
  // Two lanes at once.
  const __m512i half = _mm512_set1_epi64(0xFFFFFFFF);
  const __m512i first = _mm512_and_si512(count, half), second = _mm512_srli_epi64(count, 32);
  const __m512i pairs =
      _mm512_or_si512(_mm512_and_si512(low, half), _mm512_sllv_epi64(_mm512_srli_epi64(low, 32), first));
  alignas(64) std::array<uint64_t, 8> bits, counts;
  _mm512_store_si512(bits.data(), pairs);
  _mm512_store_si512(counts.data(), _mm512_add_epi64(first, second));
  RestSink sink = rest;
  for (size_t p = 0; p < 8; ++p) sink.put(bits[p], counts[p]);
  rest = sink;
  const __m512i top = _mm512_and_si512(_mm512_srlv_epi32(v, count), one);
  return _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(count, 1), _mm512_set1_epi32(kSmall - 6)), top);
}

void fold(int32_t* residuals, const uint8_t* valid, int64_t count, uint8_t* symbols, uint16_t* there, RestSink& rest) {
  for (int64_t i = 0; i < count; i += 16) {
    auto mask = static_cast<__mmask16>(count - i >= 16 ? 0xFFFF : (1U << (count - i)) - 1);
    if (valid != nullptr)
      mask = _mm_mask_test_epi8_mask(mask, _mm_loadu_si128(reinterpret_cast<const __m128i*>(valid + i)),
                                     _mm_set1_epi8(-1));
    const __m512i k = _mm512_maskz_loadu_epi32(mask, residuals + i);
    if (mask != 0xFFFF) _mm512_storeu_si512(residuals + i, k);
    __m512i v = _mm512_xor_si512(_mm512_slli_epi32(k, 1), _mm512_srai_epi32(k, 31));
    *there++ = mask;
    const __mmask16 large = _mm512_cmpge_epu32_mask(v, _mm512_set1_epi32(kSmall));
    if (large != 0) {
      if (_mm512_cmpge_epu32_mask(v, _mm512_set1_epi32(1 << 26)) == 0) {
        v = _mm512_mask_mov_epi32(v, large, put_large(v, large, rest));
      } else {
        alignas(64) std::array<uint32_t, 16> lanes;
        _mm512_store_si512(lanes.data(), v);
        for (uint32_t& lane : lanes)
          if (lane >= kSmall) lane = codec::put_large(lane, rest);
        v = _mm512_load_si512(lanes.data());
      }
    }
    _mm_storeu_si128(reinterpret_cast<__m128i*>(symbols + i), _mm512_cvtepi32_epi8(v));
  }
}

/// Sums of all lanes before.
__m512i sums_before(__m512i x) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i sum = _mm512_add_epi32(x, _mm512_alignr_epi32(x, zero, 15));
  sum = _mm512_add_epi32(sum, _mm512_alignr_epi32(sum, zero, 14));
  sum = _mm512_add_epi32(sum, _mm512_alignr_epi32(sum, zero, 12));
  sum = _mm512_add_epi32(sum, _mm512_alignr_epi32(sum, zero, 8));
  return _mm512_sub_epi32(sum, x);
}

void unfold(const uint8_t* symbols, int64_t count, RestBits& rest, int32_t* residuals) {
  const __m512i one = _mm512_set1_epi32(1);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i symbol = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(symbols + i)));
    __m512i v = symbol;
    const __mmask16 large = _mm512_cmpge_epu32_mask(symbol, _mm512_set1_epi32(kSmall));
    if (large != 0) {
      const __m512i above = _mm512_sub_epi32(symbol, _mm512_set1_epi32(kSmall));
      const __m512i bits = _mm512_maskz_add_epi32(large, _mm512_srli_epi32(above, 1), _mm512_set1_epi32(3));
      if (_mm512_cmpgt_epu32_mask(bits, _mm512_set1_epi32(24)) != 0) {
        for (int64_t l = i; l < i + 16; ++l) {
          const uint64_t folded = symbols[l] < kSmall ? symbols[l] : take_large(symbols[l], rest);
          residuals[l] = static_cast<int32_t>(unfolded(folded));
        }
        continue;
      }
      const __m512i before = sums_before(bits);
      const __m512i from = _mm512_add_epi32(before, _mm512_set1_epi32(static_cast<int>(rest.at & 7)));
      __m512i low = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), large, _mm512_srli_epi32(from, 3),
                                                rest.bytes + rest.at / 8, 1);
      low = _mm512_srlv_epi32(low, _mm512_and_si512(from, _mm512_set1_epi32(7)));
      low = _mm512_and_si512(low, _mm512_sub_epi32(_mm512_sllv_epi32(one, bits), one));
      const __m512i top = _mm512_or_si512(_mm512_and_si512(above, one), _mm512_set1_epi32(2));
      v = _mm512_mask_or_epi32(v, large, low, _mm512_sllv_epi32(top, bits));
      rest.at += static_cast<uint64_t>(_mm512_reduce_add_epi32(bits));
      rest.at = std::min(rest.at, rest.end + 1);
    }
    const __m512i sign = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_and_si512(v, one));
    _mm512_storeu_si512(residuals + i, _mm512_xor_si512(_mm512_srli_epi32(v, 1), sign));
  }
}

#else

void fold(int32_t* residuals, const uint8_t* valid, int64_t count, uint8_t* symbols, uint16_t* there, RestSink& rest) {
  RestSink sink = rest;
  for (int64_t i = 0; i < count; i += 16) {
    uint32_t mask = 0;
    for (int64_t l = 0; l < 16; ++l) {
      const bool is = i + l < count && (valid == nullptr || valid[i + l] != 0);
      int32_t& k = residuals[i + l];
      k = is ? k : 0;
      const uint32_t v = (static_cast<uint32_t>(k) << 1) ^ static_cast<uint32_t>(k >> 31);
      symbols[i + l] = v < kSmall ? static_cast<uint8_t>(v) : put_large(v, sink);
      mask |= (is ? 1U : 0U) << l;
    }
    *there++ = static_cast<uint16_t>(mask);
  }
  rest = sink;
}

void unfold(const uint8_t* symbols, int64_t count, RestBits& rest, int32_t* residuals) {
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t v = symbols[i] < kSmall ? symbols[i] : take_large(symbols[i], rest);
    residuals[i] = static_cast<int32_t>(unfolded(v));
  }
}

#endif

}  // namespace

extern const ResidualTable residual_rows;
const ResidualTable residual_rows{fold, unfold};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
