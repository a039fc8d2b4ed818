// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& erf_op() {
  static const OpDef op = unary_op({
      .name = "erf",
      .doc = "Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, elementwise.",
      .real = [](double x) { return std::erf(x); },
      .gradient = [](Graph& g, Value x, Value,
                     Value d) { return mul(g, d, mul(g, exp(g, neg(g, square(g, x))), M_2_SQRTPI)); },
      .kernel = kernels::UnaryOp::erf,
      .flops = 16,
      .onnx = "Erf",
  });
  return op;
}

Value erf(Graph& g, Value x) { return g.add1(erf_op(), {x}); }

}  // namespace gregale::ops
