// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "kernels/elementwise/elementwise.hpp"
#include "ops/common.hpp"

/// What makes an elementwise operator: an operator's file fills one of these structs and is done. The definition built
/// from it has inference, broadcasting, reference, gradient, lowering, cost and samples.
namespace gregale::ops {

using Complex = std::complex<double>;

/// y = f(x), of x's dtype and shape.
struct UnarySpec {
  std::string name;
  std::function<void(OnnxWriter&)> to_onnx;  ///< none: a node of `onnx`
  std::string doc;
  // The categories of dtypes it accepts are those it has a function for.
  double (*real)(double) = nullptr;
  Complex (*complex)(Complex) = nullptr;
  int64_t (*integer)(int64_t) = nullptr;
  /// The cotangent of x from x, y and the cotangent d of y; an invalid Value for a gradient that is zero.
  std::function<Value(Graph&, Value x, Value y, Value d)> gradient;
  std::optional<kernels::UnaryOp> kernel;
  /// What has no kernel of its own: as an expression, which then is its f32 lowering, too; or one f32 at a time.
  int32_t (*expression)(kernels::Expression&, int32_t x) = nullptr;
  float (*single)(float) = nullptr;
  double flops = 1;
  double tolerance_eps = 8;
  const char* onnx = nullptr;  ///< the operator of ONNX that is this one
  // Samples are uniform in [low, high), and this far from zero.
  double low = -2, high = 2, gap = 0;
};
OpDef unary_op(UnarySpec spec);

/// y = f(a, b) with broadcasting; both operands and the result have one dtype.
struct BinarySpec {
  std::string name;
  std::function<void(OnnxWriter&)> to_onnx;  ///< none: a node of `onnx`
  std::string doc;
  double (*real)(double, double) = nullptr;
  Complex (*complex)(Complex, Complex) = nullptr;
  int64_t (*integer)(int64_t, int64_t) = nullptr;
  bool ordered = false;                               ///< integer compares: u64 is mapped to i64 in order
  uint64_t (*natural)(uint64_t, uint64_t) = nullptr;  ///< of u64, where it differs from `integer`
  std::optional<Lowering> native;                     ///< of the dtypes that the kernels below leave
  /// Cotangents of a and b, still of the broadcast shape.
  std::function<Value(Graph&, Value a, Value b, Value y, Value d)> d_a, d_b;
  std::optional<kernels::BinaryOp> kernel;
  std::optional<kernels::ComplexOp> complex_kernel;
  double flops = 1;
  const char* onnx = nullptr;
  std::function<Tensor(Extents, uint32_t)> sample_a, sample_b;  ///< none: uniform in [-2, 2)
};
OpDef binary_op(BinarySpec spec);

/// y = f(a, b) with broadcasting, boolean.
struct ComparisonSpec {
  std::string name;
  std::function<void(OnnxWriter&)> to_onnx;  ///< none: a node of `onnx`
  std::string doc;
  bool (*real)(double, double) = nullptr;
  bool (*integer)(int64_t, int64_t) = nullptr;
  bool booleans = false;                     ///< accepts boolean operands
  std::optional<Lowering> native;            ///< of the dtypes that the kernel leaves
  std::optional<kernels::CompareOp> kernel;  ///< for f32
  const char* onnx = nullptr;
};
OpDef comparison_op(ComparisonSpec spec);

/// y = f(a, b) of booleans, broadcasting.
OpDef logical_op(std::string name, std::string doc, bool (*function)(bool, bool), Lowering native, const char* onnx);

/// Operand 1 of a binary node of ONNX as it broadcasts to operand 0, by the attribute `axis` of early operator sets.
Value aligned_operand(OnnxNode& n);

/// Inference of real and imag: the real dtype of a complex operand.
std::vector<Type> infer_part_of_complex(const NodeView& node);
/// Gradient of maximum and minimum: d where the operand won, half of it where it tied, else 0.
Value share_of_winner(Graph& g, Value won, Value tied, Value d);

/// Appends the operation to an expression (OpDef::express); -1 where expressions have none.
int32_t express_unary(kernels::Expression& e, kernels::UnaryOp op, int32_t x);
int32_t express_binary(kernels::Expression& e, kernels::BinaryOp op, int32_t a, int32_t b);
int32_t express_comparison(kernels::Expression& e, kernels::CompareOp op, int32_t a, int32_t b);

/// A lowering for operators that give their operand's bytes back.
Lowering copy_lowering();
/// A lowering of what can be said as an expression of one f32 operand.
Lowering expression_lowering();
/// A lowering that runs a unary kernel on f32; `parameter` reads what else the kernel needs from the node.
Lowering unary_lowering(kernels::UnaryOp op, std::function<float(const NodeView&)> parameter = nullptr);

/// Extents of a node's result and the strides that walk each operand along it.
struct BroadcastPlan {
  explicit BroadcastPlan(const NodeView& node);
  Extents extents;
  std::vector<Extents> strides;
  int rank() const { return static_cast<int>(extents.size()); }
};
/// Pairs (0, i) of the operands that have the dtype and shape of the result.
std::vector<std::pair<int, int>> in_place_pairs(const NodeView& node);

}  // namespace gregale::ops
