// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& atan_op() {
  static const OpDef op = unary_op({
      .name = "atan",
      .doc = "The angle in (-pi/2, pi/2) whose tangent is x, elementwise.",
      .real = [](double x) { return std::atan(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return div(g, d, add(g, square(g, x), 1.0)); },
      .single = [](float x) { return std::atan(x); },
      .onnx = "Atan",
  });
  return op;
}

Value atan(Graph& g, Value x) { return g.add1(atan_op(), {x}); }

}  // namespace gregale::ops
