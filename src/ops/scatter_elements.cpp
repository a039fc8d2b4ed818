// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

using kernels::Scatter;

std::vector<Type> infer_scatter_elements(const NodeView& node) {
  check_indices(node, 1);
  check_same_dtype(node, 0, 2);
  check_rank(node, 1, node.input(0).rank());
  reduction_of(node);
  const int64_t axis = axis_of(node);
  GREGALE_CHECK(node.input(1).shape == node.input(2).shape, shape, "[scatter_elements] updates are {}, indices {}",
                to_string(node.input(2)), to_string(node.input(1)));
  for (int64_t a = 0; a < node.input(0).rank(); ++a)
    GREGALE_CHECK(a == axis || node.input(0).shape[a] == node.input(1).shape[a], shape,
                  "[scatter_elements] {} and indices {} differ in axis {}", to_string(node.input(0)),
                  to_string(node.input(1)), a);
  return {node.input(0)};
}

void reference_scatter_elements(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node);
  const Scatter op = reduction_of(c.node);
  const AxisSplit x = split_at(c.inputs[0].extents, axis), u = split_at(c.inputs[1].extents, axis);
  const auto& indices = c.inputs[1].integer();
  const bool is_unsigned = c.inputs[0].type.dtype == DType::u64;
  visit_same(c.inputs[0], c.outputs[0], [](const auto& in, auto& out) { out = in; });
  visit_same(c.inputs[2], c.outputs[0], [&](const auto& updates, auto& out) {
    for (size_t t = 0; t < updates.size(); ++t) {
      const int64_t at = static_cast<int64_t>(t), o = at / (u.extent * u.inner), i = at % u.inner;
      const int64_t j = wrapped_index(c.node, indices[t], axis, x.extent);
      auto& to = out[static_cast<size_t>((o * x.extent + j) * x.inner + i)];
      to = updated(op, to, updates[t], is_unsigned);
    }
  });
}

void gradient_scatter_elements(GradientContext& c) {
  Graph& g = c.graph();
  const Scatter op = reduction_of(c.view());
  check_scatter_gradient(c.view(), op);
  const int64_t axis = axis_of(c.view());
  c.set_d_input(0, op == Scatter::add ? c.d_output()
                                      : scatter_elements(g, c.d_output(), c.input(1), zeros_like(g, c.input(2)), axis));
  c.set_d_input(2, gather_elements(g, c.d_output(), c.input(1), axis));
}

Result<Kernel> make_scatter_elements(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const DType dtype = node.input(0).dtype;
  const Scatter op = reduction_of(node);
  if (!kernels::scatter_supported(dtype, op)) return refuse(node, "complex numbers are not reduced");
  const int64_t axis = axis_of(node);
  Kernel k;
  k.in_place = {{0, 0}};
  k.run = [dtype, op, axis, x = split_at(node.input(0).shape.extents(), axis), indices = node.input(1).dtype,
           count = node.input(1).shape[axis].value()](const Launch& l) {
    const bool inside =
        kernels::scatter_elements(l.team, dtype, op, x.outer, x.extent, x.inner, count,
                                  indices_of(indices, l.inputs[1]), l.inputs[0], l.inputs[2], l.outputs[0]);
    GREGALE_CHECK(inside, invalid_argument, "[scatter_elements] an index is out of range for axis {} of extent {}",
                  axis, x.extent);
  };
  return k;
}

