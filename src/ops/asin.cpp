// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& asin_op() {
  static const OpDef op = unary_op({
      .name = "asin",
      .doc = "The angle in [-pi/2, pi/2] whose sine is x, elementwise; NaN beyond [-1, 1].",
      .real = [](double x) { return std::asin(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return div(g, d, sqrt(g, add(g, neg(g, square(g, x)), 1.0))); },
      .single = [](float x) { return std::asin(x); },
      .onnx = "Asin",
      .low = -0.9,
      .high = 0.9,
  });
  return op;
}

Value asin(Graph& g, Value x) { return g.add1(asin_op(), {x}); }

}  // namespace gregale::ops
