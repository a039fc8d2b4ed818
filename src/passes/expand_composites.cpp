// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {
namespace {

bool is_lowered(const NodeView& view, const Target& target) {
  for (const Lowering& candidate : view.op().lowerings)
    if (candidate.make(view, target)) return true;
  return false;
}

}  // namespace

Graph expand_composites(const Graph& graph, const Target& target) {
  bool changed = false;
  Graph expanded = rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (!node.op->expand) return outputs;
    const NodeView view = view_of(graph, node);
    if (is_lowered(view, target)) return outputs;
    ExpandContext context{out, view, inputs};
    outputs = node.op->expand(context);
    changed = true;
    return outputs;
  });
  // An expansion may hold composites itself; it ends because expansions are made of smaller operators.
  return changed ? expand_composites(expanded, target) : expanded;
}

Graph expand_for_fusion(const Graph& graph) {
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (node.op->name != "layer_norm_gradient" || !graph.type(node.inputs[0]).shape.is_constant()) return outputs;
    const NodeView view = view_of(graph, node);
    ExpandContext context{out, view, inputs};
    outputs = node.op->expand(context);
    return outputs;
  });
}

}  // namespace gregale::passes
