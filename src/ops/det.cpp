// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

/// By elimination with the largest pivot of each column; spoils the matrix.
double determinant(double* a, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    if (a[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      product = -product;
      for (size_t j = k; j < n; ++j) std::swap(a[pivot * n + j], a[k * n + j]);
    }
    product *= a[k * n + k];
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      for (size_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return product;
}

}  // namespace

const OpDef& det_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "det";
    d.doc = "The determinants of square matrices in the last two axes; that of a matrix of no rows is 1.";
    d.inputs = {{"x", "[..., n, n], real floats"}};
    d.outputs = {{"y", "[...]"}};
    d.to_onnx = one_node("Det");
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      std::vector<Dim> dims = node.input(0).shape.dims();
      GREGALE_CHECK(dims.size() >= 2 && dims.back() == dims[dims.size() - 2], shape,
                    "[det] x is {}; expected square matrices", to_string(node.input(0)));
      dims.erase(dims.end() - 2, dims.end());
      return std::vector<Type>{Type(node.input(0).dtype, Shape(std::move(dims)))};
    };
    d.reference = [](ReferenceContext& c) {
      const auto n = static_cast<size_t>(c.inputs[0].extents.back());
      std::vector<double> x = c.inputs[0].real();
      auto& y = c.outputs[0].real();
      for (size_t i = 0; i < y.size(); ++i) y[i] = determinant(x.data() + i * n * n, n);
    };
    d.no_gradient = "its cotangent takes the inverse of the matrix, which is no operator here";
    d.cost = [](const NodeView& node) {
      const auto n = static_cast<double>(node.input(0).shape[node.input(0).rank() - 1].value());
      return default_cost(node, n * n * n / 1.5);
    };
    d.samples = [] {
      const auto sample = [](Extents x, uint32_t stream) {
        return Sample{.inputs = {sample_uniform(std::move(x), stream)}, .check_gradient = false};
      };
      return std::vector<Sample>{sample({3, 3}, 1), sample({2, 2, 4, 4}, 2), sample({5, 1, 1}, 3)};
    };
    d.onnx = {{"Det", 11, [](OnnxNode& n) { return std::vector{det(n.graph(), n.input(0))}; }}};
    return d;
  }();
  return op;
}

Value det(Graph& g, Value x) { return g.add1(det_op(), {x}); }

}  // namespace gregale::ops