/// ONNX lets indices be shorter than the data along the other axes: then only their part of the data is changed.
std::vector<Value> import_scatter_elements(OnnxNode& n) {
  Graph& g = n.graph();
  const int64_t rank = n.rank(0);
  if (rank == 0 || n.rank(1) != rank) n.fail(fmt::format("data of rank {}, indices of rank {}", rank, n.rank(1)));
  const int64_t axis = normalize_axis(n.integer("axis", 0), rank, "onnx");
  const std::string reduction = n.string("reduction", "none");
  Extents part = n.extents(1);
  part[static_cast<size_t>(axis)] = n.extents(0)[static_cast<size_t>(axis)];
  const std::vector<int64_t> zeros(static_cast<size_t>(rank), 0);
  if (part == n.extents(0)) return {scatter_elements(g, n.input(0), n.input(1), n.input(2), axis, reduction)};
  for (size_t a = 0; a < part.size(); ++a)
    if (part[a] > n.extents(0)[a]) n.fail(fmt::format("indices are longer than the data along axis {}", a));
  const Value changed = scatter_elements(g, slice(g, n.input(0), zeros, part), n.input(1), n.input(2), axis, reduction);
  return {update_slice(g, n.input(0), changed, zeros)};
}

}  // namespace

const OpDef& scatter_elements_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "scatter_elements";
    d.doc =
        "x with one element changed for each index, which names its place along one axis; the others are the index's "
        "own, as numpy.put_along_axis. Updates that meet the same element act in the order of the axis. An index "
        "outside [-extent, extent) is an error when the program runs.";
    d.inputs = {{"x", "any shape, any dtype; numbers where they are reduced"},
                {"indices", kIndicesDoc},
                {"updates", "x's dtype, shape of the indices"}};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis indexed", {}}, reduction_attribute()};
    d.to_onnx = [](OnnxWriter& w) {
      if (is_complex(w.view().input(0).dtype)) w.unsupported("of complex numbers");
      w.same("ScatterElements", {{"axis", w.view().integer("axis")}, {"reduction", onnx_scatter_reduction(w)}});
    };
    d.infer = infer_scatter_elements;
    d.reference = reference_scatter_elements;
    d.gradient = gradient_scatter_elements;
    d.lowerings = {{"elements", make_scatter_elements}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.onnx = {{"Scatter", 9, import_scatter_elements}, {"ScatterElements", 11, import_scatter_elements}};
    d.samples = [] {
      const auto sample = [](Tensor x, Tensor indices, Tensor updates, int64_t axis, const char* reduction) {
        const std::string name = reduction;
        return Sample{.inputs = {std::move(x), std::move(indices), std::move(updates)},
                      .attributes = {{"axis", axis}, {"reduction", name}},
                      .check_gradient = name == "none" || name == "add"};
      };
      const auto many = [] { return sample_integers({2, 5, 4}, 1, -3, 3); };
      return std::vector<Sample>{
          sample(sample_uniform({5}, 2), Tensor::from<int64_t>({4, 0, -2, 2}, {4}), sample_uniform({4}, 3), 0, "none"),
          sample(sample_complex({3, 2}, 4), sample_integers({4, 2}, 5, -3, 3), sample_complex({4, 2}, 6), 0, "add"),
          sample(sample_uniform({2, 3, 4}, 7), many().cast(DType::i32), sample_uniform({2, 5, 4}, 8), 1, "add"),
          sample(sample_uniform({2, 3, 4}, 7), many(), sample_uniform({2, 5, 4}, 8), 1, "mul"),
          sample(sample_uniform({2, 3, 4}, 7), many(), sample_uniform({2, 5, 4}, 8), 1, "max"),
          sample(sample_uniform({2, 3, 4}, 7), many(), sample_uniform({2, 5, 4}, 8), -2, "min"),
          sample(sample_integers({2, 3, 4}, 7), many(), sample_integers({2, 5, 4}, 8), 1, "mul"),
          sample(sample_booleans({3}, 9), Tensor(DType::i64, {0}), sample_booleans({0}, 10), 0, "none")};
    };
    return d;
  }();
  return op;
}

Value scatter_elements(Graph& g, Value x, Value indices, Value updates, int64_t axis, const std::string& reduction) {
  return g.add1(scatter_elements_op(), {x, indices, updates}, {{"axis", axis}, {"reduction", reduction}});
}

}  // namespace gregale::ops
