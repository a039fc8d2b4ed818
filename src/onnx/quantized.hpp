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

/// round(x) + zero, saturated, as `dtype`; `zero` invalid for none.
Value quantized(OnnxNode& n, Value x, Value zero, DType dtype);
/// x in u8 so that the least and the greatest element, and 0, are in range.
struct DynamicallyQuantized {
  Value integers, scale, zero;  ///< the last two f32
};
DynamicallyQuantized dynamically_quantized(OnnxNode& n, Value x);
/// Whether operand i is known to hold zeros alone, or absent.
bool is_zero(OnnxNode& n, int64_t i);
/// Operand i, a constant of the graph where its value is known.
Value known_input(OnnxNode& n, int64_t i);

/// Sums of products whose terms are each exact in f32: their sum is the result.
using Parts = std::vector<Value>;
Value sum_as_reals(Graph& g, const Parts& parts);
Value sum_as_integers(Graph& g, const Parts& parts);  ///< i32

/// A product of integers of 8 bits: its operands in the graph, and their zero points, invalid where they are 0.
struct IntegerOperands {
  Value a, b, a_zero, b_zero;
};
/// Those of a node, by the numbers of its inputs.
IntegerOperands integer_operands(OnnxNode& n, int64_t a, int64_t b, int64_t a_zero, int64_t b_zero);
/// `exact`: in as many parts as exact sums take; otherwise one, which is rounded as sums of f32 are.
Parts integer_matmul(OnnxNode& n, const IntegerOperands& operands, bool exact = true);
/// The convolution that the node's attributes describe; a [n, c, spatial...], b [m, c / groups, window...].
Parts integer_convolution(OnnxNode& n, const IntegerOperands& operands, bool exact = true);

/// The product, or convolution, of the node's inputs 0 and 1 where both were quantised: of their integers, times their
/// scales. Invalid where they were not, or in a way that no product can leave for later.
Value matmul_of_quantized(OnnxNode& n, bool transposed_b = false);
Value convolution_of_quantized(OnnxNode& n);

}  // namespace gregale::onnx
