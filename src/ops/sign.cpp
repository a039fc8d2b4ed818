// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& sign_op() {
  static const OpDef op = unary_op({
      .name = "sign",
      .to_onnx = one_node("Sign"),
      .doc =
          "-1, 0 or 1 as x is below, at or above zero; NaN stays NaN. Its gradient is zero: it is piecewise constant.",
      .real = [](double x) { return std::isnan(x) ? x : double((x > 0) - (x < 0)); },
      .integer = [](int64_t x) { return int64_t{x > 0} - int64_t{x < 0}; },
      .kernel = kernels::UnaryOp::sign,
      .gap = 0.1,
  });
  return op;
}

Value sign(Graph& g, Value x) { return g.add1(sign_op(), {x}); }

}  // namespace gregale::ops
