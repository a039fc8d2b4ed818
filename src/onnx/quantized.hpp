// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "onnx/compose.hpp"

/// Quantised arithmetic in f32. Numbers of 8 and 16 bits are whole f32 here, and a sum of products of theirs is exact
/// while it stays below 2^24: longer sums are cut into parts that are. So quantised networks run on the kernels of f32,
/// fused like all others, and give the integers that integer arithmetic would; what is stored as integers and read
/// again (ops::cast with `exact`) never goes to memory.
namespace gregale::onnx {

/// The numbers of a quantised dtype.
struct IntegerRange {
  double low, high;
};
/// Throws where it is none of u8, i8, u16, i16.
IntegerRange range_of(OnnxNode& n, DType dtype);

/// What does not change from element to element (scale, zero point) as it broadcasts to an operand of `extents`: a
/// number, one for each place along `axis`, or one for each block of `block` places.
Value along_axis(OnnxNode& n, int64_t input, const Extents& extents, int64_t axis, int64_t block);

/// Integers as f32, less their zero point, operand `zero`, where it is there and not zero.
Value reals_of(OnnxNode& n, Value integers, int64_t zero, const std::function<Value(Value)>& shape_zero);

/// round(x) + zero, saturated, as `dtype`; `zero` invalid for none.
Value quantized(OnnxNode& n, Value x, Value zero, DType dtype);
/// Whether operand i is known to hold zeros alone, or absent.
bool is_zero(OnnxNode& n, int64_t i);

/// Sums of products whose terms are each exact in f32: their sum is the result.
using Parts = std::vector<Value>;
Value sum_as_reals(Graph& g, const Parts& parts);
Value sum_as_integers(Graph& g, const Parts& parts);  ///< i32

/// Operands of a product of integers: those of the node with their zero points.
struct IntegerOperands {
  int64_t a, b, a_zero, b_zero;
};
Parts integer_matmul(OnnxNode& n, const IntegerOperands& at);
/// The convolution that the node's attributes describe; a [n, c, spatial...], b [m, c / groups, window...].
Parts integer_convolution(OnnxNode& n, const IntegerOperands& at);

}  // namespace gregale::onnx
