// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The dot products of AVX512_BF16 and AVX512_VNNI. Not every processor with AVX-512 has them, so these functions alone
// are compiled for them, and the processor is asked before they are handed out.
#include "kernels/machine/machine_table.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gregale::kernels {

#if defined(__x86_64__)
namespace {

constexpr int kChains = 24;

[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] uint32_t bf16_dot(int64_t repeats) {
  const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), y = (__m512bh)_mm512_set1_epi16(0x3c23);  // 1.0, about 0.01
  __m512 sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t r = 0; r < repeats; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], x, y);
  }
  __m512 all = _mm512_setzero_ps();
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) all = _mm512_add_ps(all, sum[i]);
  return static_cast<uint32_t>(_mm512_reduce_add_epi32(_mm512_castps_si512(all)));
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] uint32_t int8_dot(int64_t repeats) {
  const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(-5);
  __m512i sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_epi32(i);
  for (int64_t r = 0; r < repeats; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], x, y);
  }
  __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) all = _mm512_add_epi32(all, sum[i]);
  return static_cast<uint32_t>(_mm512_reduce_add_epi32(all));
}

}  // namespace

DotUnit bf16_dot_unit() {
  if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512bf16")) return {};
  return {int64_t{kChains} * 32 * 2, bf16_dot};
}

DotUnit int8_dot_unit() {
  if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vnni")) return {};
  return {int64_t{kChains} * 64 * 2, int8_dot};
}
#else
DotUnit bf16_dot_unit() { return {}; }
DotUnit int8_dot_unit() { return {}; }
#endif

}  // namespace gregale::kernels
