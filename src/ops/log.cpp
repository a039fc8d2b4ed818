// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& log_op() {
  static const OpDef op = unary_op({
      .name = "log",
      .doc = "Natural logarithm, elementwise: -inf at 0, NaN below.",
      .real = [](double x) { return std::log(x); },
      .gradient = [](Graph& g, Value x, Value, Value d) { return div(g, d, x); },
      .kernel = kernels::UnaryOp::log,
      .flops = 12,
      .onnx = "Log",
      .low = 0.2,
      .high = 4,
  });
  return op;
}

Value log(Graph& g, Value x) { return g.add1(log_op(), {x}); }

}  // namespace gregale::ops
