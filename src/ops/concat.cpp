// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_concat(const NodeView& node) {
  const Type& first = node.input(0);
  const int64_t axis = axis_of(node);
  Type result = first;
  int64_t total = 0;
  for (int64_t i = 0; i < node.input_count(); ++i) {
    const Type& t = node.input(i);
    GREGALE_CHECK(t.dtype == first.dtype, dtype, "[concat] operand {} is {} but operand 0 is {}", i, name_of(t.dtype),
                  name_of(first.dtype));
    bool fits = t.rank() == first.rank();
    for (int64_t a = 0; fits && a < first.rank(); ++a) fits = a == axis || t.shape[a] == first.shape[a];
    GREGALE_CHECK(fits, shape, "[concat] operand {} is {}, which does not join {} along axis {}", i, to_string(t),
                  to_string(first), axis);
    if (node.input_count() == 1) return {result};
    GREGALE_CHECK(t.shape[axis].is_constant(), unsupported, "[concat] axis {} of {} is symbolic", axis, to_string(t));
    total = extent_sum(total, 1, t.shape[axis].value(), "concat");
  }
  result.shape[axis] = Dim(total);
  return {result};
}

void reference_concat(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node);
  const AxisSplit to = split_at(c.outputs[0].extents, axis);
  int64_t at = 0;
  for (const RefArray& x : c.inputs) {
    const AxisSplit from = split_at(x.extents, axis);
    const int64_t run = from.extent * from.inner;
    visit_same(x, c.outputs[0], [&](const auto& in, auto& out) {
      for (int64_t o = 0; o < to.outer; ++o)
        for (int64_t i = 0; i < run; ++i)
          out[static_cast<size_t>(o * to.extent * to.inner + at + i)] = in[static_cast<size_t>(o * run + i)];
    });
    at += run;
  }
}

void gradient_concat(GradientContext& c) {
  const int64_t axis = axis_of(c.view()), count = c.view().input_count();
  if (count == 1) {
    c.set_d_input(0, c.d_output());
    return;
  }
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = c.type(c.input(i)).shape[axis].value();
    c.set_d_input(i, slice_axis(c.graph(), c.d_output(), axis, at, at + n));
    at += n;
  }
}

Result<Kernel> make_concat(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const int64_t axis = axis_of(node);
  const AxisSplit to = split_at(node.outputs()[0].shape.extents(), axis);
  std::vector<int64_t> middle;
  for (const Type& t : node.inputs()) middle.push_back(t.shape[axis].value());
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), to, middle](const Launch& l) {
    kernels::concat(l.team, size, to.outer, to.inner, static_cast<int>(middle.size()), middle.data(), l.inputs,
                    l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& concat_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "concat";
    d.doc = "Joins the operands, in order, along one axis; the other extents agree.";
    d.inputs = {{"xs", "one dtype, one rank", OperandDef::Arity::variadic}};
    d.outputs = {{"y", "the extent along axis is the sum of the operands'"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis to join along", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      w.same("Concat", {{"axis", normalize_axis(w.view().integer("axis"), w.view().input(0).rank(), "concat")}});
    };
    d.infer = infer_concat;
    d.reference = reference_concat;
    d.gradient = gradient_concat;
    d.lowerings = {{"rows", make_concat}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.onnx = {
        {"Concat", 1, [](OnnxNode& n) { return std::vector{concat(n.graph(), n.all_inputs(), n.integer("axis", 1))}; }},
        {"Concat", 4,
         [](OnnxNode& n) { return std::vector{concat(n.graph(), n.all_inputs(), n.required_integer("axis"))}; }}};
    d.samples = [] {
      const auto sample = [](std::vector<Tensor> xs, int64_t axis) { return Sample{std::move(xs), {{"axis", axis}}}; };
      return std::vector<Sample>{
          sample({sample_uniform({2, 3}, 1), sample_uniform({1, 3}, 2)}, 0),
          sample({sample_complex({2, 1, 2}, 3), sample_complex({2, 3, 2}, 4), sample_complex({2, 2, 2}, 5)}, -2),
          sample({sample_uniform({2, 2}, 6), sample_uniform({2, 0}, 7), sample_uniform({2, 1}, 8)}, 1),
          sample({sample_uniform({3}, 9)}, 0), sample({sample_integers({3}, 10), sample_integers({2}, 11)}, 0)};
    };
    return d;
  }();
  return op;
}

Value concat(Graph& g, const std::vector<Value>& xs, int64_t axis) {
  GREGALE_CHECK(!xs.empty(), invalid_argument, "[concat] needs at least one operand");
  return g.add1(concat_op(), xs, {{"axis", axis}});
}

}  // namespace gregale::ops
