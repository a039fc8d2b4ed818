// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& relu_op() {
  static const OpDef op = unary_op({
      .name = "relu",
      .to_onnx = one_node("Relu"),
      .doc = "x above zero, else 0; NaN stays NaN. The gradient at zero is zero.",
      .real = [](double x) { return x <= 0 ? 0 : x; },
      .gradient =
          [](Graph& g, Value, Value y, Value d) {
            // Of the result, which somebody keeps anyway: what relu was given need not be.
            const Value zero = scalar(g, g.type(y).dtype, 0);
            return select(g, greater(g, y, zero), d, zero);
          },
      .kernel = kernels::UnaryOp::relu,
      .gap = 0.1,
  });
  return op;
}

Value relu(Graph& g, Value x) { return g.add1(relu_op(), {x}); }

}  // namespace gregale::ops
