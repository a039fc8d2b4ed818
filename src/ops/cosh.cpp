// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& cosh_op() {
  static const OpDef op = unary_op({
      .name = "cosh",
      .doc = "Hyperbolic cosine, elementwise.",
      .real = [](double x) { return std::cosh(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return mul(g, d, sinh(g, x)); },
      .single = [](float x) { return std::cosh(x); },
      .onnx = "Cosh",
  });
  return op;
}

Value cosh(Graph& g, Value x) { return g.add1(cosh_op(), {x}); }

}  // namespace gregale::ops
