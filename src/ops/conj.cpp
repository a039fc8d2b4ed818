// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& conj_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conj";
    d.doc = "The complex conjugate, elementwise.";
    d.inputs = {{"z", "complex"}};
    d.outputs = {{"y", "of z's dtype and shape"}};
    d.to_onnx = [](OnnxWriter& w) {
      const DType dtype = real_of(w.view().input(0).dtype);
      const std::string signs = w.constant(Tensor::from<float>({1, -1}, {2}).cast(dtype));
      w.set_output(0, w.add1("Mul", {w.input(0), signs}));
    };
    d.infer = [](const NodeView& node) {
      infer_part_of_complex(node);
      return std::vector<Type>{node.input(0)};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& z = c.inputs[0].complex();
      for (size_t i = 0; i < z.size(); ++i) c.outputs[0].complex()[i] = std::conj(z[i]);
    };
    d.gradient = [](GradientContext& c) { c.set_d_input(0, conj(c.graph(), c.d_output())); };
    d.lowerings = {{"c64", [](const NodeView& node, const Target& target) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::c64) return refuse(node, "c64 needed");
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      Kernel kernel;
                      kernel.run = [count = node.input(0).shape.elements(), isa = target.isa](const Launch& l) {
                        // Pairs of floats times (1, -1).
                        static constexpr float kSigns[2] = {1, -1};
                        const int64_t extents[2] = {count, 2}, pairs[2] = {2, 1}, signs[2] = {0, 1};
                        kernels::binary_f32(isa, l.team, kernels::BinaryOp::mul, 2, extents,
                                            static_cast<const float*>(l.inputs[0]), pairs, kSigns, signs,
                                            static_cast<float*>(l.outputs[0]));
                      };
                      kernel.in_place = in_place_pairs(node);
                      return kernel;
                    }}};
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_complex({}, 1)}}, {.inputs = {sample_complex({3, 7}, 2)}}};
    };
    return d;
  }();
  return op;
}

Value conj(Graph& g, Value z) { return g.add1(conj_op(), {z}); }

}  // namespace gregale::ops
