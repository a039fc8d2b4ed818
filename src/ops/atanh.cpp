// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& atanh_op() {
  static const OpDef op = unary_op({
      .name = "atanh",
      .doc = "Inverse of tanh, elementwise; infinite at -1 and 1, NaN beyond.",
      .real = [](double x) { return std::atanh(x); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return div(g, d, add(g, neg(g, square(g, x)), 1.0)); },
      .single = [](float x) { return std::atanh(x); },
      .onnx = "Atanh",
      .low = -0.9,
      .high = 0.9,
  });
  return op;
}

Value atanh(Graph& g, Value x) { return g.add1(atanh_op(), {x}); }

}  // namespace gregale::ops
