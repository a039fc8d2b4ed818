// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& asinh_op() {
  static const OpDef op = unary_op({
      .name = "asinh",
      .doc = "Inverse of sinh, elementwise.",
      .real = [](double x) { return std::asinh(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return div(g, d, sqrt(g, add(g, square(g, x), 1.0))); },
      .single = [](float x) { return std::asinh(x); },
      .onnx = "Asinh",
  });
  return op;
}

Value asinh(Graph& g, Value x) { return g.add1(asinh_op(), {x}); }

}  // namespace gregale::ops
