// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

struct Choice {
  bool least, last;
  /// NaN is chosen only where there is nothing else.
  template <class T>
  bool takes(T x, T best) const {
    return (least ? x < best : x > best) || (last && x == best) || (best != best && x == x);
  }
};
Choice choice_of(const NodeView& node) { return {node.boolean("least"), node.boolean("last")}; }

template <class T>
void search(ThreadTeam& team, const AxisView& s, Choice choice, const T* x, int64_t* y) {
  const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max<int64_t>(1, s.count));
  parallel_for(team, s.outer * s.inner, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t lane = begin; lane < end; ++lane) {
      const T* from = x + lane / s.inner * s.count * s.inner + lane % s.inner;
      T best = *from;
      int64_t at = 0;
      for (int64_t i = 1; i < s.count; ++i) {
        if (!choice.takes(from[i * s.inner], best)) continue;
        best = from[i * s.inner];
        at = i;
      }
      y[lane] = at;
    }
  });
}

Result<Kernel> make_argmax(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const DType dtype = node.input(0).dtype;
  const AxisView s = axis_split(node.input(0), axis_of(node));
  Kernel kernel;
  const auto of = [&](auto zero) {
    using T = decltype(zero);
    kernel.run = [s, choice = choice_of(node)](const Launch& l) {
      search(l.team, s, choice, static_cast<const T*>(l.inputs[0]), static_cast<int64_t*>(l.outputs[0]));
    };
  };
  if (dtype == DType::f32)
    of(float{});
  else if (dtype == DType::f64)
    of(double{});
  else if (!visit_integer(dtype, of))
    return refuse(node, fmt::format("{} is not among its dtypes", name_of(dtype)));
  return kernel;
}

}  // namespace

const OpDef& argmax_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "argmax";
    d.doc =
        "Where along an axis the greatest element is, or the least one: the first such, or the last one. NaN is passed "
        "over. Real or integer.";
    d.inputs = {{"x", "real numbers, with at least one element along the axis"}};
    d.outputs = {{"y", "i64: x without the axis, or with extent 1 there where keep_dims is set"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis, negative from the end", {}},
                    {"keep_dims", AttributeKind::boolean, "leave the axis as extent 1", false},
                    {"least", AttributeKind::boolean, "look for the least element", false},
                    {"last", AttributeKind::boolean, "take the last of those that are equal", false}};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      w.same(node.boolean("least") ? "ArgMin" : "ArgMax", {{"axis", node.integer("axis")},
                                                           {"keepdims", int64_t{node.boolean("keep_dims")}},
                                                           {"select_last_index", int64_t{node.boolean("last")}}});
    };
    d.infer = [](const NodeView& node) {
      const DType dtype = node.input(0).dtype;
      GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype, "[argmax] x has dtype {}; expected a real number",
                    name_of(dtype));
      const int64_t axis = axis_of(node);
      std::vector<Dim> dims = node.input(0).shape.dims();
      GREGALE_CHECK(dims[static_cast<size_t>(axis)] != Dim(0), shape, "[argmax] axis {} is empty", axis);
      if (node.boolean("keep_dims"))
        dims[static_cast<size_t>(axis)] = Dim(1);
      else
        dims.erase(dims.begin() + axis);
      return std::vector<Type>{Type(DType::i64, Shape(std::move(dims)))};
    };
    d.reference = [](ReferenceContext& c) {
      const Choice choice = choice_of(c.node);
      // u64 stands as i64 by its bits, so flip the top one to compare.
      const int64_t bits = c.inputs[0].type.dtype == DType::u64 ? INT64_MIN : 0;
      auto& y = c.outputs[0].integer();
      size_t o = 0;
      for_each_lane(c.inputs[0].extents, axis_of(c.node), [&](const Lane& lane) {
        int64_t best = 0;
        const auto takes = [&](int64_t i) {
          if (is_real_float(c.inputs[0].type.dtype))
            return choice.takes(c.inputs[0].real()[lane.at(i)], c.inputs[0].real()[lane.at(best)]);
          return choice.takes(c.inputs[0].integer()[lane.at(i)] ^ bits, c.inputs[0].integer()[lane.at(best)] ^ bits);
        };
        for (int64_t i = 1; i < lane.count; ++i)
          if (takes(i)) best = i;
        y[o++] = best;
      });
    };
    d.no_gradient = "the result is a place";
    d.lowerings = {{"native", make_argmax}};
    d.samples = [] {
      std::vector<Sample> samples;
      uint32_t stream = 0;
      for (const bool keep_dims : {false, true})
        for (const bool least : {false, true})
          for (const bool last : {false, true}) {
            const Attributes a{{"axis", int64_t{1}}, {"keep_dims", keep_dims}, {"least", least}, {"last", last}};
            samples.push_back({.inputs = {sample_ties({2, 7, 3}, ++stream)}, .attributes = a, .check_gradient = false});
            samples.push_back(
                {.inputs = {sample_integers({3, 9}, ++stream, -3, 4)}, .attributes = a, .check_gradient = false});
          }
      Tensor holes = sample_uniform({9}, 30);
      holes.as<double>()[0] = holes.as<double>()[4] = std::numeric_limits<double>::quiet_NaN();
      samples.push_back({.inputs = {holes}, .attributes = {{"axis", int64_t{-1}}}, .check_gradient = false});
      return samples;
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value argmax(Graph& g, Value x, int64_t axis, const ArgmaxOptions& o) {
  return g.add1(argmax_op(), {x}, {{"axis", axis}, {"keep_dims", o.keep_dims}, {"least", o.least}, {"last", o.last}});
}

}  // namespace gregale::ops
