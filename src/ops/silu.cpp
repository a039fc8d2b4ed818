// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& silu_op() {
  static const OpDef op = unary_op({
      .name = "silu",
      .to_onnx =
          [](OnnxWriter& w) {
            w.set_output(0, w.add1("Mul", {w.input(0), w.add1("Sigmoid", w.inputs())}));
          },
      .doc = "x sigmoid(x), elementwise (also called swish).",
      .real = [](double x) { return x / (1 + std::exp(-x)); },
      .gradient =
          [](Graph& g, Value x, Value y, Value d) {
            const Value s = sigmoid(g, x);
            return mul(g, d, add(g, s, sub(g, y, mul(g, y, s))));  // s + y (1 - s)
          },
      .kernel = kernels::UnaryOp::silu,
      .flops = 15,
  });
  return op;
}

Value silu(Graph& g, Value x) { return g.add1(silu_op(), {x}); }

}  // namespace gregale::ops
