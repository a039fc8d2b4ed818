// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ir/inference.hpp"
#include "ir/interpret.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

// Larger operands take the slow references too long.
constexpr int64_t kMaxElements = 1 << 20;
// Of operators that only move elements.
constexpr int64_t kMaxMoved = 1 << 25;
// Results above this that are larger than their operands cost more memory than computing them again.
constexpr int64_t kMaxGrown = 1 << 16;

int64_t elements_of(const Graph& graph, const std::vector<Value>& values, int64_t most) {
  int64_t total = 0;
  for (const Value v : values) {
    const Shape& shape = graph.type(v).shape;
    if (!shape.is_constant() || shape.elements() > most) return -1;
    total += shape.elements();
  }
  return total;
}

}  // namespace

bool is_foldable(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || node.op->has_side_effect || !node.op->reference || !node.regions.empty()) return false;
  const int64_t most = node.op->result_as_view ? kMaxMoved : kMaxElements;
  const int64_t in = elements_of(graph, node.inputs, most), out = elements_of(graph, node.outputs, most);
  return in >= 0 && out >= 0 && (out <= kMaxGrown || out <= in);
}

Graph fold_constants(const Graph& graph) {
  return rewrite(graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (!is_foldable(graph, node)) return outputs;
    std::vector<RefArray> operands;
    for (Value v : inputs) {
      const Tensor* constant = constant_of(target, v);
      if (constant == nullptr) return outputs;
      operands.push_back(RefArray::from(*constant));
    }
    outputs.emplace();
    for (const RefArray& result : run_reference(view_of(graph, node), operands))
      outputs->push_back(target.constant(result.to_tensor()));
    return outputs;
  });
}

}  // namespace gregale::passes
