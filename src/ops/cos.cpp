// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& cos_op() {
  static const OpDef op = unary_op({
      .name = "cos",
      .doc = "Cosine of x in radians, elementwise.",
      .real = [](double x) { return std::cos(x); },
      .gradient = [](Graph& g, Value x, Value, Value d) { return neg(g, mul(g, d, sin(g, x))); },
      .kernel = kernels::UnaryOp::cos,
      .flops = 16,
      .onnx = "Cos",
  });
  return op;
}

Value cos(Graph& g, Value x) { return g.add1(cos_op(), {x}); }

}  // namespace gregale::ops
