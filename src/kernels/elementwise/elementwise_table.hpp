// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the elementwise family, in the order of the enumerations of elementwise.hpp.
namespace gregale::kernels {

inline constexpr int kUnaryOps = 20, kBinaryOps = 7, kCompareOps = 6, kComplexOps = 3;

struct AdamFactors {
  float scale, beta1, one_minus_beta1, beta2, one_minus_beta2;
  float step_size;       ///< learning rate / (1 - beta1^step)
  float root_scale;      ///< 1 / sqrt(1 - beta2^step)
  float epsilon, decay;  ///< decay: learning rate * weight decay
};

/// Operand strides of binary maps are 0 or 1.
struct ElementwiseTable {
  void (*unary[kUnaryOps])(int64_t n, const float* src, float* dst, float parameter);
  void (*binary[kBinaryOps])(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* dst);
  void (*compare[kCompareOps])(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                               uint8_t* dst);
  void (*select)(int64_t n, const uint8_t* condition, int64_t c_stride, const float* a, int64_t a_stride,
                 const float* b, int64_t b_stride, float* dst);
  void (*complex_binary[kComplexOps])(int64_t n, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                                      float* dst);
  void (*to_bf16)(int64_t n, const float* src, uint16_t* dst);
  void (*from_bf16)(int64_t n, const uint16_t* src, float* dst);
  void (*to_f64)(int64_t n, const float* src, double* dst);
  void (*from_f64)(int64_t n, const double* src, float* dst);
  void (*from_i64)(int64_t n, const int64_t* src, float* dst);
  void (*from_bool)(int64_t n, const uint8_t* src, float* dst);
  void (*adam)(int64_t n, const AdamFactors& factors, const float* p, const float* m, const float* v, const float* g,
               float* new_p, float* new_m, float* new_v);
};

namespace isa_generic {
extern const ElementwiseTable elementwise_table;
}
namespace isa_avx2 {
extern const ElementwiseTable elementwise_table;
}
namespace isa_avx512 {
extern const ElementwiseTable elementwise_table;
}

}  // namespace gregale::kernels
