// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/op.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {

Graph drop_dead_nodes(const Graph& graph) {
  std::vector<bool> needed(static_cast<size_t>(graph.value_count()), false);
  for (Value v : graph.outputs()) needed[static_cast<size_t>(v.id)] = true;
  auto is_needed = [&](const Node& node) {
    bool any = node.op->has_side_effect;
    for (Value v : node.outputs) any = any || needed[static_cast<size_t>(v.id)];
    return any;
  };
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node)
    if (is_needed(*node))
      for (Value v : node->inputs) needed[static_cast<size_t>(v.id)] = true;
  return rewrite(graph, [&](Graph&, const Node& node, const std::vector<Value>&) {
    std::optional<std::vector<Value>> outputs;
    if (!is_needed(node)) outputs.emplace(node.outputs.size());
    return outputs;
  });
}

}  // namespace gregale::passes
