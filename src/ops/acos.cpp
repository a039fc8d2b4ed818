// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& acos_op() {
  static const OpDef op = unary_op({
      .name = "acos",
      .doc = "The angle in [0, pi] whose cosine is x, elementwise; NaN beyond [-1, 1].",
      .real = [](double x) { return std::acos(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return neg(g, div(g, d, sqrt(g, add(g, neg(g, square(g, x)), 1.0)))); },
      .single = [](float x) { return std::acos(x); },
      .onnx = "Acos",
      .low = -0.9,
      .high = 0.9,
  });
  return op;
}

Value acos(Graph& g, Value x) { return g.add1(acos_op(), {x}); }

}  // namespace gregale::ops
