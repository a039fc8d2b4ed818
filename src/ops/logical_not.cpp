// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_kernel.hpp"
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_node.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& logical_not_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "logical_not";
    d.doc = "True where x is false, elementwise.";
    d.inputs = {{"x", "boolean"}};
    d.outputs = {{"y", "boolean, of x's shape"}};
    d.to_onnx = one_node("Not");
    d.infer = [](const NodeView& node) {
      check_dtype(node, 0, DType::boolean);
      return std::vector<Type>{node.input(0)};
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].integer();
      for (size_t i = 0; i < x.size(); ++i) c.outputs[0].integer()[i] = x[i] == 0;
    };
    d.no_gradient = kNoGradientBoolean;
    d.lowerings = {{"bool", [](const NodeView& node, const Target&) -> Result<Kernel> {
                      if (!is_static(node)) return refuse(node, "the shape is symbolic");
                      const int64_t count = node.outputs()[0].shape.elements();
                      Kernel kernel;
                      kernel.run = [count](const Launch& l) {
                        const auto* x = static_cast<const uint8_t*>(l.inputs[0]);
                        auto* y = static_cast<uint8_t*>(l.outputs[0]);
                        parallel_for(l.team, count, kernels::kElementGrain, [&](int64_t begin, int64_t end, int) {
                          for (int64_t i = begin; i < end; ++i) y[i] = x[i] == 0;
                        });
                      };
                      kernel.in_place = in_place_pairs(node);
                      return kernel;
                    }}};
    d.express = [](kernels::Expression& e, const NodeView&, const std::vector<int32_t>& in) {
      return e.apply(kernels::ExprOp::mask_not, in[0]);
    };
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_booleans({}, 1)}, .check_gradient = false},
                                 {.inputs = {sample_booleans({3, 7}, 2)}, .check_gradient = false}};
    };
    d.bits_exact_integers = true;
    d.onnx = {{"Not", 1, [](OnnxNode& n) { return std::vector{logical_not(n.graph(), n.input(0))}; }}};
    return d;
  }();
  return op;
}

Value logical_not(Graph& g, Value x) { return g.add1(logical_not_op(), {x}); }

}  // namespace gregale::ops
