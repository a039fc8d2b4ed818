// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& tanh_op() {
  static const OpDef op = unary_op({
      .name = "tanh",
      .doc = "Hyperbolic tangent, elementwise.",
      .real = [](double x) { return std::tanh(x); },
      .gradient = [](Graph& g, Value, Value y, Value d) { return sub(g, d, mul(g, d, square(g, y))); },
      .kernel = kernels::UnaryOp::tanh,
      .flops = 16,
      .onnx = "Tanh",
  });
  return op;
}

Value tanh(Graph& g, Value x) { return g.add1(tanh_op(), {x}); }

}  // namespace gregale::ops
