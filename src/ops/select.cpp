// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_kernel.hpp"
#include "kernels/loops.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

namespace {

void select_reference(ReferenceContext& c) {
  RefArray& y = c.outputs[0];
  const Extents& extents = y.extents;
  const std::vector<int64_t>& condition = c.inputs[0].integer();
  std::visit(
      [&](const auto& a) {
        using Vector = std::decay_t<decltype(a)>;
        const auto& b = std::get<Vector>(c.inputs[2].values);
        auto& out = std::get<Vector>(y.values);
        for_each_element<3>(
            extents,
            {broadcast_strides(c.inputs[0].extents, extents), broadcast_strides(c.inputs[1].extents, extents),
             broadcast_strides(c.inputs[2].extents, extents)},
            [&](int64_t i, const std::array<int64_t, 3>& at) {
              out[static_cast<size_t>(i)] = condition[static_cast<size_t>(at[0])] != 0 ? a[static_cast<size_t>(at[1])]
                                                                                       : b[static_cast<size_t>(at[2])];
            });
      },
      c.inputs[1].values);
}

Result<Kernel> select_kernel(const NodeView& node, const Target& target) {
  if (node.outputs()[0].dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  if (node.outputs()[0].rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
  Kernel kernel;
  kernel.run = [isa = target.isa, plan = BroadcastPlan(node)](const Launch& l) {
    kernels::select_f32(isa, l.team, plan.rank(), plan.extents.data(), static_cast<const uint8_t*>(l.inputs[0]),
                        plan.strides[0].data(), static_cast<const float*>(l.inputs[1]), plan.strides[1].data(),
                        static_cast<const float*>(l.inputs[2]), plan.strides[2].data(),
                        static_cast<float*>(l.outputs[0]));
  };
  kernel.in_place = in_place_pairs(node);
  return kernel;
}

/// Of elements of other dtypes, as so many bytes.
template <class T>
void select_bytes(ThreadTeam& team, const kernels::Loops<4>& loops, const Launch& l) {
  const int64_t* step = loops.strides[loops.rank - 1];
  kernels::for_rows(
      team, loops, [&, c_step = step[0], a_step = step[1], b_step = step[2]](const int64_t(&at)[4], int64_t n) {
        const auto* c = static_cast<const uint8_t*>(l.inputs[0]) + at[0];
        const auto *a = static_cast<const T*>(l.inputs[1]) + at[1], *b = static_cast<const T*>(l.inputs[2]) + at[2];
        auto* y = static_cast<T*>(l.outputs[0]) + at[3];
        for (int64_t i = 0; i < n; ++i) {
          const T yes = a[i * a_step], no = b[i * b_step];
          y[i] = c[i * c_step] != 0 ? yes : no;
        }
      });
}

Result<Kernel> select_native(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const BroadcastPlan plan(node);
  if (plan.rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
  int64_t dense[kernels::kMaxRank];
  kernels::dense_strides(plan.rank(), plan.extents.data(), dense);
  const auto loops =
      kernels::collapse<4>(plan.rank(), plan.extents.data(),
                           {plan.strides[0].data(), plan.strides[1].data(), plan.strides[2].data(), dense});
  Kernel kernel;
  kernel.run = [loops, size = size_of(node.outputs()[0].dtype)](const Launch& l) {
    if (size == 1) return select_bytes<uint8_t>(l.team, loops, l);
    if (size == 2) return select_bytes<uint16_t>(l.team, loops, l);
    if (size == 4) return select_bytes<uint32_t>(l.team, loops, l);
    if (size == 8) return select_bytes<uint64_t>(l.team, loops, l);
    select_bytes<std::complex<double>>(l.team, loops, l);
  };
  kernel.in_place = in_place_pairs(node);
  return kernel;
}

std::vector<Sample> select_samples() {
  std::vector<Sample> samples;
  samples.push_back({.inputs = {sample_booleans({3, 21}, 1), sample_uniform({3, 21}, 2), sample_uniform({3, 21}, 3)}});
  samples.push_back({.inputs = {sample_booleans({}, 4), sample_uniform({}, 5), sample_uniform({}, 6)}});
  samples.push_back({.inputs = {sample_booleans({3, 1}, 7), sample_uniform({4}, 8), sample_uniform({2, 1, 1}, 9)}});
  samples.push_back({.inputs = {sample_booleans({5}, 10), sample_complex({5}, 11), sample_complex({}, 12)}});
  samples.push_back({.inputs = {sample_booleans({5}, 13), sample_integers({5}, 14), sample_integers({1}, 15)},
                     .check_gradient = false});
  samples.push_back({.inputs = {sample_booleans({5}, 16), sample_booleans({5}, 17), sample_booleans({5}, 18)},
                     .check_gradient = false});
  return samples;
}

}  // namespace

const OpDef& select_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "select";
    d.doc =
        "a where the condition holds, else b; all three broadcast as in NumPy. What is not selected does not count, be "
        "it NaN: neither in the value nor in the gradient.";
    d.inputs = {{"condition", "boolean"}, {"a", "any dtype"}, {"b", "of a's dtype"}};
    d.outputs = {{"y", "of a's dtype and the broadcast shape"}};
    d.to_onnx = one_node("Where");
    d.infer = [](const NodeView& node) {
      check_dtype(node, 0, DType::boolean);
      check_same_dtype(node, 1, 2);
      const Shape values = broadcast(node.input(1).shape, node.input(2).shape, "select");
      return std::vector<Type>{Type(node.input(1).dtype, broadcast(node.input(0).shape, values, "select"))};
    };
    d.reference = select_reference;
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      return is_real_float(node.input(1).dtype) ? e.apply(kernels::ExprOp::select, in[0], in[1], in[2]) : -1;
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const Value condition = c.input(0), d_y = c.d_output(), zero = scalar(g, c.type(d_y).dtype, 0);
      c.set_d_input(1, reduce_like(g, select(g, condition, d_y, zero), c.input(1)));
      c.set_d_input(2, reduce_like(g, select(g, condition, zero, d_y), c.input(2)));
    };
    d.lowerings = {{"f32", select_kernel}, {"native", select_native}};
    d.samples = select_samples;
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value select(Graph& g, Value condition, Value a, Value b) { return g.add1(select_op(), {condition, a, b}); }

}  // namespace gregale::ops
