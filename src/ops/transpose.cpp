// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<int64_t> permutation_of(const NodeView& node) {
  return distinct_axes(per_axis(node, "permutation"), node.input(0).rank(), "transpose");
}

std::vector<Type> infer(const NodeView& node) {
  std::vector<Dim> dims;
  for (int64_t axis : permutation_of(node)) dims.push_back(node.input(0).shape[axis]);
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

void reference(ReferenceContext& c) {
  const Extents strides = row_major_strides(c.inputs[0].extents);
  Extents walk;
  for (int64_t axis : permutation_of(c.node)) walk.push_back(strides[static_cast<size_t>(axis)]);
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for_each_element<1>(c.outputs[0].extents, {walk}, [&](int64_t i, const std::array<int64_t, 1>& from) {
      out[static_cast<size_t>(i)] = in[static_cast<size_t>(from[0])];
    });
  });
}

Result<Kernel> make(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), extents = node.input(0).shape.extents(),
           permutation = permutation_of(node)](const Launch& l) {
    kernels::transpose(l.team, size, static_cast<int>(extents.size()), extents.data(), permutation.data(), l.inputs[0],
                       l.outputs[0]);
  };
  return k;
}

}  // namespace

const OpDef& transpose_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "transpose";
    d.doc = "Permutes the axes, as numpy.transpose: axis i of the result is axis permutation[i] of x.";
    d.inputs = {{"x", "any shape, any dtype"}};
    d.outputs = {{"y", "extents x.shape[permutation[i]]"}};
    d.attributes = {{"permutation", AttributeKind::integers, "every axis of x once; negative counts from the end", {}}};
    d.infer = infer;
    d.reference = reference;
    d.gradient = [](GradientContext& c) {
      const auto permutation = permutation_of(c.view());
      std::vector<int64_t> inverse(permutation.size());
      for (size_t i = 0; i < permutation.size(); ++i)
        inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
      c.set_d_input(0, transpose(c.graph(), c.d_output(), std::move(inverse)));
    };
    d.result_as_view = [](const NodeView& node, const StridedView& x) -> std::optional<StridedView> {
      StridedView y;
      y.offset = x.offset;
      for (const int64_t axis : permutation_of(node)) {
        y.extents.push_back(x.extents[static_cast<size_t>(axis)]);
        y.strides.push_back(x.strides[static_cast<size_t>(axis)]);
      }
      return y;
    };
    d.operand_as_view = [](const NodeView& node, const StridedView& y) -> std::optional<StridedView> {
      StridedView x = y;
      const auto permutation = permutation_of(node);
      for (size_t i = 0; i < permutation.size(); ++i) {
        x.extents[static_cast<size_t>(permutation[i])] = y.extents[i];
        x.strides[static_cast<size_t>(permutation[i])] = y.strides[i];
      }
      return x;
    };
    d.lowerings = {{"tiles", make}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> permutation) {
        return Sample{{std::move(x)}, {{"permutation", std::move(permutation)}}};
      };
      return std::vector<Sample>{sample(sample_uniform({3, 5}, 1), {1, 0}),
                                 sample(sample_complex({2, 3, 4}, 2), {2, 0, 1}),
                                 sample(sample_uniform({2, 3, 1, 4}, 3), {0, -1, 2, 1}),
                                 sample(sample_uniform({}, 4), {}),
                                 sample(sample_integers({17, 19}, 5), {1, 0}),
                                 sample(sample_uniform({0, 3}, 6), {1, 0})};
    };
    return d;
  }();
  return op;
}

Value transpose(Graph& g, Value x, std::vector<int64_t> permutation) {
  return g.add1(transpose_op(), {x}, {{"permutation", std::move(permutation)}});
}

}  // namespace gregale::ops
