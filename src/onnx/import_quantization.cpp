// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "onnx/quantized.hpp"

namespace gregale::onnx {
namespace {

Value real_operand(OnnxNode& n, int64_t i) { return ops::cast(n.graph(), n.input(i), DType::f32); }

/// A number that every element is scaled by.
Value scale_of(OnnxNode& n, int64_t i) { return ops::cast(n.graph(), as_scalar(n, i), DType::f32); }

/// A zero point as f32; invalid where it is absent or 0.
Value zero_of(OnnxNode& n, int64_t i) {
  return is_zero(n, i) ? Value() : ops::cast(n.graph(), as_scalar(n, i), DType::f32);
}

DType quantized_dtype(OnnxNode& n) {
  if (n.has_input(2)) return n.dtype(2);
  const int64_t number = n.integer("output_dtype", 0);
  return number == 0 ? DType::u8 : dtype_of_onnx(number);
}

std::vector<Value> quantize(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents extents = n.extents(0);
  const int64_t axis = n.integer("axis", 1), block = n.integer("block_size", 0);
  const Value scale = ops::cast(g, along_axis(n, 1, extents, axis, block), DType::f32);
  Value zero;
  if (!is_zero(n, 2)) zero = ops::cast(g, along_axis(n, 2, extents, axis, block), DType::f32);
  return {quantized(n, ops::div(g, real_operand(n, 0), scale), zero, quantized_dtype(n))};
}

/// Weights are made f32 here and not in every run; nothing where they are no constants, or in blocks.
Value dequantized_weights(OnnxNode& n, int64_t axis) {
  if (!n.is_constant(0) || !n.is_constant(1) || (n.has_input(2) && !n.is_constant(2))) return {};
  const Extents extents = n.extents(0);
  const std::vector<double> x = n.constant_reals(0), scale = n.constant_reals(1);
  const std::vector<double> zero = n.has_input(2) ? n.constant_reals(2) : std::vector<double>(scale.size(), 0.0);
  int64_t places = 1, inner = 1;
  if (scale.size() != 1) {
    axis = axis_in(n, axis, n.rank(0));
    places = extents[static_cast<size_t>(axis)];
    inner = element_count(Extents(extents.begin() + axis + 1, extents.end()));
    if (n.rank(1) != 1 || static_cast<int64_t>(scale.size()) != places) return {};
  }
  if (zero.size() != scale.size()) return {};
  Tensor t(DType::f32, extents);
  const auto to = t.as<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const auto at = static_cast<size_t>(static_cast<int64_t>(i) / inner % places);
    to[i] = static_cast<float>(x[i] - zero[at]) * static_cast<float>(scale[at]);
  }
  return n.graph().constant(std::move(t));
}

std::vector<Value> dequantize(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents extents = n.extents(0);
  const int64_t axis = n.integer("axis", 1), block = n.integer("block_size", 0);
  const int64_t number = n.integer("output_dtype", 0);
  const DType dtype = number == 0 ? n.dtype(1) : dtype_of_onnx(number);
  const auto noted = [&](Value real) {
    if (block == 0 && !extents.empty())
      n.note_quantized(real, {known_input(n, 0), known_input(n, 1), is_zero(n, 2) ? Value() : known_input(n, 2),
                              element_count(n.extents(1)) == 1 ? 0 : axis_in(n, axis, n.rank(0))});
    return std::vector{real};
  };
  if (block == 0)
    if (const Value known = dequantized_weights(n, axis); known.valid()) return noted(ops::cast(g, known, dtype));
  Value x = real_operand(n, 0);
  if (!is_zero(n, 2)) x = ops::sub(g, x, ops::cast(g, along_axis(n, 2, extents, axis, block), DType::f32));
  const Value scale = ops::cast(g, along_axis(n, 1, extents, axis, block), DType::f32);
  return noted(ops::cast(g, ops::mul(g, x, scale), dtype));
}

std::vector<Value> dynamic_quantize(OnnxNode& n) {
  const DynamicallyQuantized d = dynamically_quantized(n, n.input(0));
  return {d.integers, d.scale, ops::cast(n.graph(), d.zero, DType::u8, true)};
}

// --- products ---

/// A scale of rows or columns of a matrix product.
Value matrix_scale(OnnxNode& n, int64_t i, bool rows) {
  const Value scale = real_operand(n, i);
  const Extents own = n.extents(i);
  if (element_count(own) == 1) return scale_of(n, i);
  return rows && own.size() == 1 ? ops::reshape(n.graph(), scale, Shape{own[0], 1}) : scale;
}

std::vector<Value> linear_matmul(OnnxNode& n) {
  Graph& g = n.graph();
  const Value sum = sum_as_reals(g, integer_matmul(n, integer_operands(n, 0, 3, 2, 5)));
  const Value scales = ops::mul(g, matrix_scale(n, 1, true), matrix_scale(n, 4, false));
  const Value y = ops::mul(g, sum, ops::div(g, scales, matrix_scale(n, 6, true)));
  return {quantized(n, y, zero_of(n, 7), n.dtype(7))};
}

/// One number, or one a channel, along axis 1 of a convolution's result.
Value channel_scale(OnnxNode& n, int64_t i, int64_t rank) {
  const Extents own = n.extents(i);
  if (element_count(own) == 1) return scale_of(n, i);
  if (own.size() != 1) n.fail(fmt::format("input {} has rank {}", i, own.size()));
  Extents shape(static_cast<size_t>(rank - 1), 1);
  shape[0] = own[0];
  return ops::reshape(n.graph(), real_operand(n, i), Shape(std::move(shape)));
}

std::vector<Value> linear_convolution(OnnxNode& n) {
  Graph& g = n.graph();
  Value sum = sum_as_reals(g, integer_convolution(n, integer_operands(n, 0, 3, 2, 5)));
  const int64_t rank = n.rank(0);
  if (n.has_input(8)) {
    Extents shape(static_cast<size_t>(rank - 1), 1);
    shape[0] = element_count(n.extents(8));
    sum = ops::add(g, sum, ops::reshape(g, real_operand(n, 8), Shape(std::move(shape))));
  }
  const Value scales = ops::mul(g, scale_of(n, 1), channel_scale(n, 4, rank));
  const Value y = ops::mul(g, sum, ops::div(g, scales, scale_of(n, 6)));
  return {quantized(n, y, zero_of(n, 7), n.dtype(7))};
}

Value with_bias(OnnxNode& n, Value y, int64_t bias) {
  return n.has_input(bias) ? ops::add(n.graph(), y, n.input(bias)) : y;
}

/// com.microsoft: A, B, the scales of both, their zero points, a bias.
std::vector<Value> matmul_to_float(OnnxNode& n) {
  Graph& g = n.graph();
  const Value sum = sum_as_reals(g, integer_matmul(n, integer_operands(n, 0, 1, 4, 5)));
  const Value scale = ops::mul(g, matrix_scale(n, 2, true), matrix_scale(n, 3, false));
  const Value y = ops::mul(g, sum, scale);
  return {ops::cast(g, with_bias(n, y, 6), n.dtype(2))};
}

// --- operators on quantised operands (com.microsoft): in f32, and quantised again ---

Value dequantized(OnnxNode& n, int64_t at) {
  Graph& g = n.graph();
  Value x = real_operand(n, at);
  if (const Value zero = zero_of(n, at + 2); zero.valid()) x = ops::sub(g, x, zero);
  return ops::mul(g, x, scale_of(n, at + 1));
}

OnnxMapping linear(const char* name, int64_t operands, Value (*f)(OnnxNode&, std::vector<Value>)) {
  return {
      name, 1,
      [operands, f](OnnxNode& n) {
        std::vector<Value> reals;
        for (int64_t i = 0; i < operands; ++i) reals.push_back(dequantized(n, 3 * i));
        const Value y = f(n, std::move(reals));
        const int64_t scale = 3 * operands;
        return std::vector{quantized(n, ops::div(n.graph(), y, scale_of(n, scale)), zero_of(n, scale + 1), n.dtype(0))};
      },
      std::numeric_limits<int64_t>::max(), "com.microsoft"};
}

Value global_mean(OnnxNode& n, std::vector<Value> x) {
  const bool last = n.integer("channels_last", 0) != 0;
  std::vector<int64_t> axes;
  for (int64_t i = last ? 1 : 2; i < n.rank(0) - (last ? 1 : 0); ++i) axes.push_back(i);
  return axes.empty() ? x[0] : ops::mean(n.graph(), x[0], axes, true);
}

}  // namespace

