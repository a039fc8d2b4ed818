// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The dot products of AVX512_BF16 and AVX512_VNNI. Not every processor with AVX-512 has them, so these functions alone
// are compiled for them, and the processor is asked before they are handed out.
#include "kernels/machine/machine_table.hpp"

namespace gregale::kernels {

#if defined(__x86_64__)
namespace {

constexpr int kChains = 24;

using Bits = int32_t __attribute__((vector_size(64)));  // what the lanes hold is up to the instruction

// The instructions are written out: around the intrinsics, g++ 12 moves the sums between registers and the stack.

[[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]] uint32_t bf16_dot(int64_t repeats) {
  const Bits x = 0x3f803f80 - Bits{}, y = 0x3c233c23 - Bits{};  // pairs of 1.0 and of about 0.01
  Bits sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = 0x3f800000 - Bits{};  // 1.0f
  for (int64_t r = 0; r < repeats; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) asm("vdpbf16ps %2, %1, %0" : "+v"(sum[i]) : "v"(x), "v"(y));
  }
  Bits all{};
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) all ^= sum[i];
  uint32_t mix = 0;
  for (int i = 0; i < 16; ++i) mix += static_cast<uint32_t>(all[i]);
  return mix;
}

[[gnu::target("avx512f,avx512bw,avx512vl,avx512vnni")]] uint32_t int8_dot(int64_t repeats) {
  const Bits x = 0x03030303 - Bits{}, y = -0x04040405 - Bits{};  // bytes 3, and -5 in each
  Bits sum[kChains];
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) sum[i] = i - Bits{};
  for (int64_t r = 0; r < repeats; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) asm("vpdpbusd %2, %1, %0" : "+v"(sum[i]) : "v"(x), "v"(y));
  }
  Bits all{};
#pragma GCC unroll 24
  for (int i = 0; i < kChains; ++i) all ^= sum[i];
  uint32_t mix = 0;
  for (int i = 0; i < 16; ++i) mix += static_cast<uint32_t>(all[i]);
  return mix;
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
