// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& exp_op() {
  static const OpDef op = unary_op({
      .name = "exp",
      .doc = "e to the power of x, elementwise.",
      .real = [](double x) { return std::exp(x); },
      .gradient = [](Graph& g, Value, Value y, Value d) { return mul(g, d, y); },
      .kernel = kernels::UnaryOp::exp,
      .flops = 12,
      .onnx = "Exp",
  });
  return op;
}

Value exp(Graph& g, Value x) { return g.add1(exp_op(), {x}); }

}  // namespace gregale::ops
