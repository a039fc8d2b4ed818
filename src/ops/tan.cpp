// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& tan_op() {
  static const OpDef op = unary_op({
      .name = "tan",
      .doc = "Tangent of an angle in radians, elementwise.",
      .real = [](double x) { return std::tan(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return mul(g, d, add(g, square(g, y), 1.0)); },
      .single = [](float x) { return std::tan(x); },
      .onnx = "Tan",
      .low = -1.2,
      .high = 1.2,
  });
  return op;
}

Value tan(Graph& g, Value x) { return g.add1(tan_op(), {x}); }

}  // namespace gregale::ops
