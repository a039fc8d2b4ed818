// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& reciprocal_op() {
  static const OpDef op = unary_op({
      .name = "reciprocal",
      .doc = "1 / x, elementwise; infinite at zero.",
      .real = [](double x) { return 1 / x; },
      .gradient = [](Graph& g, Value, Value y, Value d) { return neg(g, mul(g, d, square(g, y))); },
      .kernel = kernels::UnaryOp::reciprocal,
      .onnx = "Reciprocal",
      .gap = 0.5,
  });
  return op;
}

Value reciprocal(Graph& g, Value x) { return g.add1(reciprocal_op(), {x}); }

}  // namespace gregale::ops
