// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_gather_elements(const NodeView& node) {
  check_indices(node, 1);
  check_rank(node, 1, node.input(0).rank());
  const int64_t axis = axis_of(node);
  for (int64_t a = 0; a < node.input(0).rank(); ++a)
    GREGALE_CHECK(a == axis || node.input(0).shape[a] == node.input(1).shape[a], shape,
                  "[gather_elements] {} and indices {} differ in axis {}", to_string(node.input(0)),
                  to_string(node.input(1)), a);
  return {Type(node.input(0).dtype, node.input(1).shape)};
}

void reference_gather_elements(ReferenceContext& c) {
  const int64_t axis = axis_of(c.node);
  const AxisSplit x = split_at(c.inputs[0].extents, axis), y = split_at(c.inputs[1].extents, axis);
  const auto& indices = c.inputs[1].integer();
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for (size_t t = 0; t < out.size(); ++t) {
      const int64_t at = static_cast<int64_t>(t), o = at / (y.extent * y.inner), i = at % y.inner;
      const int64_t j = wrapped_index(c.node, indices[t], axis, x.extent);
      out[t] = in[static_cast<size_t>((o * x.extent + j) * x.inner + i)];
    }
  });
}

Result<Kernel> make_gather_elements(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const int64_t axis = axis_of(node);
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype), axis, x = split_at(node.input(0).shape.extents(), axis),
           dtype = node.input(1).dtype, count = node.input(1).shape[axis].value()](const Launch& l) {
    const bool inside = kernels::gather_elements(l.team, size, x.outer, x.extent, x.inner, count,
                                                 indices_of(dtype, l.inputs[1]), l.inputs[0], l.outputs[0]);
    GREGALE_CHECK(inside, invalid_argument, "[gather_elements] an index is out of range for axis {} of extent {}", axis,
                  x.extent);
  };
  return k;
}

/// ONNX lets indices be shorter than the data along the other axes.
std::vector<Value> import_gather_elements(OnnxNode& n) {
  const int64_t rank = n.rank(0);
  if (rank == 0 || n.rank(1) != rank) n.fail(fmt::format("data of rank {}, indices of rank {}", rank, n.rank(1)));
  const int64_t axis = normalize_axis(n.integer("axis", 0), rank, "onnx");
  Value x = n.input(0);
  for (int64_t a = 0; a < rank; ++a) {
    const int64_t have = n.extents(0)[static_cast<size_t>(a)], wanted = n.extents(1)[static_cast<size_t>(a)];
    if (a == axis || have == wanted) continue;
    if (wanted > have) n.fail(fmt::format("indices are longer than the data along axis {}", a));
    x = slice_axis(n.graph(), x, a, 0, wanted);
  }
  return {gather_elements(n.graph(), x, n.input(1), axis)};
}

}  // namespace

const OpDef& gather_elements_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "gather_elements";
    d.doc =
        "Takes one element of x for each index, from the same place along all axes but one, as "
        "numpy.take_along_axis. An index outside [-extent, extent) is an error when the program runs.";
    d.inputs = {{"x", "any shape, any dtype"}, {"indices", kIndicesDoc}};
    d.outputs = {{"y", "x's dtype, shape of the indices"}};
    d.attributes = {{"axis", AttributeKind::integer, "the axis indexed", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      if (is_complex(w.view().input(0).dtype)) w.unsupported("of complex numbers");
      w.same("GatherElements", {{"axis", w.view().integer("axis")}});
    };
    d.infer = infer_gather_elements;
    d.reference = reference_gather_elements;
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      c.set_d_input(0,
                    scatter_elements(g, zeros_like(g, c.input(0)), c.input(1), c.d_output(), axis_of(c.view()), "add"));
    };
    d.lowerings = {{"elements", make_gather_elements}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.onnx = {{"GatherElements", 11, import_gather_elements}};
    d.samples = [] {
      const auto sample = [](Tensor x, Tensor indices, int64_t axis) {
        return Sample{{std::move(x), std::move(indices)}, {{"axis", axis}}};
      };
      return std::vector<Sample>{
          sample(sample_uniform({5}, 1), Tensor::from<int64_t>({4, 0, -1, 2}, {4}), 0),
          sample(sample_complex({3, 2}, 2), sample_integers({4, 2}, 3, -3, 3), 0),
          sample(sample_uniform({2, 3, 4}, 4), sample_integers({2, 3, 2}, 5, -4, 4).cast(DType::i32), -1),
          sample(sample_uniform({2, 3, 4}, 6), sample_integers({2, 5, 4}, 7, 0, 3), 1),
          sample(sample_integers({3, 2}, 8), sample_integers({3, 0}, 9, 0, 2), 1)};
    };
    return d;
  }();
  return op;
}

Value gather_elements(Graph& g, Value x, Value indices, int64_t axis) {
  return g.add1(gather_elements_op(), {x, indices}, {{"axis", axis}});
}

}  // namespace gregale::ops
