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

// Larger results cost more memory than computing them again; larger operands take the slow references too long.
constexpr int64_t kMaxElements = 1 << 16;

bool is_small(const Type& type) { return type.shape.is_constant() && type.shape.elements() <= kMaxElements; }

}  // namespace

bool is_foldable(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || node.op->has_side_effect || !node.op->reference || !node.regions.empty()) return false;
  const auto fits = [&](Value v) { return is_small(graph.type(v)); };
  return std::all_of(node.outputs.begin(), node.outputs.end(), fits) &&
         std::all_of(node.inputs.begin(), node.inputs.end(), fits);
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
