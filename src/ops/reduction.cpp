// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/reduction.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

std::vector<bool> reduced_axes(const NodeView& node) {
  const int64_t rank = node.input(0).rank();
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int64_t axis : normalize_axes(node.integers("axes"), rank, node.op().name))
    reduced[static_cast<size_t>(axis)] = true;
  return reduced;
}

Extents result_strides(const Extents& extents, const std::vector<bool>& reduced) {
  Extents strides(extents.size(), 0);
  int64_t stride = 1;
  for (size_t i = extents.size(); i-- > 0;) {
    if (reduced[i]) continue;
    strides[i] = stride;
    stride *= extents[i];
  }
  return strides;
}

Value restore_axes(Graph& g, const NodeView& node, Value value) {
  if (node.boolean("keep_dims")) return value;
  const std::vector<bool> reduced = reduced_axes(node);
  Shape shape = node.input(0).shape;
  for (int64_t i = 0; i < shape.rank(); ++i)
    if (reduced[static_cast<size_t>(i)]) shape[i] = Dim(1);
  return g.type(value).shape == shape ? value : reshape(g, value, shape);
}

Value reduced_count(Graph& g, const NodeView& node, Value operand) {
  const std::vector<bool> reduced = reduced_axes(node);
  const Type& type = node.input(0);
  double count = 1;
  bool constant = true;
  for (int64_t i = 0; i < type.rank(); ++i) {
    if (!reduced[static_cast<size_t>(i)]) continue;
    constant = constant && type.shape[i].is_constant();
    if (constant) count *= static_cast<double>(type.shape[i].value());
  }
  const Value one = scalar(g, type.dtype, constant ? count : 1);
  if (constant) return one;
  return sum(g, broadcast_like(g, one, operand), node.integers("axes"), true);
}

void share_among_ties(GradientContext& c) {
  Graph& g = c.graph();
  const Value x = c.input(0);
  const std::vector<int64_t>& axes = c.view().integers("axes");
  const Value best = restore_axes(g, c.view(), c.output()), d_best = restore_axes(g, c.view(), c.d_output());
  const Value ties = cast(g, equal(g, x, best), c.type(x).dtype);
  c.set_d_input(0, mul(g, ties, div(g, d_best, sum(g, ties, axes, true))));
}

Result<Kernel> reduce_kernel(const NodeView& node, const Target& target, kernels::ReduceOp op,
                             std::vector<bool> reduced) {
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32 && dtype != DType::c64) return refuse(node, "f32 or c64 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  Extents extents = node.input(0).shape.extents();
  if (dtype == DType::c64) {
    extents.push_back(2);
    reduced.push_back(false);
  }
  if (extents.size() > static_cast<size_t>(kernels::kMaxRank)) return refuse(node, "the rank is above 8");
  const int rank = static_cast<int>(extents.size());
  std::array<bool, kernels::kMaxRank> flags{};
  std::copy(reduced.begin(), reduced.end(), flags.begin());
  Kernel kernel;
  kernel.scratch_bytes = kernels::reduce_scratch_bytes(rank, extents.data(), flags.data());
  kernel.run = [op, rank, extents, flags, isa = target.isa](const Launch& l) {
    kernels::reduce_f32(isa, l.team, op, rank, extents.data(), flags.data(), static_cast<const float*>(l.inputs[0]),
                        static_cast<float*>(l.outputs[0]), l.scratch);
  };
  return kernel;
}

OpDef reduction_op(std::string name, std::string doc, kernels::ReduceOp kernel) {
  OpDef d;
  d.name = std::move(name);
  d.doc = std::move(doc);
  d.inputs = {{"x", "operand"}};
  d.outputs = {{"y", "x without the reduced axes, or with extents 1 there where keep_dims is set"}};
  d.attributes = {
      {"axes", AttributeKind::integers, "axes to reduce, negative from the end; none: all", std::vector<int64_t>{}},
      {"keep_dims", AttributeKind::boolean, "leave reduced axes as extents 1", false}};
  d.to_onnx = [](OnnxWriter& w) {
    const std::string& op = w.view().op().name;
    std::vector<int64_t> axes;
    const std::vector<bool> reduced = reduced_axes(w.view());
    for (size_t a = 0; a < reduced.size(); ++a)
      if (reduced[a]) axes.push_back(static_cast<int64_t>(a));
    if (axes.empty()) return w.set_output(0, w.input(0));
    const std::string type = op == "sum"    ? "ReduceSum"
                             : op == "mean" ? "ReduceMean"
                             : op == "max"  ? "ReduceMax"
                             : op == "min"  ? "ReduceMin"
                                            : "ReduceProd";
    const int64_t keep = w.view().boolean("keep_dims") ? 1 : 0;
    if (op == "sum") return w.set_output(0, w.add1(type, {w.input(0), w.integers(axes)}, {{"keepdims", keep}}));
    w.same(type, {{"axes", axes}, {"keepdims", keep}});
  };
  d.infer = [](const NodeView& node) {
    const std::vector<bool> reduced = reduced_axes(node);
    std::vector<Dim> dims;
    for (int64_t i = 0; i < node.input(0).rank(); ++i) {
      if (!reduced[static_cast<size_t>(i)])
        dims.push_back(node.input(0).shape[i]);
      else if (node.boolean("keep_dims"))
        dims.push_back(Dim(1));
    }
    return std::vector<Type>{Type(node.input(0).dtype, Shape(std::move(dims)))};
  };
  d.lowerings = {{"reduce", [kernel](const NodeView& node, const Target& target) {
                    return reduce_kernel(node, target, kernel, reduced_axes(node));
                  }}};
  d.express = [kernel](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) -> int32_t {
    using kernels::ExprOp;
    using kernels::ReduceOp;
    const std::vector<bool> reduced = reduced_axes(node);
    const int64_t last = node.input(0).rank() - 1;
    for (int64_t axis = 0; axis <= last; ++axis)
      if (reduced[static_cast<size_t>(axis)] != (axis == last)) return -1;
    if (last < 0 || !is_real_float(node.input(0).dtype)) return -1;
    if (kernel == ReduceOp::max) return e.apply(ExprOp::row_max, in[0]);
    if (kernel == ReduceOp::min) return e.apply(ExprOp::row_min, in[0]);
    const int32_t sum = e.apply(ExprOp::row_sum, in[0]);
    if (kernel == ReduceOp::sum) return sum;
    return e.apply(ExprOp::mul, sum, e.constant(1 / static_cast<double>(node.input(0).shape[last].value())));
  };
  d.cost = [](const NodeView& node) {
    Cost cost = default_cost(node, 0);
    cost.flops = static_cast<double>(node.input(0).shape.elements());
    return cost;
  };
  d.samples = [] {
    // Distinct values: max and min have kinks where two are equal.
    const auto sample = [](Extents extents, std::vector<int64_t> axes, bool keep_dims, uint32_t stream) {
      return Sample{.inputs = {sample_distinct(std::move(extents), stream)},
                    .attributes = {{"axes", std::move(axes)}, {"keep_dims", keep_dims}}};
    };
    return std::vector<Sample>{sample({3, 5}, {}, false, 1),     sample({3, 5}, {}, true, 2),
                               sample({}, {}, false, 3),         sample({4, 21}, {-1}, false, 4),
                               sample({21, 4}, {0}, false, 5),   sample({2, 3, 4}, {0, 2}, true, 6),
                               sample({2, 3, 4}, {1}, false, 7), sample({1, 3, 1}, {0, -1}, false, 8)};
  };
  return d;
}

}  // namespace gregale::ops
