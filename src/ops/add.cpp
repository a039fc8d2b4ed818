// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

/// Counters, so that a step that counts itself runs without falling back to the reference.
Result<Kernel> add_i64(const NodeView& node, const Target&) {
  if (node.outputs()[0].dtype != DType::i64) return refuse(node, "i64 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  if (node.input(0).shape != node.input(1).shape) return refuse(node, "i64 operands are broadcast");
  Kernel kernel;
  kernel.run = [count = node.outputs()[0].shape.elements()](const Launch& l) {
    const auto *a = static_cast<const uint64_t*>(l.inputs[0]), *b = static_cast<const uint64_t*>(l.inputs[1]);
    auto* y = static_cast<uint64_t*>(l.outputs[0]);
    for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
  };
  kernel.in_place = {{0, 0}, {0, 1}};
  return kernel;
}

}  // namespace

const OpDef& add_op() {
  static const OpDef op = [] {
    OpDef d = binary_op({
        .name = "add",
        .doc = "a + b with broadcasting. Real, complex or integer (wrapping).",
        .real = [](double a, double b) { return a + b; },
        .complex = [](Complex a, Complex b) { return a + b; },
        .integer = [](int64_t a,
                      int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); },
        .d_a = [](Graph&, Value, Value, Value, Value d) { return d; },
        .d_b = [](Graph&, Value, Value, Value, Value d) { return d; },
        .kernel = kernels::BinaryOp::add,
        .complex_kernel = kernels::ComplexOp::add,
    });
    d.lowerings.push_back({"i64", add_i64});
    return d;
  }();
  return op;
}

Value add(Graph& g, Value a, Value b) { return g.add1(add_op(), {a, b}); }

Value add(Graph& g, Value a, double b) { return add(g, a, scalar(g, g.type(a).dtype, b)); }

}  // namespace gregale::ops
