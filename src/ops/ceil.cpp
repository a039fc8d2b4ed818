// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& ceil_op() {
  static const OpDef op = unary_op({
      .name = "ceil",
      .doc = "The least integer not below x, elementwise. Its gradient is zero: it is piecewise constant.",
      .real = [](double x) { return std::ceil(x); },
      .expression = [](kernels::Expression& e, int32_t x) { return e.apply(kernels::ExprOp::ceil, x); },
      .onnx = "Ceil",
      .low = -3.9,
      .high = 3.9,
  });
  return op;
}

Value ceil(Graph& g, Value x) { return g.add1(ceil_op(), {x}); }

}  // namespace gregale::ops
