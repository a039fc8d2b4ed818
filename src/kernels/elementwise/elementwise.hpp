// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/dtype.hpp"
#include "kernels/common.hpp"

/// Elementwise maps in f32. Results are dense [extents...]; operands have strides, 0 where they are broadcast
/// (broadcast_strides makes them). In place is fine where an operand is dense and is the result.
///
/// Accuracy: exp, log, tanh, sigmoid, erf, silu, rsqrt and, for |x| < 1e4, sin and cos stay within 4 ulp of the exact
/// value for results in the normal range; gelu, whose left tail is a difference, within 6 ulp above x = -2 and 1e-5
/// relative below; complex products round twice from f64; others are rounded exactly or come
/// from the C library. NaN propagates; exp overflows to infinity and underflows through denormals to 0; log(0) = -inf,
/// log(x < 0) = NaN. maximum, minimum and relu propagate NaN; sign(NaN) = NaN.
namespace gregale::kernels {

enum class UnaryOp : uint8_t {
  neg,
  abs,
  sign,
  exp,
  log,
  sqrt,
  rsqrt,
  reciprocal,
  square,
  sin,
  cos,
  tanh,
  sigmoid,
  erf,
  relu,
  gelu,        ///< exact: x/2 (1 + erf(x / sqrt 2))
  silu,        ///< x sigmoid(x)
  softshrink,  ///< x - lambda above lambda, x + lambda below -lambda, else 0; `parameter` is lambda
  add_scalar,  ///< x + parameter
  mul_scalar,  ///< x * parameter
};
enum class BinaryOp : uint8_t { add, sub, mul, div, maximum, minimum, pow };
enum class CompareOp : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };

/// Strides of a dense operand [from...] seen as [to...] under NumPy broadcasting (from aligned at the right).
/// False where the extents do not fit.
bool broadcast_strides(int from_rank, const int64_t* from, int to_rank, const int64_t* to, int64_t* strides);

/// dst[i] = op(src[i]) for i below count. In place is fine.
void unary_f32(Isa isa, ThreadTeam& team, UnaryOp op, int64_t count, const float* src, float* dst, float parameter = 0);
void binary_f32(Isa isa, ThreadTeam& team, BinaryOp op, int rank, const int64_t* extents, const float* a,
                const int64_t* a_strides, const float* b, const int64_t* b_strides, float* dst);
/// dst: bytes 0 or 1.
void compare_f32(Isa isa, ThreadTeam& team, CompareOp op, int rank, const int64_t* extents, const float* a,
                 const int64_t* a_strides, const float* b, const int64_t* b_strides, uint8_t* dst);
/// condition: bytes, true where not 0.
void select_f32(Isa isa, ThreadTeam& team, int rank, const int64_t* extents, const uint8_t* condition,
                const int64_t* condition_strides, const float* a, const int64_t* a_strides, const float* b,
                const int64_t* b_strides, float* dst);

/// Complex maps on (re, im) pairs of f32; strides count complex elements.
enum class ComplexOp : uint8_t { add, sub, mul };
void binary_c64(Isa isa, ThreadTeam& team, ComplexOp op, int rank, const int64_t* extents, const float* a,
                const int64_t* a_strides, const float* b, const int64_t* b_strides, float* dst);
/// z[i] = (re[i], im[i]) and back; a null destination is left out. A null source counts as zeros.
void complex_join(Isa isa, ThreadTeam& team, int64_t count, const float* re, const float* im, float* z);
void complex_split(Isa isa, ThreadTeam& team, int64_t count, const float* z, float* re, float* im);

/// Conversions: f32 <-> f16, bf16 (round to nearest even), f64, i64 (truncation towards zero on the way from floats, as
/// C does; NaN and out of range give INT64_MIN) and boolean (0, 1; true where not 0). One side must be f32.
bool cast_supported(DType from, DType to);
void cast(Isa isa, ThreadTeam& team, DType from, DType to, int64_t count, const void* src, void* dst);

void fill_f32(Isa isa, ThreadTeam& team, int64_t count, float value, float* dst);
void copy_bytes(ThreadTeam& team, int64_t bytes, const void* src, void* dst);

/// Adam with decoupled decay, in place where the results are the operands (Loshchilov and Hutter, ICLR 2019):
///   g = scale * gradient;  m' = beta1 m + (1 - beta1) g;  v' = beta2 v + (1 - beta2) g^2
///   p' = p - lr * (m' / (1 - beta1^step) / (sqrt(v' / (1 - beta2^step)) + epsilon) + weight_decay * p)
struct AdamStep {
  float learning_rate = 0, step = 1, scale = 1;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
};
void adam_update_f32(Isa isa, ThreadTeam& team, const AdamStep& options, int64_t count, const float* parameter,
                     const float* m, const float* v, const float* gradient, float* new_parameter, float* new_m,
                     float* new_v);

}  // namespace gregale::kernels
