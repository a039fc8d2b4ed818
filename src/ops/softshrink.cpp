// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& softshrink_op() {
  static const OpDef op = [] {
    OpDef d =
        unary_op({.name = "softshrink",
                  .doc = "Pulls x towards zero by lambda: x - lambda above lambda, x + lambda below -lambda, 0 in "
                         "between (and there the gradient is zero). NaN stays NaN.",
                  .real = [](double x) { return x; }});
    d.attributes = {{"lambda", AttributeKind::real, "half the width of the dead zone, at least 0", {}}};
    const auto infer_unary = d.infer;
    d.to_onnx = [](OnnxWriter& w) {
      const double lambda = w.view().real("lambda");
      w.same("Shrink", {{"lambd", lambda}, {"bias", lambda}});
    };
    d.infer = [infer_unary](const NodeView& node) {
      GREGALE_CHECK(node.real("lambda") >= 0, invalid_argument, "[softshrink] lambda is {}; it must be at least 0",
                    node.real("lambda"));
      return infer_unary(node);
    };
    d.reference = [](ReferenceContext& c) {
      const double lambda = c.node.real("lambda");
      const std::vector<double>& x = c.inputs[0].real();
      for (size_t i = 0; i < x.size(); ++i)
        c.outputs[0].real()[i] = x[i] > lambda      ? x[i] - lambda
                                 : x[i] < -lambda   ? x[i] + lambda
                                 : std::isnan(x[i]) ? x[i]
                                                    : 0.0;
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const DType dtype = c.type(c.input(0)).dtype;
      const Value outside = greater(g, abs(g, c.input(0)), scalar(g, dtype, c.view().real("lambda")));
      c.set_d_input(0, select(g, outside, c.d_output(), scalar(g, dtype, 0)));
    };
    d.lowerings = {unary_lowering(kernels::UnaryOp::softshrink,
                                  [](const NodeView& node) { return static_cast<float>(node.real("lambda")); })};
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      using kernels::ExprOp;
      // x minus what lies within the dead zone; NaN minus anything is NaN.
      const auto lambda = e.constant(node.real("lambda")), minus = e.constant(-node.real("lambda"));
      return e.apply(ExprOp::sub, in[0], e.apply(ExprOp::max, e.apply(ExprOp::min, in[0], lambda), minus));
    };
    d.samples = [] {
      // The kinks lie at +-0.5 and at 0; 1/16 is clear of both.
      std::vector<Sample> samples;
      for (const Extents& extents : {Extents{}, Extents{4}, Extents{5, 13}})
        samples.push_back({.inputs = {sample_distinct(extents, 1, 0.0625)}, .attributes = {{"lambda", 0.5}}});
      samples.push_back({.inputs = {sample_away_from_zero({6}, 2, 0.1)}, .attributes = {{"lambda", 0.0}}});
      return samples;
    };
    return d;
  }();
  return op;
}

Value softshrink(Graph& g, Value x, double lambda) { return g.add1(softshrink_op(), {x}, {{"lambda", lambda}}); }

}  // namespace gregale::ops
