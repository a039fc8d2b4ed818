// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

struct CumulativeMode {
  bool product, exclusive, reverse;
};
CumulativeMode mode_of_cumulative(const NodeView& node) {
  return {node.boolean("product"), node.boolean("exclusive"), node.boolean("reverse")};
}

/// One lane; Sum is what wraps, or f64.
template <class Sum, class T>
void accumulate(const T* x, T* y, int64_t count, int64_t stride, CumulativeMode mode) {
  Sum sum = mode.product ? 1 : 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = (mode.reverse ? count - 1 - k : k) * stride;
    const Sum next = mode.product ? sum * static_cast<Sum>(x[i]) : sum + static_cast<Sum>(x[i]);
    y[i] = static_cast<T>(mode.exclusive ? sum : next);
    sum = next;
  }
}

Result<Kernel> make_cumulative(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const DType dtype = node.input(0).dtype;
  const AxisView s = axis_split(node.input(0), axis_of(node));
  Kernel kernel;
  const auto of = [&](auto zero) {
    using T = decltype(zero);
    kernel.run = [s, mode = mode_of_cumulative(node)](const Launch& l) {
      const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max<int64_t>(1, s.count));
      parallel_for(l.team, s.outer * s.inner, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t lane = begin; lane < end; ++lane) {
          const int64_t at = lane / s.inner * s.count * s.inner + lane % s.inner;
          accumulate<std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>>(
              static_cast<const T*>(l.inputs[0]) + at, static_cast<T*>(l.outputs[0]) + at, s.count, s.inner, mode);
        }
      });
    };
  };
  if (dtype == DType::f32)
    of(float{});
  else if (dtype == DType::f64)
    of(double{});
  else if (!visit_integer(dtype, of))
    return refuse(node, fmt::format("{} is not among its dtypes", name_of(dtype)));
  kernel.in_place = {{0, 0}};
  return kernel;
}

}  // namespace

const OpDef& cumulative_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "cumulative";
    d.doc =
        "The sum, or product, of all elements up to each one along an axis: with itself or without (then the first is "
        "0, or 1), from the beginning or from the end. Real or integer (wrapping). The gradient of products is that "
        "of operands without zeros.";
    d.inputs = {{"x", "real numbers"}};
    d.outputs = {{"y", "of x's dtype and shape"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis, negative from the end", {}},
                    {"product", AttributeKind::boolean, "products instead of sums", false},
                    {"exclusive", AttributeKind::boolean, "without the element itself", false},
                    {"reverse", AttributeKind::boolean, "from the end", false}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      if (node.boolean("product")) w.unsupported("products");
      w.set_output(0, w.add1("CumSum", {w.input(0), w.constant(Tensor::scalar<int64_t>(node.integer("axis")))},
                             {{"exclusive", int64_t{node.boolean("exclusive")}},
                              {"reverse", int64_t{node.boolean("reverse")}}}));
    };
    d.infer = [](const NodeView& node) {
      const DType dtype = node.input(0).dtype;
      GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype,
                    "[cumulative] x has dtype {}; expected a real number", name_of(dtype));
      axis_of(node);
      return std::vector<Type>{node.input(0)};
    };
    d.reference = [](ReferenceContext& c) {
      const CumulativeMode mode = mode_of_cumulative(c.node);
      for_each_lane(c.inputs[0].extents, axis_of(c.node), [&](const Lane& lane) {
        if (is_real_float(c.inputs[0].type.dtype))
          accumulate<double>(c.inputs[0].real().data() + lane.begin, c.outputs[0].real().data() + lane.begin,
                             lane.count, lane.stride, mode);
        else
          accumulate<uint64_t>(c.inputs[0].integer().data() + lane.begin, c.outputs[0].integer().data() + lane.begin,
                               lane.count, lane.stride, mode);
      });
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const int64_t axis = c.view().integer("axis");
      const CumulativeMode mode = mode_of_cumulative(c.view());
      const Value d = mode.product ? mul(g, c.d_output(), c.output()) : c.d_output();
      const Value back = cumulative(g, d, axis, {false, mode.exclusive, !mode.reverse});
      c.set_d_input(0, mode.product ? div(g, back, c.input(0)) : back);
    };
    d.lowerings = {{"native", make_cumulative}};
    d.samples = [] {
      std::vector<Sample> samples;
      uint32_t stream = 0;
      for (const bool product : {false, true})
        for (const bool exclusive : {false, true})
          for (const bool reverse : {false, true}) {
            const Attributes a{
                {"axis", int64_t{1}}, {"product", product}, {"exclusive", exclusive}, {"reverse", reverse}};
            samples.push_back(
                {.inputs = {sample_away_from_zero({2, 5, 3}, ++stream, 0.5, -1.5, 1.5)}, .attributes = a});
            samples.push_back(
                {.inputs = {sample_integers({3, 4}, ++stream)}, .attributes = a, .check_gradient = false});
          }
      samples.push_back({.inputs = {sample_uniform({17}, 40)}, .attributes = {{"axis", int64_t{-1}}}});
      return samples;
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value cumulative(Graph& g, Value x, int64_t axis, const CumulativeOptions& o) {
  return g.add1(cumulative_op(), {x},
                {{"axis", axis}, {"product", o.product}, {"exclusive", o.exclusive}, {"reverse", o.reverse}});
}

}  // namespace gregale::ops
