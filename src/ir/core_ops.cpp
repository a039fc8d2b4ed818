// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ir/core_ops.hpp"

#include <fmt/format.h>

namespace gregale::core {

// The types of `read` and `write` come from the graph's variables, which only infer_types() sees; their `infer` is
// never called. Their execution belongs to whoever holds the state: the interpreter and the executor.

const OpDef& read_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = kReadOp;
    d.doc =
        "The value a variable holds at `version`: 0 is what it held when the run began, k what write number k gave.";
    d.outputs = {{"value", "the variable's value"}};
    d.attributes = {{"variable", AttributeKind::integer, "index of the variable in its graph", {}},
                    {"version", AttributeKind::integer, "which version to read", {}}};
    d.no_gradient = "a source: gradients are taken with respect to the value it gives";
    return d;
  }();
  return op;
}

const OpDef& write_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = kWriteOp;
    d.doc =
        "Makes `value` version `version` of a variable. Versions are written once each, in order; the last one is "
        "what the variable holds after the run.";
    d.inputs = {{"value", "of the variable's type"}};
    d.attributes = {{"variable", AttributeKind::integer, "index of the variable in its graph", {}},
                    {"version", AttributeKind::integer, "the version this makes, from 1", {}}};
    d.no_gradient = "a sink: it has no result";
    d.has_side_effect = true;
    return d;
  }();
  return op;
}

const OpDef& constant_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = kConstantOp;
    d.doc = "A tensor known when the graph is built. Its buffer is shared, never copied.";
    d.outputs = {{"value", "the tensor"}};
    d.attributes = {{"value", AttributeKind::tensor, "the tensor", {}}};
    d.infer = [](const NodeView& node) { return std::vector<Type>{node.tensor("value").type()}; };
    d.reference = [](ReferenceContext& c) { c.outputs[0] = RefArray::from(c.node.tensor("value")); };
    d.no_gradient = "it has no input";
    d.samples = [] { return std::vector<Sample>{{{}, {{"value", Tensor::from<float>({1, 2.5f}, {2})}}, {}, false}}; };
    return d;
  }();
  return op;
}

}  // namespace gregale::core
