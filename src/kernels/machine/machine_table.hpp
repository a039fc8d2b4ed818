// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// What one instruction set gives to the measurement of ceilings: plain data and functions.
namespace gregale::kernels {

/// Working sets are multiples of this and aligned to it: every loop below takes whole steps.
inline constexpr int64_t kMachineStep = 4096;

/// Results are returned so that no compiler can drop the work.
struct MachineTable {
  int64_t flops;  ///< of one repeat of multiply_add
  float (*multiply_add)(int64_t repeats, float factor, float term);
  uint32_t (*read)(const std::byte* data, int64_t bytes, int64_t repeats);
  void (*copy)(std::byte* to, const std::byte* from, int64_t bytes);
  void (*copy_nt)(std::byte* to, const std::byte* from, int64_t bytes);  ///< null where there are no such stores
};

namespace isa_generic {
extern const MachineTable machine_table;
}
namespace isa_avx2 {
extern const MachineTable machine_table;
}
namespace isa_avx512 {
extern const MachineTable machine_table;
}

/// A dot-product instruction of AVX-512; run is null where this processor has none.
struct DotUnit {
  int64_t flops = 0;  ///< of one repeat
  uint32_t (*run)(int64_t repeats) = nullptr;
};
DotUnit bf16_dot_unit();  ///< vdpbf16ps
DotUnit int8_dot_unit();  ///< vpdpbusd

}  // namespace gregale::kernels
