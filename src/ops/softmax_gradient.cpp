// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_kernel.hpp"
#include "kernels/reduction/reduction.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& softmax_gradient_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "softmax_gradient";
    d.doc =
        "The cotangent of softmax's operand, y (d_y - sum(d_y y)) along the axis, in one pass over the result y and "
        "its cotangent d_y.";
    d.inputs = {{"y", "softmax's result"}, {"d_y", "of y's type"}};
    d.outputs = {{"d_x", "of y's type"}};
    d.attributes = {{"axis", AttributeKind::integer, "softmax's axis", int64_t{-1}}};
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      check_same_type(node, 0, 1);
      normalize_axis(node.integer("axis"), node.input(0).rank(), "softmax_gradient");
      return std::vector<Type>{node.input(0)};
    };
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      using kernels::ExprOp;
      if (normalize_axis(node.integer("axis"), node.input(0).rank(), "softmax") != node.input(0).rank() - 1) return -1;
      const auto dot = e.apply(ExprOp::row_sum, e.apply(ExprOp::mul, in[1], in[0]));
      return e.apply(ExprOp::mul, in[0], e.apply(ExprOp::sub, in[1], dot));
    };
    d.reference = [](ReferenceContext& c) {
      const auto &y = c.inputs[0].real(), &d_y = c.inputs[1].real();
      auto& d_x = c.outputs[0].real();
      for_each_lane(c.inputs[0].extents, c.node.integer("axis"), [&](const Lane& lane) {
        double dot = 0;
        for (int64_t i = 0; i < lane.count; ++i) dot += d_y[lane.at(i)] * y[lane.at(i)];
        for (int64_t i = 0; i < lane.count; ++i) d_x[lane.at(i)] = y[lane.at(i)] * (d_y[lane.at(i)] - dot);
      });
    };
    d.expand = [](ExpandContext& c) {
      Graph& g = c.graph;
      const Value y = c.inputs[0], d_y = c.inputs[1];
      const Value dot = sum(g, mul(g, d_y, y), {c.node.integer("axis")}, true);
      return std::vector<Value>{mul(g, y, sub(g, d_y, dot))};
    };
    d.lowerings = {{"f32", [](const NodeView& node, const Target& target) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      Kernel kernel;
                      kernel.run = [s = axis_split(node.input(0), node.integer("axis")),
                                    isa = target.isa](const Launch& l) {
                        kernels::softmax_backward_f32(
                            isa, l.team, s.outer, s.count, s.inner, static_cast<const float*>(l.inputs[0]),
                            static_cast<const float*>(l.inputs[1]), static_cast<float*>(l.outputs[0]));
                      };
                      kernel.in_place = {{0, 1}};
                      return kernel;
                    }}};
    d.cost = [](const NodeView& node) { return default_cost(node, 4); };
    d.samples = [] {
      const auto sample = [](const Extents& extents, int64_t axis, uint32_t stream) {
        return Sample{.inputs = {sample_uniform(extents, stream, 0, 1), sample_uniform(extents, stream + 100)},
                      .attributes = {{"axis", axis}}};
      };
      return std::vector<Sample>{sample({5}, 0, 1), sample({3, 21}, -1, 2), sample({4, 3}, 0, 3),
                                 sample({2, 3, 4}, 1, 4)};
    };
    return d;
  }();
  return op;
}

Value softmax_gradient(Graph& g, Value y, Value d_y, int64_t axis) {
  return g.add1(softmax_gradient_op(), {y, d_y}, {{"axis", axis}});
}

}  // namespace gregale::ops
