// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& gelu_op() {
  static const OpDef op = unary_op({
      .name = "gelu",
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
