// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/interpret.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {
namespace {

// Larger results cost more memory than computing them again; larger operands take the slow references too long.
constexpr int64_t kMaxElements = 1 << 16;

const Tensor* constant_of(const Graph& graph, Value v) {
  const int32_t producer = graph.producer(v);
  if (producer < 0) return nullptr;
  const Node& node = graph.nodes()[static_cast<size_t>(producer)];
  return node.op->name == kConstantOp ? &std::get<Tensor>(node.attributes.at("value")) : nullptr;
}

}  // namespace

Graph fold_constants(const Graph& graph) {
  return rewrite(graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (node.inputs.empty() || node.op->has_side_effect || !node.op->reference || !node.regions.empty()) return outputs;
    for (Value v : node.outputs)
      if (!graph.type(v).shape.is_constant() || graph.type(v).shape.elements() > kMaxElements) return outputs;
    std::vector<RefArray> operands;
    for (Value v : inputs) {
      const Tensor* constant = constant_of(target, v);
      if (constant == nullptr || constant->size() > kMaxElements) return outputs;
      operands.push_back(RefArray::from(*constant));
    }
    outputs.emplace();
    for (const RefArray& result : run_reference(view_of(graph, node), operands))
      outputs->push_back(target.constant(result.to_tensor()));
    return outputs;
  });
}

}  // namespace gregale::passes
