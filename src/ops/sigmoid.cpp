// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& sigmoid_op() {
  static const OpDef op = unary_op({
      .name = "sigmoid",
      .doc = "1 / (1 + exp(-x)), elementwise.",
      .real = [](double x) { return 1 / (1 + std::exp(-x)); },
      .gradient =
          [](Graph& g, Value, Value y, Value d) {
            return mul(g, d, sub(g, y, square(g, y)));  // y (1 - y)
          },
      .kernel = kernels::UnaryOp::sigmoid,
      .flops = 14,
      .onnx = "Sigmoid",
  });
  return op;
}

Value sigmoid(Graph& g, Value x) { return g.add1(sigmoid_op(), {x}); }

}  // namespace gregale::ops
