// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/machine/machine_table.hpp"
#include "kernels/vector_isa.hpp"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kChains = 24;  // of 32 registers; two units of latency 4 or 5 need 10
#else
constexpr int kChains = 12;  // of 16 registers
#endif

float multiply_add(int64_t repeats, float factor, float term) {
  const F x = set1(factor), y = set1(term);
  F sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = set1(static_cast<float>(i));
  for (int64_t r = 0; r < repeats; ++r) {
#if defined(__AVX2__)
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = fma(sum[i], x, y);
#else
    // Without a fused instruction: as many additions as multiplications, in chains of their own as they are in a matrix
    // product, where the multiplications wait for nothing.
#pragma GCC unroll 24
    for (int i = 0; i < kChains; i += 2) {
      sum[i] = sum[i] * x;
      sum[i + 1] = sum[i + 1] + y;
    }
#endif
  }
  F all{};
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) all = all + sum[i];
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += all[i];
  return total;
}

constexpr int64_t kLoadedBytes = sizeof(F);
static_assert(kMachineStep % (8 * kLoadedBytes) == 0);

GREGALE_INLINE U load_bits(const std::byte* p) { return (U)load(reinterpret_cast<const float*>(p)); }

uint32_t read(const std::byte* data, int64_t bytes, int64_t repeats) {
  // Integer additions take one cycle: eight chains never hold up the loads.
  U sum[8] = {};
  for (int64_t r = 0; r < repeats; ++r) {
    for (int64_t i = 0; i < bytes; i += 8 * kLoadedBytes) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) sum[j] += load_bits(data + i + j * kLoadedBytes);
    }
    asm volatile("" : "+r"(data));  // each pass reads again; a memory clobber would spill the sums
  }
  U all{};
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) all += sum[j];
  uint32_t total = 0;
  for (int i = 0; i < kLanes; ++i) total += all[i];
  return total;
}

void copy(std::byte* to, const std::byte* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 4 * kLoadedBytes) {
    F line[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) line[j] = load(reinterpret_cast<const float*>(from + i + j * kLoadedBytes));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) store(reinterpret_cast<float*>(to + i + j * kLoadedBytes), line[j]);
    asm volatile("" ::: "memory");  // or the loop becomes memcpy, which may choose non-temporal stores
  }
}

#if defined(__SSE2__)
GREGALE_INLINE void stream(float* p, F v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, v);
#elif defined(__AVX2__)
  _mm256_stream_ps(p, v);
#else
  _mm_stream_ps(p, v);
#endif
}

void copy_nt(std::byte* to, const std::byte* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 4 * kLoadedBytes) {
    F line[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) line[j] = load(reinterpret_cast<const float*>(from + i + j * kLoadedBytes));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) stream(reinterpret_cast<float*>(to + i + j * kLoadedBytes), line[j]);
  }
  _mm_sfence();  // the stores are done when the time is taken
}
#endif

}  // namespace

const MachineTable machine_table = {
#if defined(__AVX2__)
    2 * kChains * kLanes,
#else
    kChains * kLanes,
#endif
    multiply_add,
    read,
    copy,
#if defined(__SSE2__)
    copy_nt,
#else
    nullptr,
#endif
};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
