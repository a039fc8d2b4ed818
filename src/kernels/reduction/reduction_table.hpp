// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the reduction family.
namespace gregale::kernels {

/// Accumulation: sum, max, min, sum of squares (mean is a sum).
inline constexpr int kAccumulations = 4;
/// Columns reduced side by side.
inline constexpr int64_t kReduceColumns = 256;

struct ReductionTable {
  /// One value of n contiguous elements.
  double (*run[kAccumulations])(int64_t n, const float* src);
  /// sums[j] = sums[j] op src[j].
  void (*add[kAccumulations])(int64_t n, const float* src, double* sums);
  /// A row's softmax; columns: element (i, j) at i * stride + j, softmax over i for each j below count <=
  /// kReduceColumns.
  void (*softmax_row)(int64_t n, const float* src, float* dst);
  void (*softmax_columns)(int64_t n, int64_t stride, int64_t count, const float* src, float* dst);
  void (*softmax_backward_row)(int64_t n, const float* y, const float* d_y, float* d_x);
  void (*softmax_backward_columns)(int64_t n, int64_t stride, int64_t count, const float* y, const float* d_y,
                                   float* d_x);
  void (*layer_norm_row)(int64_t n, double epsilon, const float* x, const float* gamma, const float* beta, float* y);
  /// d_x may be null; d_gamma and d_beta (f64, added to) may be null together.
  void (*layer_norm_backward_row)(int64_t n, double epsilon, const float* x, const float* gamma, const float* d_y,
                                  float* d_x, double* d_gamma, double* d_beta);
};

namespace isa_generic {
extern const ReductionTable reduction_table;
}
namespace isa_avx2 {
extern const ReductionTable reduction_table;
}
namespace isa_avx512 {
extern const ReductionTable reduction_table;
}

}  // namespace gregale::kernels
