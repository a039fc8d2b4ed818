// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& floor_op() {
  static const OpDef op = unary_op({
      .name = "floor",
      .doc = "The greatest integer not above x, elementwise. Its gradient is zero: it is piecewise constant.",
      .real = [](double x) { return std::floor(x); },
      .expression = [](kernels::Expression& e, int32_t x) { return e.apply(kernels::ExprOp::floor, x); },
      .onnx = "Floor",
      .low = -3.9,
      .high = 3.9,
  });
  return op;
}

Value floor(Graph& g, Value x) { return g.add1(floor_op(), {x}); }

}  // namespace gregale::ops
