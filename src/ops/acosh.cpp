// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& acosh_op() {
  static const OpDef op = unary_op({
      .name = "acosh",
      .doc = "Inverse of cosh for x of at least 1, elementwise; NaN below.",
      .real = [](double x) { return std::acosh(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return div(g, d, sqrt(g, add(g, square(g, x), -1.0))); },
      .single = [](float x) { return std::acosh(x); },
      .onnx = "Acosh",
      .low = 1.2,
      .high = 3,
  });
  return op;
}

Value acosh(Graph& g, Value x) { return g.add1(acosh_op(), {x}); }

}  // namespace gregale::ops
