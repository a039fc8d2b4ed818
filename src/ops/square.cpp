// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& square_op() {
  static const OpDef op = unary_op({
      .name = "square",
      .to_onnx =
          [](OnnxWriter& w) {
            if (is_complex(w.view().input(0).dtype)) w.unsupported("of complex numbers");
            w.set_output(0, w.add1("Mul", {w.input(0), w.input(0)}));
          },
      .doc = "x times x, elementwise. Real or integer.",
      .real = [](double x) { return x * x; },
      .integer = [](int64_t x) { return static_cast<int64_t>(static_cast<uint64_t>(x) * static_cast<uint64_t>(x)); },
      .gradient = [](Graph& g, Value x, Value, Value d) { return mul(g, mul(g, d, x), 2.0); },
      .kernel = kernels::UnaryOp::square,
  });
  return op;
}

Value square(Graph& g, Value x) { return g.add1(square_op(), {x}); }

}  // namespace gregale::ops
