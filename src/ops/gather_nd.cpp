// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

void reference_gather_nd(ReferenceContext& c) {
  const IndexedRows rows = indexed_rows(c.node, c.inputs[0].extents, c.inputs[1].extents);
  const auto& indices = c.inputs[1].integer();
  visit_same(c.inputs[0], c.outputs[0], [&](const auto& in, auto& out) {
    for (int64_t j = 0; j < rows.batch * rows.count; ++j) {
      const int64_t row = indexed_row(c.node, rows, indices, j);
      for (int64_t i = 0; i < rows.inner; ++i)
        out[static_cast<size_t>(j * rows.inner + i)] = in[static_cast<size_t>(row * rows.inner + i)];
    }
  });
}

Result<Kernel> make_gather_nd(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  Kernel k;
  k.run = [size = size_of(node.input(0).dtype),
           r = indexed_rows(node, node.input(0).shape.extents(), node.input(1).shape.extents()),
           dtype = node.input(1).dtype](const Launch& l) {
    const bool inside =
        kernels::gather_nd(l.team, size, r.batch, r.count, static_cast<int>(r.extents.size()), r.extents.data(),
                           r.inner, indices_of(dtype, l.inputs[1]), l.inputs[0], l.outputs[0]);
    GREGALE_CHECK(inside, invalid_argument, "[gather_nd] an index is out of range for extents {}",
                  to_string(r.extents));
  };
  return k;
}

}  // namespace

const OpDef& gather_nd_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "gather_nd";
    d.doc =
        "Takes a block of x for each tuple of indices along the last axis of `indices`, which name places along the "
        "axes of x after the batch dims; the batch dims of both go together. An index outside [-extent, extent) is an "
        "error when the program runs.";
    d.inputs = {{"x", "[batch..., indexed..., rest...], any dtype"}, {"indices", kIndicesDoc}};
    d.outputs = {{"y", "indices.shape[:-1] + rest"}};
    d.attributes = {{"batch_dims", AttributeKind::integer, "axes that x and indices share", int64_t{0}}};
    d.to_onnx = [](OnnxWriter& w) {
      w.set_output(
          0, w.add1("GatherND", {w.input(0), onnx_indices(w, 1)}, {{"batch_dims", w.view().integer("batch_dims")}}));
    };
    d.infer = [](const NodeView& node) { return std::vector<Type>{Type(node.input(0).dtype, gathered_shape(node))}; };
    d.reference = reference_gather_nd;
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      c.set_d_input(
          0, scatter_nd(g, zeros_like(g, c.input(0)), c.input(1), c.d_output(), "add", c.view().integer("batch_dims")));
    };
    d.lowerings = {{"rows", make_gather_nd}};
    d.cost = [](const NodeView& node) {
      return Cost{0, 2.0 * static_cast<double>(node.outputs()[0].bytes()) + static_cast<double>(node.input(1).bytes())};
    };
    d.bits_exact_integers = true;
    d.onnx = {{"GatherND", 11, [](OnnxNode& n) {
                 return std::vector{gather_nd(n.graph(), n.input(0), n.input(1), n.integer("batch_dims", 0))};
               }}};
    d.samples = [] {
      const auto sample = [](Tensor x, Tensor indices, int64_t batch_dims) {
        return Sample{{std::move(x), std::move(indices)}, {{"batch_dims", batch_dims}}};
      };
      return std::vector<Sample>{
          sample(sample_uniform({3, 2}, 1), Tensor::from<int64_t>({0, 0, -1, 1, 2, -2}, {3, 2}), 0),
          sample(sample_complex({3, 2}, 2), Tensor::from<int32_t>({2, -3, 2}, {3, 1}), 0),
          sample(sample_uniform({2, 3, 4}, 3), sample_integers({2, 2, 2, 1}, 4, -3, 3), 1),
          sample(sample_uniform({2, 3, 4, 2}, 5), sample_integers({2, 3, 1}, 6, 0, 4), 2),
          sample(sample_uniform({2, 3}, 7), Tensor(DType::i64, {2, 0}), 0),
          sample(sample_integers({2, 3}, 8), Tensor(DType::i64, {0, 2}), 0)};
    };
    return d;
  }();
  return op;
}

Value gather_nd(Graph& g, Value x, Value indices, int64_t batch_dims) {
  return g.add1(gather_nd_op(), {x, indices}, {{"batch_dims", batch_dims}});
}

}  // namespace gregale::ops
