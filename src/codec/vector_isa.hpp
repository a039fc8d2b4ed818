// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#if defined(__AVX2__)
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own _mm512_undefined_epi32()
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

/// The compilers' own vectors, as wide as the instruction set that a *_isa.cpp file is compiled for allows.
namespace gregale::codec::GREGALE_ISA_NAMESPACE {

#if defined(__AVX512F__)
inline constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr size_t kVectorBytes = 32;
#else
inline constexpr size_t kVectorBytes = 16;
#endif

template <class T>
using Vector __attribute__((vector_size(kVectorBytes))) = T;
template <class T, size_t kCount>
using VectorOf __attribute__((vector_size(kCount * sizeof(T)))) = T;

template <class V, class T>
V load(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
/// Bytes as wider integers. GCC 12 makes a sequence of insertions of __builtin_convertvector here.
template <class V, class T>
V widened(const T* bytes) {
  static_assert(sizeof(T) == 1);
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(V{}[0]) == 4) {
    __m128i eight = _mm_setzero_si128();
    __builtin_memcpy(&eight, bytes, 8);
    return reinterpret_cast<V>(_mm256_cvtepu8_epi32(eight));
  } else if constexpr (sizeof(V{}[0]) == 2) {
    __m128i sixteen;
    __builtin_memcpy(&sixteen, bytes, 16);
    return reinterpret_cast<V>(_mm256_cvtepu8_epi16(sixteen));
  } else
#endif
    return __builtin_convertvector(load<VectorOf<T, sizeof(V) / sizeof(V{}[0])>>(bytes), V);
}

template <class V, class T>
void store(const V& v, T* to) {
  __builtin_memcpy(to, &v, sizeof v);
}

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
