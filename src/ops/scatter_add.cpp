// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/indexing.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_scatter_add(const NodeView& node) {
  GREGALE_CHECK(node.input(0).dtype != DType::boolean, dtype, "[scatter_add] x has dtype bool; expected numbers");
  check_indices(node, 1);
  check_same_dtype(node, 0, 2);
  const int64_t axis = axis_of(node);
  const auto& x = node.input(0).shape.dims();
  const auto& indices = node.input(1).shape.dims();
  std::vector<Dim> dims(x.begin(), x.begin() + axis);
  dims.insert(dims.end(), indices.begin(), indices.end());
  dims.insert(dims.end(), x.begin() + axis + 1, x.end());
  const Type expected(node.input(0).dtype, Shape(std::move(dims)));
  GREGALE_CHECK(node.input(2).shape == expected.shape, shape, "[scatter_add] updates are {}; expected {}",
                to_string(node.input(2)), to_string(expected));
  return {node.input(0)};
}

void reference_scatter_add(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node);
  const AxisSplit x = split_at(c.inputs[0].extents, axis);
  const auto& indices = c.inputs[1].integer();
  for (int64_t j : indices) wrapped_index(c.node, j, axis, x.extent);
  visit_same(c.inputs[0], c.outputs[0], [](const auto& in, auto& out) { out = in; });
  visit_same(c.inputs[2], c.outputs[0], [&](const auto& updates, auto& out) {
    using T = typename std::decay_t<decltype(out)>::value_type;
    size_t from = 0;
    for (int64_t o = 0; o < x.outer; ++o)
      for (int64_t j : indices)
        for (int64_t i = 0; i < x.inner; ++i) {
          T& to = out[static_cast<size_t>((o * x.extent + (j < 0 ? j + x.extent : j)) * x.inner + i)];
          if constexpr (std::is_same_v<T, int64_t>)  // integers wrap around
            to = static_cast<int64_t>(static_cast<uint64_t>(to) + static_cast<uint64_t>(updates[from++]));
          else
            to += updates[from++];
        }
  });
}

Result<Kernel> make_scatter_add(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32 && dtype != DType::c64)
    return refuse(node, fmt::format("f32 or c64 needed, not {}", name_of(dtype)));
  const int64_t axis = axis_of(node);
  AxisSplit x = split_at(node.input(0).shape.extents(), axis);
  if (dtype == DType::c64) x.inner *= 2;  // a sum of pairs is a pair of sums
  Kernel k;
  k.in_place = {{0, 0}};
  k.run = [axis, x, indices = node.input(1).dtype, count = node.input(1).shape.elements()](const Launch& l) {
    const bool inside =
        kernels::scatter_add_f32(l.team, x.outer, x.extent, x.inner, count, indices_of(indices, l.inputs[1]),
                                 static_cast<const float*>(l.inputs[0]), static_cast<const float*>(l.inputs[2]),
                                 static_cast<float*>(l.outputs[0]));
    GREGALE_CHECK(inside, invalid_argument, "[scatter_add] an index is out of range for axis {} of extent {}", axis,
                  x.extent);
  };
  return k;
}

}  // namespace

const OpDef& scatter_add_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "scatter_add";
    d.doc =
        "x with updates added at indices along one axis: the adjoint of gather. Updates of repeated indices add up in "
        "the order of the indices. An index outside [-extent, extent) is an error when the program runs.";
    d.inputs = {{"x", "numbers of any shape"},
                {"indices", kIndicesDoc},
                {"updates", "x's dtype, x.shape[:axis] + indices.shape + x.shape[axis + 1:]"}};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis indexed", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      // One index for every element of the updates: the indices as they stand along the axis, repeated along the
      // others.
      const int64_t axis = axis_of(w.view());
      Extents updates = w.extents(0), indices(updates.size(), 1);
      updates[static_cast<size_t>(axis)] = indices[static_cast<size_t>(axis)] = w.view().input(1).shape.elements();
      const std::string at = w.add1(
          "Expand",
          {w.add1("Reshape", {w.input(1), w.integers(indices)}, {{"allowzero", int64_t{1}}}), w.integers(updates)});
      const std::string by = w.add1("Reshape", {w.input(2), w.integers(updates)}, {{"allowzero", int64_t{1}}});
      w.set_output(
          0, w.add1("ScatterElements", {w.input(0), at, by}, {{"axis", axis}, {"reduction", std::string("add")}}));
    };
    d.infer = infer_scatter_add;
    d.reference = reference_scatter_add;
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, c.d_output());
      c.set_d_input(2, gather(c.graph(), c.d_output(), c.input(1), axis_of(c.view())));
    };
    d.lowerings = {{"rows", make_scatter_add}};
    d.cost = [](const NodeView& node) {
      Cost cost = default_cost(node, 0);
      cost.flops = static_cast<double>(node.input(2).shape.elements());
      return cost;
    };
    d.bits_exact_integers = true;
    d.samples = [] {
      const auto sample = [](Tensor x, std::vector<int64_t> indices, Extents extents, Tensor updates, int64_t axis) {
        return Sample{{std::move(x), Tensor::from(indices, std::move(extents)), std::move(updates)}, {{"axis", axis}}};
      };
      return std::vector<Sample>{
          sample(sample_uniform({5}, 1), {4, 0, 0, 2}, {4}, sample_uniform({4}, 2), 0),
          sample(sample_complex({3, 4}, 3), {3, 1, 1, 0, 2, 3}, {2, 3}, sample_complex({3, 2, 3}, 4), 1),
          sample(sample_uniform({2, 3, 2}, 5), {2, 2, 0}, {3}, sample_uniform({2, 3, 2}, 6), -2),
          sample(sample_uniform({3, 2}, 7), {1}, {}, sample_uniform({2}, 8), 0),
          sample(sample_uniform({2, 2}, 9), {}, {0}, sample_uniform({2, 0}, 10), 1),
          sample(sample_integers({3, 2}, 11), {2, 2}, {2}, sample_integers({2, 2}, 12), 0)};
    };
    return d;
  }();
  return op;
}

Value scatter_add(Graph& g, Value x, Value indices, Value updates, int64_t axis) {
  return g.add1(scatter_add_op(), {x, indices, updates}, {{"axis", axis}});
}

}  // namespace gregale::ops
