// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "onnx/quantized.hpp"
#include "onnx/window.hpp"

namespace gregale::onnx {
namespace {

std::vector<Value> matmul(OnnxNode& n) {
  Graph& g = n.graph();
  if (const Value y = matmul_of_quantized(n); y.valid()) return {y};
  Value a = n.input(0), b = n.input(1);
  Extents ae = n.extents(0), be = n.extents(1);
  if (ae.empty() || be.empty()) n.fail("an operand is of rank 0");
  const bool row = ae.size() == 1, column = be.size() == 1;
  if (row) a = with_extents(g, a, {1, ae[0]});
  if (column) b = with_extents(g, b, {be[0], 1});
  Value y = ops::matmul(g, a, b);
  Extents e = g.type(y).shape.extents();
  if (column) e.pop_back();
  if (row) e.erase(e.end() - (column ? 1 : 2));
  return {with_extents(g, y, e)};
}

/// x times a number that an attribute gives, in x's dtype: integers by way of f64, unless it is one.
Value scaled(Graph& g, Value x, double factor) {
  const DType dtype = g.type(x).dtype;
  if (factor == 1) return x;
  if (is_real_float(dtype)) return ops::mul(g, x, factor);
  return ops::cast(g, ops::mul(g, ops::cast(g, x, DType::f64), factor), dtype);
}

std::vector<Value> gemm(OnnxNode& n) {
  Graph& g = n.graph();
  if (n.rank(0) != 2 || n.rank(1) != 2)
    n.fail(fmt::format("operands are {} and {}, not matrices", to_string(n.type(0)), to_string(n.type(1))));
  const bool transposed_a = n.integer("transA", 0) != 0, transposed_b = n.integer("transB", 0) != 0;
  Value y = transposed_a ? Value() : matmul_of_quantized(n, transposed_b);
  if (!y.valid()) y = ops::matmul(g, n.input(0), n.input(1), transposed_a, transposed_b);
  y = scaled(g, y, n.real("alpha", 1));
  const double beta = n.real("beta", 1);
  if (n.has_input(2) && beta != 0) {
    const Shape shape = g.type(y).shape;
    y = ops::add(g, y, scaled(g, n.input(2), beta));
    if (g.type(y).shape != shape)
      n.fail(fmt::format("C is {}, for a result {}", to_string(n.type(2)), to_string(shape)));
  }
  return {y};
}

}  // namespace

std::vector<OnnxMapping> contraction_mappings() {
  std::vector<OnnxMapping> all{{"MatMul", 1, matmul}, {"Gemm", 1, gemm}};
  for (auto* more : {convolution_mappings, einsum_mappings})
    for (OnnxMapping& m : more()) all.push_back(std::move(m));
  return all;
}

}  // namespace gregale::onnx
