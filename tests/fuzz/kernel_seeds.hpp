// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Cases of kernel_fuzz_test.cpp that are replayed by name: those that once failed, and one of each kind that random
/// search took long to reach. A change of how a family draws its cases makes the numbers mean something else: then find
/// them again, or move the case into the family's unit test.
namespace gregale::fuzz {

struct KernelSeed {
  const char* family;
  uint64_t number;
};
inline constexpr KernelSeed kKernelSeeds[] = {
    {"layout", 0},   // an index that is no dtype was asked for its name
    {"layout", 20},  // the reference quietened a signalling NaN on its way through f64
};

}  // namespace gregale::fuzz
