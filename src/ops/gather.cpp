// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_gather(const NodeView& node) {
  check_indices(node, 1);
  const int64_t axis = axis_of(node);
  const auto& x = node.input(0).shape.dims();
  const auto& indices = node.input(1).shape.dims();
  std::vector<Dim> dims(x.begin(), x.begin() + axis);
  dims.insert(dims.end(), indices.begin(), indices.end());
  dims.insert(dims.end(), x.begin() + axis + 1, x.end());
  return {Type(node.input(0).dtype, Shape(std::move(dims)))};
}

void reference_gather(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node);
  const AxisSplit x = split_at(c.inputs[0].extents, axis);
  const auto& indices = c.inputs[1].integer();
  for (int64_t j : indices) wrapped_index(c.node, j, axis, x.extent);
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    size_t to = 0;
    for (int64_t o = 0; o < x.outer; ++o)
      for (int64_t j : indices)
        for (int64_t i = 0; i < x.inner; ++i)
          out[to++] = in[static_cast<size_t>((o * x.extent + (j < 0 ? j + x.extent : j)) * x.inner + i)];
  });
}

Result<Kernel> make_gather(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const int64_t axis = axis_of(node);
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), axis, x = split_at(node.input(0).shape.extents(), axis),
           dtype = node.input(1).dtype, count = node.input(1).shape.elements()](const Launch& l) {
    const bool inside = kernels::gather(l.team, size, x.outer, x.extent, x.inner, count, indices_of(dtype, l.inputs[1]),
                                        l.inputs[0], l.outputs[0]);
    GREGALE_CHECK(inside, invalid_argument, "[gather] an index is out of range for axis {} of extent {}", axis,
                  x.extent);
  };
  return k;
}

/// One index that is known is a slice, which needs no copy where the axis is the first.
std::vector<Value> import_gather(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t rank = n.rank(0);
  if (rank == 0) n.fail("a scalar has no axis to gather from");
  const int64_t axis = normalize_axis(n.integer("axis", 0), rank, "onnx");
  if (n.type(1).shape.elements() == 1 && n.is_constant(1)) {
    const Extents x = n.extents(0), indices = n.extents(1);
    const auto a = static_cast<size_t>(axis);
    const int64_t given = n.constant_integer(1), index = given < 0 ? given + x[a] : given;
    if (index < 0 || index >= x[a]) n.fail(fmt::format("index {} is out of range for extent {}", given, x[a]));
    Extents extents(x.begin(), x.begin() + axis);
    extents.insert(extents.end(), indices.begin(), indices.end());
    extents.insert(extents.end(), x.begin() + axis + 1, x.end());
    return {reshape(g, slice_axis(g, n.input(0), axis, index, index + 1), extents)};
  }
  return {gather(g, n.input(0), n.input(1), axis)};
}

}  // namespace

const OpDef& gather_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "gather";
    d.doc =
        "Takes elements of x along one axis: the axis is replaced by the shape of the indices, as numpy.take. An index "
        "outside [-extent, extent) is an error when the program runs.";
    d.inputs = {{"x", "any shape, any dtype"}, {"indices", kIndicesDoc}};
    d.outputs = {{"y", "x.shape[:axis] + indices.shape + x.shape[axis + 1:]"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis indexed", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      w.same("Gather", {{"axis", normalize_axis(w.view().integer("axis"), w.view().input(0).rank(), "gather")}});
    };
    d.infer = infer_gather;
    d.reference = reference_gather;
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      c.set_d_input(0, scatter_add(g, zeros_like(g, c.input(0)), c.input(1), c.d_output(), axis_of(c.view())));
    };
    d.lowerings = {{"rows", make_gather}};
    d.cost = [](const NodeView& node) {
      return Cost{0, 2.0 * static_cast<double>(node.outputs()[0].bytes()) + static_cast<double>(node.input(1).bytes())};
    };
    d.bits_exact_integers = true;
    d.onnx = {{"Gather", 1, import_gather}};
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> indices, Extents extents, int64_t axis) {
        return Sample{{std::move(x), Tensor::from(indices, std::move(extents))}, {{"axis", axis}}};
      };
      return std::vector<Sample>{sample(sample_uniform({5}, 1), {4, 0, 0, 2}, {4}, 0),
                                 sample(sample_complex({3, 4}, 2), {3, 1, 1, 0, 2, 3}, {2, 3}, 1),
                                 sample(sample_uniform({2, 3, 2}, 3), {2, 2, 0}, {3}, -2),
                                 sample(sample_uniform({3, 2}, 4), {1}, {}, 0),
                                 sample(sample_integers({4, 2}, 5), {3, 3}, {2}, 0),
                                 sample(sample_uniform({3, 2}, 7), {-1, -3, 1}, {3}, 0),
                                 sample(sample_uniform({2, 2}, 6), {}, {0}, 1)};
    };
    return d;
  }();
  return op;
}

Value gather(Graph& g, Value x, Value indices, int64_t axis) {
  return g.add1(gather_op(), {x, indices}, {{"axis", axis}});
}

}  // namespace gregale::ops
