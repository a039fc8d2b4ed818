// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// The vectors of one instruction set. Only *_isa.cpp files include this: everything here is internal to the translation
// unit and lives in GREGALE_ISA_NAMESPACE, so that no copy compiled for AVX-512 can be linked into the generic path.
#include <cstdint>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef GREGALE_ISA_NAMESPACE
#error "vector_isa.hpp is for files compiled per instruction set"
#endif

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kHalf = kLanes / 2;

using F = float __attribute__((vector_size(4 * kLanes)));
using I = int32_t __attribute__((vector_size(4 * kLanes)));
using U = uint32_t __attribute__((vector_size(4 * kLanes)));
using D = double __attribute__((vector_size(4 * kLanes)));  // kHalf doubles
using HalfF = float __attribute__((vector_size(2 * kLanes)));

#define GREGALE_INLINE [[gnu::always_inline]] static inline

GREGALE_INLINE F load(const float* p) {
  F v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
GREGALE_INLINE void store(float* p, F v) { __builtin_memcpy(p, &v, sizeof v); }
#if defined(__AVX512F__)
GREGALE_INLINE __mmask16 some_lanes(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
#elif defined(__AVX2__)
GREGALE_INLINE __m256i some_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif
/// The first `count` lanes, zeros beyond.
GREGALE_INLINE F load_some(const float* p, int64_t count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(some_lanes(count), p);
#elif defined(__AVX2__)
  return _mm256_maskload_ps(p, some_lanes(count));
#else
  F v{};
  __builtin_memcpy(&v, p, static_cast<unsigned long>(count) * 4);
  return v;
#endif
}
GREGALE_INLINE void store_some(float* p, F v, int64_t count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, some_lanes(count), v);
#elif defined(__AVX2__)
  _mm256_maskstore_ps(p, some_lanes(count), v);
#else
  __builtin_memcpy(p, &v, static_cast<unsigned long>(count) * 4);
#endif
}
GREGALE_INLINE F set1(float x) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(x);
#elif defined(__AVX2__)
  return _mm256_set1_ps(x);
#else
  return x - F{};
#endif
}
GREGALE_INLINE I set1i(int32_t x) { return x - I{}; }
/// a * b + c, rounded once where the ISA can.
GREGALE_INLINE F fma(F a, F b, F c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
GREGALE_INLINE F sqrt_of(F x) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, x);  // the plain form warns of an undefined operand in g++ 12
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
template <class To, class From>
GREGALE_INLINE To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
GREGALE_INLINE F choose(I mask, F yes, F no) { return bits<F>((mask & bits<I>(yes)) | (~mask & bits<I>(no))); }
GREGALE_INLINE F abs_of(F x) { return bits<F>(bits<I>(x) & set1i(0x7fffffff)); }
GREGALE_INLINE I sign_bits(F x) { return bits<I>(x) & set1i(static_cast<int32_t>(0x80000000u)); }
GREGALE_INLINE D to_double(const float* p) {
  HalfF h;
  __builtin_memcpy(&h, p, sizeof h);
  return __builtin_convertvector(h, D);
}
GREGALE_INLINE void from_double(float* p, D v) {
  const HalfF h = __builtin_convertvector(v, HalfF);
  __builtin_memcpy(p, &h, sizeof h);
}
GREGALE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

}  // namespace
}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
