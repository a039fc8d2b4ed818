// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& gelu_op() {
  static const OpDef op = unary_op({
      .name = "gelu",
      .to_onnx =
          [](OnnxWriter& w) {
            const DType dtype = w.view().input(0).dtype;
            const std::string e = w.add1("Erf", {w.add1("Mul", {w.input(0), w.scalar(dtype, std::sqrt(0.5))})});
            const std::string share = w.add1("Mul", {w.add1("Add", {e, w.scalar(dtype, 1)}), w.scalar(dtype, 0.5)});
            w.set_output(0, w.add1("Mul", {w.input(0), share}));
          },
      .doc =
          "x Phi(x) with the normal distribution function Phi(x) = (1 + erf(x / sqrt 2)) / 2, elementwise: the exact "
          "form of Hendrycks and Gimpel, \"Gaussian error linear units\", 2016.",
      // erfc keeps the relative accuracy of the left tail, where 1 + erf cancels.
      .real = [](double x) { return 0.5 * x * std::erfc(-x * M_SQRT1_2); },
      .gradient =
          [](Graph& g, Value x, Value, Value d) {
            const Value cdf = add(g, mul(g, erf(g, mul(g, x, M_SQRT1_2)), 0.5), 0.5);
            const Value density = mul(g, exp(g, mul(g, square(g, x), -0.5)), 0.5 * M_2_SQRTPI * M_SQRT1_2);
            return mul(g, d, add(g, cdf, mul(g, x, density)));
          },
      .kernel = kernels::UnaryOp::gelu,
      .flops = 20,
  });
  return op;
}

Value gelu(Graph& g, Value x) { return g.add1(gelu_op(), {x}); }

}  // namespace gregale::ops
