// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& round_op() {
  static const OpDef op = unary_op({
      .name = "round",
      .doc = "The nearest integer, ties to the even one, elementwise. Its gradient is zero: it is piecewise constant.",
      .real = [](double x) { return std::nearbyint(x); },
      .expression = [](kernels::Expression& e, int32_t x) { return e.apply(kernels::ExprOp::round, x); },
      .onnx = "Round",
      .low = -3.9,
      .high = 3.9,
  });
  return op;
}

Value round(Graph& g, Value x) { return g.add1(round_op(), {x}); }

}  // namespace gregale::ops
