// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& sin_op() {
  static const OpDef op = unary_op({
      .name = "sin",
      .doc = "Sine of x in radians, elementwise.",
      .real = [](double x) { return std::sin(x); },
      .gradient = [](Graph& g, Value x, Value, Value d) { return mul(g, d, cos(g, x)); },
      .kernel = kernels::UnaryOp::sin,
      .flops = 16,
      .onnx = "Sin",
  });
  return op;
}

Value sin(Graph& g, Value x) { return g.add1(sin_op(), {x}); }

}  // namespace gregale::ops
