// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& sinh_op() {
  static const OpDef op = unary_op({
      .name = "sinh",
      .doc = "Hyperbolic sine, elementwise.",
      .real = [](double x) { return std::sinh(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return mul(g, d, cosh(g, x)); },
      .single = [](float x) { return std::sinh(x); },
      .onnx = "Sinh",
  });
  return op;
}

Value sinh(Graph& g, Value x) { return g.add1(sinh_op(), {x}); }

}  // namespace gregale::ops
