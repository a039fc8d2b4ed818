// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Vectors of 32-bit words and their transposition, for the *_isa.cpp files of this folder, which have something for
// AVX2 and AVX-512 alone.
#include "kernels/layout/layout_table.hpp"
#include "kernels/vector_isa.hpp"

#if defined(__AVX2__)

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

using Byte = unsigned char;

GREGALE_INLINE const Byte* bytes_of(const void* p) { return static_cast<const Byte*>(p); }
GREGALE_INLINE Byte* bytes_of(void* p) { return static_cast<Byte*>(p); }
GREGALE_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
GREGALE_INLINE bool is_aligned(const void* p, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes) == 0;
}

#if defined(__AVX512F__)
using W = __m512i;  // kLanes words of 32 bits
using HalfW = __m256i;
GREGALE_INLINE W load_w(const void* p) { return _mm512_loadu_si512(p); }
GREGALE_INLINE void store_w(void* p, W v) { _mm512_storeu_si512(p, v); }
GREGALE_INLINE void stream_w(void* p, W v) { _mm512_stream_si512(static_cast<W*>(p), v); }
GREGALE_INLINE uint64_t first_bytes(int64_t count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }
/// The first `count` bytes, zeros beyond.
GREGALE_INLINE W load_bytes(const void* p, int64_t count) { return _mm512_maskz_loadu_epi8(first_bytes(count), p); }
GREGALE_INLINE void store_bytes(void* p, W v, int64_t count) { _mm512_mask_storeu_epi8(p, first_bytes(count), v); }
GREGALE_INLINE W set1_w(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
GREGALE_INLINE W and_w(W a, W b) { return _mm512_and_si512(a, b); }
GREGALE_INLINE W or_w(W a, W b) { return _mm512_or_si512(a, b); }
GREGALE_INLINE W add_w(W a, W b) { return _mm512_add_epi32(a, b); }
template <int kBits>
GREGALE_INLINE W left(W v) {
  return _mm512_maskz_slli_epi32(0xffff, v, kBits);
}
template <int kBits>
GREGALE_INLINE W right(W v) {
  return _mm512_maskz_srli_epi32(0xffff, v, kBits);
}
GREGALE_INLINE W widen_16(const void* p) {
  return _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(static_cast<const HalfW*>(p)));
}
GREGALE_INLINE W widen_16(const void* p, int64_t count) {
  return _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi8(static_cast<uint32_t>(first_bytes(2 * count)), p));
}
GREGALE_INLINE W widen_8(const void* p) {
  return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(static_cast<const __m128i*>(p)));
}
GREGALE_INLINE W widen_8(const void* p, int64_t count) {
  return _mm512_maskz_cvtepu8_epi32(0xffff, _mm_maskz_loadu_epi8(static_cast<uint16_t>(first_bytes(count)), p));
}
/// The lower halves of the words.
GREGALE_INLINE HalfW narrow_16(W v) { return _mm512_maskz_cvtepi32_epi16(0xffff, v); }
GREGALE_INLINE void store_half(void* p, HalfW v) { _mm256_storeu_si256(static_cast<HalfW*>(p), v); }
GREGALE_INLINE void store_half(void* p, HalfW v, int64_t bytes) {
  _mm256_mask_storeu_epi8(p, static_cast<uint32_t>(first_bytes(bytes)), v);
}
/// Rows and columns of a block of kLanes x kLanes words change places.
GREGALE_INLINE void transpose_block(W (&v)[16]) {
  constexpr __mmask16 kAll = 0xffff;
  constexpr __mmask8 kAll64 = 0xff;
  W u[16];
  for (int i = 0; i < 16; i += 2) {
    u[i] = _mm512_maskz_unpacklo_epi32(kAll, v[i], v[i + 1]);
    u[i + 1] = _mm512_maskz_unpackhi_epi32(kAll, v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // v[i + c]: column 4 lane + c of rows i to i + 3
    v[i] = _mm512_maskz_unpacklo_epi64(kAll64, u[i], u[i + 2]);
    v[i + 1] = _mm512_maskz_unpackhi_epi64(kAll64, u[i], u[i + 2]);
    v[i + 2] = _mm512_maskz_unpacklo_epi64(kAll64, u[i + 1], u[i + 3]);
    v[i + 3] = _mm512_maskz_unpackhi_epi64(kAll64, u[i + 1], u[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    const W a = _mm512_maskz_shuffle_i32x4(kAll, v[c], v[c + 4], 0x44),
            b = _mm512_maskz_shuffle_i32x4(kAll, v[c], v[c + 4], 0xee);
    const W d = _mm512_maskz_shuffle_i32x4(kAll, v[c + 8], v[c + 12], 0x44),
            e = _mm512_maskz_shuffle_i32x4(kAll, v[c + 8], v[c + 12], 0xee);
    v[c] = _mm512_maskz_shuffle_i32x4(kAll, a, d, 0x88);
    v[c + 4] = _mm512_maskz_shuffle_i32x4(kAll, a, d, 0xdd);
    v[c + 8] = _mm512_maskz_shuffle_i32x4(kAll, b, e, 0x88);
    v[c + 12] = _mm512_maskz_shuffle_i32x4(kAll, b, e, 0xdd);
  }
}
/// The same for blocks of kHalf x kHalf double words.
GREGALE_INLINE void transpose_wide_block(W (&v)[8]) {
  constexpr __mmask8 kAll = 0xff;
  W u[8];
  for (int i = 0; i < 8; i += 2) {
    u[i] = _mm512_maskz_unpacklo_epi64(kAll, v[i], v[i + 1]);  // columns 0, 2, 4, 6 of two rows
    u[i + 1] = _mm512_maskz_unpackhi_epi64(kAll, v[i], v[i + 1]);
  }
  for (int c = 0; c < 2; ++c) {
    const W a = _mm512_maskz_shuffle_i64x2(kAll, u[c], u[c + 2], 0x44),
            b = _mm512_maskz_shuffle_i64x2(kAll, u[c], u[c + 2], 0xee);
    const W d = _mm512_maskz_shuffle_i64x2(kAll, u[c + 4], u[c + 6], 0x44),
            e = _mm512_maskz_shuffle_i64x2(kAll, u[c + 4], u[c + 6], 0xee);
    v[c] = _mm512_maskz_shuffle_i64x2(kAll, a, d, 0x88);
    v[c + 2] = _mm512_maskz_shuffle_i64x2(kAll, a, d, 0xdd);
    v[c + 4] = _mm512_maskz_shuffle_i64x2(kAll, b, e, 0x88);
    v[c + 6] = _mm512_maskz_shuffle_i64x2(kAll, b, e, 0xdd);
  }
}
/// Within each 128 bits, the first (second) four pairs of 16 bits of a and b.
GREGALE_INLINE W first_pairs_16(W a, W b) { return _mm512_unpacklo_epi16(a, b); }
GREGALE_INLINE W second_pairs_16(W a, W b) { return _mm512_unpackhi_epi16(a, b); }
GREGALE_INLINE W zero_w() { return _mm512_setzero_si512(); }
#else
using W = __m256i;
using HalfW = __m128i;
GREGALE_INLINE W load_w(const void* p) { return _mm256_loadu_si256(static_cast<const W*>(p)); }
GREGALE_INLINE void store_w(void* p, W v) { _mm256_storeu_si256(static_cast<W*>(p), v); }
GREGALE_INLINE void stream_w(void* p, W v) { _mm256_stream_si256(static_cast<W*>(p), v); }
GREGALE_INLINE W load_bytes(const void* p, int64_t count) {
  W v = _mm256_setzero_si256();
  __builtin_memcpy(&v, p, static_cast<unsigned long>(count));
  return v;
}
GREGALE_INLINE void store_bytes(void* p, W v, int64_t count) {
  __builtin_memcpy(p, &v, static_cast<unsigned long>(count));
}
GREGALE_INLINE W set1_w(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
GREGALE_INLINE W and_w(W a, W b) { return _mm256_and_si256(a, b); }
GREGALE_INLINE W or_w(W a, W b) { return _mm256_or_si256(a, b); }
GREGALE_INLINE W add_w(W a, W b) { return _mm256_add_epi32(a, b); }
template <int kBits>
GREGALE_INLINE W left(W v) {
  return _mm256_slli_epi32(v, kBits);
}
template <int kBits>
GREGALE_INLINE W right(W v) {
  return _mm256_srli_epi32(v, kBits);
}
GREGALE_INLINE HalfW half_of(const void* p, int64_t bytes) {
  HalfW v = _mm_setzero_si128();
  __builtin_memcpy(&v, p, static_cast<unsigned long>(bytes));
  return v;
}
GREGALE_INLINE W widen_16(const void* p) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const HalfW*>(p)));
}
GREGALE_INLINE W widen_16(const void* p, int64_t count) { return _mm256_cvtepu16_epi32(half_of(p, 2 * count)); }
GREGALE_INLINE W widen_8(const void* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const HalfW*>(p))); }
GREGALE_INLINE W widen_8(const void* p, int64_t count) { return _mm256_cvtepu8_epi32(half_of(p, count)); }
GREGALE_INLINE HalfW narrow_16(W v) {
  const W low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
  return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08));
}
GREGALE_INLINE void store_half(void* p, HalfW v) { _mm_storeu_si128(static_cast<HalfW*>(p), v); }
GREGALE_INLINE void store_half(void* p, HalfW v, int64_t bytes) {
  __builtin_memcpy(p, &v, static_cast<unsigned long>(bytes));
}
GREGALE_INLINE void transpose_block(W (&v)[8]) {
  W u[8];
  for (int i = 0; i < 8; i += 2) {
    u[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    u[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    v[i] = _mm256_unpacklo_epi64(u[i], u[i + 2]);
    v[i + 1] = _mm256_unpackhi_epi64(u[i], u[i + 2]);
    v[i + 2] = _mm256_unpacklo_epi64(u[i + 1], u[i + 3]);
    v[i + 3] = _mm256_unpackhi_epi64(u[i + 1], u[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    const W a = v[c];
    v[c] = _mm256_permute2x128_si256(a, v[c + 4], 0x20);
    v[c + 4] = _mm256_permute2x128_si256(a, v[c + 4], 0x31);
  }
}
GREGALE_INLINE void transpose_wide_block(W (&v)[4]) {
  const W a = _mm256_unpacklo_epi64(v[0], v[1]), b = _mm256_unpackhi_epi64(v[0], v[1]);
  const W d = _mm256_unpacklo_epi64(v[2], v[3]), e = _mm256_unpackhi_epi64(v[2], v[3]);
  v[0] = _mm256_permute2x128_si256(a, d, 0x20);
  v[1] = _mm256_permute2x128_si256(b, e, 0x20);
  v[2] = _mm256_permute2x128_si256(a, d, 0x31);
  v[3] = _mm256_permute2x128_si256(b, e, 0x31);
}
GREGALE_INLINE W first_pairs_16(W a, W b) { return _mm256_unpacklo_epi16(a, b); }
GREGALE_INLINE W second_pairs_16(W a, W b) { return _mm256_unpackhi_epi16(a, b); }
GREGALE_INLINE W zero_w() { return _mm256_setzero_si256(); }
#endif

}  // namespace
}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE

#endif  // __AVX2__
