// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/indexing.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

using kernels::Scatter;

std::vector<Type> infer_scatter_nd(const NodeView& node) {
  check_same_dtype(node, 0, 2);
  reduction_of(node);
  const Type expected(node.input(0).dtype, gathered_shape(node));
  GREGALE_CHECK(node.input(2).shape == expected.shape, shape, "[scatter_nd] updates are {}; expected {}",
                to_string(node.input(2)), to_string(expected));
  return {node.input(0)};
}

void reference_scatter_nd(ReferenceContext& c) {
  const Scatter op = reduction_of(c.node);
  const IndexedRows rows = indexed_rows(c.node, c.inputs[0].extents, c.inputs[1].extents);
  const auto& indices = c.inputs[1].integer();
  const bool is_unsigned = c.inputs[0].type.dtype == DType::u64;
  visit_same(c.inputs[0], c.outputs[0], [](const auto& in, auto& out) { out = in; });
  visit_same(c.inputs[2], c.outputs[0], [&](const auto& updates, auto& out) {
    for (int64_t j = 0; j < rows.batch * rows.count; ++j) {
      const int64_t row = indexed_row(c.node, rows, indices, j);
      for (int64_t i = 0; i < rows.inner; ++i) {
        auto& to = out[static_cast<size_t>(row * rows.inner + i)];
        to = updated(op, to, updates[static_cast<size_t>(j * rows.inner + i)], is_unsigned);
      }
    }
  });
}

void gradient_scatter_nd(GradientContext& c) {
  Graph& g = c.graph();
  const Scatter op = reduction_of(c.view());
  check_scatter_gradient(c.view(), op);
  const int64_t batch_dims = c.view().integer("batch_dims");
  c.set_d_input(0, op == Scatter::add
                       ? c.d_output()
                       : scatter_nd(g, c.d_output(), c.input(1), zeros_like(g, c.input(2)), "none", batch_dims));
  c.set_d_input(2, gather_nd(g, c.d_output(), c.input(1), batch_dims));
}

Result<Kernel> make_scatter_nd(const NodeView& node, const Target&) {
  if (auto error = refuse_move(node)) return *error;
  const DType dtype = node.input(0).dtype;
  const Scatter op = reduction_of(node);
  if (!kernels::scatter_supported(dtype, op)) return refuse(node, "complex numbers are not reduced");
  Kernel k;
  k.in_place = {{0, 0}};
  k.run = [dtype, op, r = indexed_rows(node, node.input(0).shape.extents(), node.input(1).shape.extents()),
           indices = node.input(1).dtype](const Launch& l) {
    const bool inside =
        kernels::scatter_nd(l.team, dtype, op, r.batch, r.count, static_cast<int>(r.extents.size()), r.extents.data(),
                            r.inner, indices_of(indices, l.inputs[1]), l.inputs[0], l.inputs[2], l.outputs[0]);
    GREGALE_CHECK(inside, invalid_argument, "[scatter_nd] an index is out of range for extents {}",
                  to_string(r.extents));
  };
  return k;
}

}  // namespace

const OpDef& scatter_nd_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "scatter_nd";
    d.doc =
        "x with a block changed for each tuple of indices along the last axis of `indices`, which name places along "
        "the axes of x after the batch dims; the batch dims of all three go together. Updates that meet the same "
        "element act in their order. An index outside [-extent, extent) is an error when the program runs.";
    d.inputs = {{"x", "[batch..., indexed..., rest...], any dtype; numbers where they are reduced"},
                {"indices", kIndicesDoc},
                {"updates", "x's dtype, indices.shape[:-1] + rest"}};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"batch_dims", AttributeKind::integer, "axes that all three share", int64_t{0}},
                    reduction_attribute()};
    d.to_onnx = [](OnnxWriter& w) {
      if (w.view().integer("batch_dims") != 0) w.unsupported("with batch dims");
      w.set_output(0, w.add1("ScatterND", {w.input(0), onnx_indices(w, 1), w.input(2)},
                             {{"reduction", onnx_scatter_reduction(w)}}));
    };
    d.infer = infer_scatter_nd;
    d.reference = reference_scatter_nd;
    d.gradient = gradient_scatter_nd;
    d.lowerings = {{"rows", make_scatter_nd}};
    d.cost = cost_of_move;
    d.bits_exact_integers = true;
    d.onnx = {{"ScatterND", 11, [](OnnxNode& n) {
                 return std::vector{
                     scatter_nd(n.graph(), n.input(0), n.input(1), n.input(2), n.string("reduction", "none"))};
               }}};
    d.samples = [] {
      const auto sample = [](Tensor x, Tensor indices, Tensor updates, int64_t batch_dims, const char* reduction) {
        const std::string name = reduction;
        return Sample{.inputs = {std::move(x), std::move(indices), std::move(updates)},
                      .attributes = {{"batch_dims", batch_dims}, {"reduction", name}},
                      .check_gradient = name == "none" || name == "add"};
      };
      const auto many = [] { return sample_integers({2, 5, 1}, 1, -3, 3); };
      return std::vector<Sample>{
          sample(sample_uniform({3, 2}, 2), Tensor::from<int64_t>({0, 0, -1, 1, 2, -2}, {3, 2}), sample_uniform({3}, 3),
                 0, "none"),
          sample(sample_complex({3, 2}, 4), Tensor::from<int32_t>({2, -3, 2}, {3, 1}), sample_complex({3, 2}, 5), 0,
                 "add"),
          sample(sample_uniform({2, 3, 4}, 6), many(), sample_uniform({2, 5, 4}, 7), 1, "add"),
          sample(sample_uniform({2, 3, 4}, 6), many(), sample_uniform({2, 5, 4}, 7), 1, "mul"),
          sample(sample_uniform({2, 3, 4}, 6), many(), sample_uniform({2, 5, 4}, 7), 1, "max"),
          sample(sample_uniform({2, 3, 4}, 6), many(), sample_uniform({2, 5, 4}, 7), 1, "min"),
          sample(sample_integers({2, 3, 4}, 6), many(), sample_integers({2, 5, 4}, 7), 1, "max"),
          sample(sample_integers({2, 3}, 8), Tensor(DType::i64, {0, 2}), sample_integers({0}, 9), 0, "none")};
    };
    return d;
  }();
  return op;
}

Value scatter_nd(Graph& g, Value x, Value indices, Value updates, const std::string& reduction, int64_t batch_dims) {
  return g.add1(scatter_nd_op(), {x, indices, updates}, {{"batch_dims", batch_dims}, {"reduction", reduction}});
}

}  // namespace gregale::ops
