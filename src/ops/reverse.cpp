// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<int64_t> axes_of(const NodeView& node) {
  return distinct_axes(node.integers("axes"), node.input(0).rank(), "reverse");
}

void reference_reverse(ReferenceContext& c) {
  const Extents& extents = c.inputs[0].extents;
  if (c.inputs[0].size() == 0) return;
  Extents strides = row_major_strides(extents);
  int64_t first = 0;
  for (int64_t axis : axes_of(c.node)) {
    const auto a = static_cast<size_t>(axis);
    first += (extents[a] - 1) * strides[a];
    strides[a] = -strides[a];
  }
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for_each_element<1>(extents, {strides}, [&](int64_t i, const std::array<int64_t, 1>& from) {
      out[static_cast<size_t>(i)] = in[static_cast<size_t>(first + from[0])];
    });
  });
}

Result<Kernel> make_reverse(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  std::array<bool, kernels::kMaxRank> reversed{};
  for (int64_t axis : axes_of(node)) reversed[static_cast<size_t>(axis)] = true;
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), extents = node.input(0).shape.extents(), reversed](const Launch& l) {
    kernels::reverse(l.team, size, static_cast<int>(extents.size()), extents.data(), reversed.data(), l.inputs[0],
                     l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& reverse_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "reverse";
    d.doc = "The elements in opposite order along each of the axes named.";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"axes", AttributeKind::integers, "which axes run backwards; none: x itself", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      std::vector<int64_t> axes = w.view().integers("axes");
      for (int64_t& a : axes) a = normalize_axis(a, w.view().input(0).rank(), "reverse");
      if (axes.empty()) return w.set_output(0, w.input(0));
      const auto all = [&](int64_t value) { return w.integers(std::vector<int64_t>(axes.size(), value)); };
      w.set_output(0, w.add1("Slice", {w.input(0), all(-1), all(INT64_MIN), w.integers(axes), all(-1)}));
    };
    d.infer = [](const NodeView& node) {
      axes_of(node);
      return std::vector<Type>{node.input(0)};
    };
    d.reference = reference_reverse;
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, reverse(c.graph(), c.d_output(), c.view().integers("axes")));
    };
    d.lowerings = {{"strided", make_reverse}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> axes) {
        return Sample{{std::move(x)}, {{"axes", std::move(axes)}}};
      };
      return std::vector<Sample>{
          sample(sample_uniform({5}, 1), {0}),          sample(sample_complex({3, 4}, 2), {-1}),
          sample(sample_uniform({2, 3, 4}, 3), {2, 0}), sample(sample_integers({3, 2}, 4), {0}),
          sample(sample_uniform({2, 2}, 5), {}),        sample(sample_uniform({0, 3}, 6), {0, 1})};
    };
    return d;
  }();
  return op;
}

Value reverse(Graph& g, Value x, std::vector<int64_t> axes) {
  return g.add1(reverse_op(), {x}, {{"axes", std::move(axes)}});
}

}  // namespace gregale::ops
