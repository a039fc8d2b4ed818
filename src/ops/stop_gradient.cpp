// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& stop_gradient_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "stop_gradient";
    d.doc = "x itself, of any dtype, but a constant to differentiation: no cotangent passes.";
    d.inputs = {{"x", "any dtype"}};
    d.outputs = {{"y", "x"}};
    d.to_onnx = [](OnnxWriter& w) { w.set_output(0, w.input(0)); };
    d.infer = [](const NodeView& node) { return std::vector<Type>{node.input(0)}; };
    d.reference = [](ReferenceContext& c) { c.outputs[0].values = c.inputs[0].values; };
    d.gradient = [](GradientContext&) {};
    d.result_as_view = d.operand_as_view = [](const NodeView&, const StridedView& view) { return std::optional(view); };
    d.lowerings = {copy_lowering()};
    d.cost = [](const NodeView& node) { return default_cost(node, 0); };
    d.samples = [] {
      return std::vector<Sample>{{.inputs = {sample_uniform({2, 3}, 1)}, .check_gradient = false},
                                 {.inputs = {sample_integers({4}, 2)}, .check_gradient = false}};
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value stop_gradient(Graph& g, Value x) { return g.add1(stop_gradient_op(), {x}); }

}  // namespace gregale::ops