std::vector<OnnxMapping> quantization_mappings() {
  constexpr int64_t always = std::numeric_limits<int64_t>::max();
  return {
      {"QuantizeLinear", 1, quantize},
      {"QuantizeLinear", 1, quantize, always, "com.microsoft"},
      {"DequantizeLinear", 1, dequantize},
      {"DequantizeLinear", 1, dequantize, always, "com.microsoft"},
      {"DynamicQuantizeLinear", 1, dynamic_quantize},
      {"MatMulInteger", 1,
       [](OnnxNode& n) {
         return std::vector{sum_as_integers(n.graph(), integer_matmul(n, integer_operands(n, 0, 1, 2, 3)))};
       }},
      {"ConvInteger", 1,
       [](OnnxNode& n) {
         return std::vector{sum_as_integers(n.graph(), integer_convolution(n, integer_operands(n, 0, 1, 2, 3)))};
       }},
      {"QLinearMatMul", 1, linear_matmul},
      {"QLinearConv", 1, linear_convolution},
      {"MatMulIntegerToFloat", 1, matmul_to_float, always, "com.microsoft"},
      linear("QLinearAdd", 2, [](OnnxNode& n, std::vector<Value> x) { return ops::add(n.graph(), x[0], x[1]); }),
      linear("QLinearMul", 2, [](OnnxNode& n, std::vector<Value> x) { return ops::mul(n.graph(), x[0], x[1]); }),
      linear("QLinearSigmoid", 1, [](OnnxNode& n, std::vector<Value> x) { return ops::sigmoid(n.graph(), x[0]); }),
      linear("QLinearGlobalAveragePool", 1, global_mean),
  };
}

}  // namespace gregale::onnx
