// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& abs_op() {
  static const OpDef op = [] {
    OpDef d =
        unary_op({.name = "abs",
                  .to_onnx =
                      [](OnnxWriter& w) {
                        if (!is_complex(w.view().input(0).dtype)) return w.same("Abs");
                        w.same("ReduceL2", {{"axes", std::vector<int64_t>{-1}}, {"keepdims", int64_t{0}}});
                      },
                  .doc = "Absolute value, elementwise; of a complex operand its modulus, which is real. The gradient "
                         "at zero is zero.",
                  .real = [](double x) { return std::abs(x); },
                  .complex = [](Complex z) { return z; },
                  .integer = [](int64_t x) { return x < 0 ? static_cast<int64_t>(-static_cast<uint64_t>(x)) : x; },
                  .kernel = kernels::UnaryOp::abs,
                  .gap = 0.1});
    d.outputs = {{"y", "of x's shape; of x's dtype, or real where x is complex"}};
    const auto infer_unary = d.infer;
    d.infer = [infer_unary](const NodeView& node) {
      std::vector<Type> types = infer_unary(node);
      if (is_complex(types[0].dtype)) types[0].dtype = real_of(types[0].dtype);
      return types;
    };
    const auto reference_unary = d.reference;
    d.reference = [reference_unary](ReferenceContext& c) {
      if (!is_complex(c.inputs[0].type.dtype)) return reference_unary(c);
      const std::vector<Complex>& z = c.inputs[0].complex();
      for (size_t i = 0; i < z.size(); ++i) c.outputs[0].real()[i] = std::abs(z[i]);
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const Value x = c.input(0), y = c.output(), d_y = c.d_output();
      if (!is_complex(c.type(x).dtype)) {
        c.set_d_input(0, mul(g, d_y, sign(g, x)));
        return;
      }
      // d z / |z|, with 1 for a modulus of 0 so that neither this nor its own gradient divides by zero.
      const DType real_dtype = c.type(y).dtype;
      const Value zero = scalar(g, real_dtype, 0), one = scalar(g, real_dtype, 1);
      const Value modulus = select(g, equal(g, y, zero), one, y);
      c.set_d_input(0, mul(g, cast(g, div(g, d_y, modulus), c.type(x).dtype), x));
    };
    return d;
  }();
  return op;
}

Value abs(Graph& g, Value x) { return g.add1(abs_op(), {x}); }

}  // namespace gregale::ops
