// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/rounded_values.hpp"

#include "gregale/ops.hpp"
#include "ir/inference.hpp"

namespace gregale::passes {

bool chooses_elements(const OpDef& op) { return op.result_as_view || op.name == "max_pool2d"; }

Value RoundedValues::of(Graph& graph, Value v) {
  if (const auto found = made_.find(v.id); found != made_.end()) return found->second;
  const int32_t p = graph.producer(v);
  if (p >= 0 && graph.nodes()[static_cast<size_t>(p)].op->name == "cast") {
    const Value kept = graph.nodes()[static_cast<size_t>(p)].inputs[0];
    if (graph.type(kept).dtype == DType::bf16) return made_[v.id] = kept;
  }
  if (p >= 0 && chooses_elements(*graph.nodes()[static_cast<size_t>(p)].op)) {
    const Node mover = graph.nodes()[static_cast<size_t>(p)];
    std::vector<Value> operands = mover.inputs;
    operands[0] = of(graph, operands[0]);
    return made_[v.id] = graph.add(*mover.op, operands, mover.attributes)[0];
  }
  const Tensor* constant = constant_of(graph, v);
  return made_[v.id] = constant ? graph.constant(constant->cast(DType::bf16)) : ops::cast(graph, v, DType::bf16);
}

}  // namespace gregale::passes
