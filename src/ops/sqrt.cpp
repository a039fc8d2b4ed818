// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& sqrt_op() {
  static const OpDef op = unary_op({
      .name = "sqrt",
      .doc = "Square root, elementwise: NaN below 0.",
      .real = [](double x) { return std::sqrt(x); },
      .gradient = [](Graph& g, Value, Value y, Value d) { return div(g, mul(g, d, 0.5), y); },
      .kernel = kernels::UnaryOp::sqrt,
      .onnx = "Sqrt",
      .low = 0.2,
      .high = 4,
  });
  return op;
}

Value sqrt(Graph& g, Value x) { return g.add1(sqrt_op(), {x}); }

}  // namespace gregale::ops
