// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gregale::kernels {

/// Elements from row to row so that rows are an odd number of cache lines apart: they never share all their cache sets.
constexpr int64_t odd_lines(int64_t elements, int64_t size) {
  const int64_t lines = (elements * size + 63) / 64;
  return (lines + (lines % 2 == 0)) * 64 / size;
}
constexpr bool has_odd_lines(int64_t leading, int64_t size) { return leading * size % 128 == 64; }

}  // namespace gregale::kernels
