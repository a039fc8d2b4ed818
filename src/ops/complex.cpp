// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/layout/layout.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

namespace {

Result<Kernel> complex_kernel(const NodeView& node, const Target& target) {
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  if (node.outputs()[0].rank() > kernels::kMaxRank) return refuse(node, "the rank is above 8");
  const BroadcastPlan plan(node);
  const int64_t count = node.outputs()[0].shape.elements();
  const int64_t part = kernels::align_bytes(count * static_cast<int64_t>(sizeof(float)));
  // A part that is broadcast is first written out in full.
  const bool expand_re = node.input(0).shape != node.outputs()[0].shape;
  const bool expand_im = node.input(1).shape != node.outputs()[0].shape;
  Kernel kernel;
  kernel.scratch_bytes = (int{expand_re} + int{expand_im}) * part;
  kernel.run = [plan, count, part, expand_re, expand_im, isa = target.isa](const Launch& l) {
    std::byte* scratch = l.scratch;
    const auto dense = [&](int i, bool expand) {
      if (!expand) return static_cast<const float*>(l.inputs[i]);
      auto* full = reinterpret_cast<float*>(scratch);
      scratch += part;
      kernels::strided_copy(l.team, sizeof(float), plan.rank(), plan.extents.data(), l.inputs[i],
                            plan.strides[static_cast<size_t>(i)].data(), full);
      return static_cast<const float*>(full);
    };
    const float* re = dense(0, expand_re);
    const float* im = dense(1, expand_im);
    kernels::complex_join(isa, l.team, count, re, im, static_cast<float*>(l.outputs[0]));
  };
  return kernel;
}

}  // namespace

const OpDef& complex_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "complex";
    d.doc = "re + i im with broadcasting: f32 parts make c64, f64 parts c128.";
    d.inputs = {{"re", "f32 or f64"}, {"im", "of re's dtype"}};
    d.outputs = {{"z", "complex, of the broadcast shape"}};
    d.to_onnx = [](OnnxWriter& w) {
      OnnxWriter::Names parts;
      const std::string shape = w.integers(w.view().outputs()[0].shape.extents());
      for (int64_t i = 0; i < 2; ++i)
        parts.push_back(w.view().input(i).shape == w.view().outputs()[0].shape ? w.input(i)
                                                                               : w.add1("Expand", {w.input(i), shape}));
      w.set_output(0, onnx_pair(w, parts[0], parts[1]));
    };
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      check_same_dtype(node, 0, 1);
      return std::vector<Type>{
          Type(complex_of(node.input(0).dtype), broadcast(node.input(0).shape, node.input(1).shape, "complex"))};
    };
    d.reference = [](ReferenceContext& c) {
      const auto &re = c.inputs[0].real(), &im = c.inputs[1].real();
      const Extents& extents = c.outputs[0].extents;
      for_each_element<2>(
          extents, {broadcast_strides(c.inputs[0].extents, extents), broadcast_strides(c.inputs[1].extents, extents)},
          [&](int64_t i, const std::array<int64_t, 2>& at) {
            c.outputs[0].complex()[static_cast<size_t>(i)] = {re[static_cast<size_t>(at[0])],
                                                              im[static_cast<size_t>(at[1])]};
          });
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      c.set_d_input(0, reduce_like(g, real(g, c.d_output()), c.input(0)));
      c.set_d_input(1, reduce_like(g, imag(g, c.d_output()), c.input(1)));
    };
    d.lowerings = {{"f32", complex_kernel}};
    d.cost = [](const NodeView& node) { return default_cost(node, 0); };
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_uniform({3, 7}, 1), sample_uniform({3, 7}, 2)}},
                                 {.inputs = {sample_uniform({}, 3), sample_uniform({}, 4)}},
                                 {.inputs = {sample_uniform({2, 1}, 5), sample_uniform({5}, 6)}},
                                 {.inputs = {sample_uniform({2, 5}, 7), sample_uniform({}, 8)}}};
    };
    return d;
  }();
  return op;
}

Value complex(Graph& g, Value re, Value im) { return g.add1(complex_op(), {re, im}); }

}  // namespace gregale::ops
