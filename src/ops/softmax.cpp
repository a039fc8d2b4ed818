// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "kernels/reduction/reduction.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& softmax_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "softmax";
    d.doc =
        "exp(x) / sum(exp(x)) along one axis, with the axis's greatest value subtracted first, so that nothing "
        "overflows. A slice that holds NaN or +inf, or only -inf, gives NaN.";
    d.inputs = {{"x", "real float, of rank at least 1"}};
    d.outputs = {{"y", "of x's dtype and shape; sums to 1 along the axis"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis, negative from the end", int64_t{-1}}};
    d.to_onnx = [](OnnxWriter& w) { w.same("Softmax", {{"axis", w.view().integer("axis")}}); };
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      normalize_axis(node.integer("axis"), node.input(0).rank(), "softmax");
      return std::vector<Type>{node.input(0)};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].real();
      auto& y = c.outputs[0].real();
      for_each_lane(c.inputs[0].extents, c.node.integer("axis"), [&](const Lane& lane) {
        double greatest = -INFINITY, total = 0;
        for (int64_t i = 0; i < lane.count; ++i) greatest = std::fmax(greatest, x[lane.at(i)]);
        for (int64_t i = 0; i < lane.count; ++i) total += y[lane.at(i)] = std::exp(x[lane.at(i)] - greatest);
        for (int64_t i = 0; i < lane.count; ++i) y[lane.at(i)] /= total;
      });
    };
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, softmax_gradient(c.graph(), c.output(), c.d_output(), c.view().integer("axis")));
    };
    d.expand = [](ExpandContext& c) {
      Graph& g = c.graph;
      const std::vector<int64_t> axis{c.node.integer("axis")};
      const Value e = exp(g, sub(g, c.inputs[0], max(g, c.inputs[0], axis, true)));
      return std::vector<Value>{div(g, e, sum(g, e, axis, true))};
    };
    d.lowerings = {{"f32", [](const NodeView& node, const Target& target) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      Kernel kernel;
                      kernel.run = [s = axis_split(node.input(0), node.integer("axis")),
                                    isa = target.isa](const Launch& l) {
                        kernels::softmax_f32(isa, l.team, s.outer, s.count, s.inner,
                                             static_cast<const float*>(l.inputs[0]), static_cast<float*>(l.outputs[0]));
                      };
                      kernel.in_place = {{0, 0}};
                      return kernel;
                    }}};
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      using kernels::ExprOp;
      if (normalize_axis(node.integer("axis"), node.input(0).rank(), "softmax") != node.input(0).rank() - 1) return -1;
      const auto p = e.apply(ExprOp::exp, e.apply(ExprOp::sub, in[0], e.apply(ExprOp::row_max, in[0])));
      return e.apply(ExprOp::mul, p, e.apply(ExprOp::reciprocal, e.apply(ExprOp::row_sum, p)));
    };
    d.cost = [](const NodeView& node) { return default_cost(node, 16); };
    d.samples = [] {
      const auto sample = [](Extents extents, int64_t axis, uint32_t stream) {
        return Sample{.inputs = {sample_uniform(std::move(extents), stream, -3, 3)}, .attributes = {{"axis", axis}}};
      };
      return std::vector<Sample>{sample({5}, 0, 1), sample({3, 21}, -1, 2), sample({4, 3}, 0, 3),
                                 sample({2, 3, 4}, 1, 4), sample({3, 1}, 1, 5)};
    };
    return d;
  }();
  return op;
}

Value softmax(Graph& g, Value x, int64_t axis) { return g.add1(softmax_op(), {x}, {{"axis", axis}}); }

}  // namespace gregale::ops
