// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& rsqrt_op() {
  static const OpDef op = unary_op({
      .name = "rsqrt",
      .to_onnx = [](OnnxWriter& w) { w.set_output(0, w.add1("Reciprocal", {w.add1("Sqrt", w.inputs())})); },
      .doc = "1 / sqrt(x), elementwise: inf at 0, NaN below.",
      .real = [](double x) { return 1 / std::sqrt(x); },
      .gradient =
          [](Graph& g, Value, Value y, Value d) {
            return mul(g, mul(g, d, mul(g, y, square(g, y))), -0.5);  // -y^3 / 2
          },
      .kernel = kernels::UnaryOp::rsqrt,
      .flops = 2,
      .low = 0.2,
      .high = 4,
  });
  return op;
}

Value rsqrt(Graph& g, Value x) { return g.add1(rsqrt_op(), {x}); }

}  // namespace gregale::ops
