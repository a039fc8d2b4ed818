// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& real_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "real";
    d.doc = "The real part of a complex operand, elementwise.";
    d.inputs = {{"z", "complex"}};
    d.outputs = {{"y", "real, of z's shape"}};
    d.to_onnx = [](OnnxWriter& w) { w.set_output(0, onnx_parts(w, w.input(0)).first); };
    d.infer = [](const NodeView& node) { return infer_part_of_complex(node); };
    d.reference = [](ReferenceContext& c) {
      const auto& z = c.inputs[0].complex();
      for (size_t i = 0; i < z.size(); ++i) c.outputs[0].real()[i] = z[i].real();
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      c.set_d_input(0, cast(g, c.d_output(), c.type(c.input(0)).dtype));
    };
    d.lowerings = {{"c64", [](const NodeView& node, const Target& target) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::c64) return refuse(node, "c64 needed");
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      Kernel kernel;
                      kernel.run = [count = node.input(0).shape.elements(), isa = target.isa](const Launch& l) {
                        kernels::complex_split(isa, l.team, count, static_cast<const float*>(l.inputs[0]),
                                               static_cast<float*>(l.outputs[0]), nullptr);
                      };
                      return kernel;
                    }}};
    d.cost = [](const NodeView& node) { return default_cost(node, 0); };
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_complex({}, 1)}}, {.inputs = {sample_complex({3, 7}, 2)}}};
    };
    return d;
  }();
  return op;
}

Value real(Graph& g, Value z) { return g.add1(real_op(), {z}); }

}  // namespace gregale::ops
