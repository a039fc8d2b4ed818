// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& is_nan_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "is_nan";
    d.doc = "True where x is not a number, elementwise.";
    d.inputs = {{"x", "real float"}};
    d.outputs = {{"y", "boolean, of x's shape"}};
    d.to_onnx = one_node("IsNaN");
    d.infer = [](const NodeView& node) {
      check_real_float(node, 0);
      return std::vector<Type>{Type(DType::boolean, node.input(0).shape)};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].real();
      for (size_t i = 0; i < x.size(); ++i) c.outputs[0].integer()[i] = std::isnan(x[i]);
    };
    d.no_gradient = kNoGradientBoolean;
    d.lowerings = {{"f32", [](const NodeView& node, const Target& target) -> Result<Kernel> {
                      if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      Kernel kernel;
                      kernel.run = [count = node.input(0).shape.elements(), isa = target.isa](const Launch& l) {
                        // NaN alone differs from itself.
                        const auto* x = static_cast<const float*>(l.inputs[0]);
                        const int64_t stride = 1;
                        kernels::compare_f32(isa, l.team, kernels::CompareOp::not_equal, 1, &count, x, &stride, x,
                                             &stride, static_cast<uint8_t*>(l.outputs[0]));
                      };
                      return kernel;
                    }}};
    d.express = [](kernels::Expression& e, const NodeView&, const std::vector<int32_t>& in) {
      return e.apply(kernels::ExprOp::not_equal, in[0], in[0]);
    };
    d.samples = [] {
      Tensor x = sample_uniform({3, 7}, 1);
      x.as<double>()[4] = x.as<double>()[20] = std::nan("");
      return std::vector<Sample>{{.inputs = {x}, .check_gradient = false},
                                 {.inputs = {Tensor::scalar(std::nan(""))}, .check_gradient = false}};
    };
    d.bits_exact_integers = true;
    d.onnx = {{"IsNaN", 1, [](OnnxNode& n) { return std::vector{is_nan(n.graph(), n.input(0))}; }}};
    return d;
  }();
  return op;
}

Value is_nan(Graph& g, Value x) { return g.add1(is_nan_op(), {x}); }

}  // namespace gregale::ops
