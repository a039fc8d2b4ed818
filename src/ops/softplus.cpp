// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

/// max(x, 0) + log(1 + e) with e = exp(-|x|), and log(1 + e) = 2 atanh(e / (2 + e)) as a series: what is small keeps
/// its digits, which 1 + e would lose.
int32_t softplus_expression(kernels::Expression& e, int32_t x) {
  using kernels::ExprOp;
  const auto small = e.apply(ExprOp::exp, e.apply(ExprOp::negate, e.apply(ExprOp::abs, x)));
  const auto s = e.apply(ExprOp::div, small, e.apply(ExprOp::add, small, e.constant(2)));
  const auto square = e.apply(ExprOp::square, s);
  auto series = e.constant(2.0 / 13);
  for (const int odd : {11, 9, 7, 5, 3, 1})
    series = e.apply(ExprOp::multiply_add, series, square, e.constant(2.0 / odd));
  return e.apply(ExprOp::multiply_add, s, series, e.apply(ExprOp::relu, x));
}

}  // namespace

const OpDef& softplus_op() {
  static const OpDef op = unary_op({
      .name = "softplus",
      .doc = "log(1 + exp(x)), elementwise, without overflow.",
      .real = [](double x) { return (x <= 0 ? 0 : x) + std::log1p(std::exp(-std::abs(x))); },
      .gradient = [](Graph& g, [[maybe_unused]] Value x, [[maybe_unused]] Value y,
                     Value d) { return mul(g, d, sigmoid(g, x)); },
      .expression = softplus_expression,
      .flops = 40,
      .onnx = "Softplus",
      .low = -4,
      .high = 4,
  });
  return op;
}

Value softplus(Graph& g, Value x) { return g.add1(softplus_op(), {x}); }

}  // namespace gregale::ops
