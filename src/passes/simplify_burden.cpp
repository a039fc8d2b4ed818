// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

constexpr int64_t kSymbolicExtent = 64;

Type bounded(Type type) {
  for (Dim& d : type.shape.dims())
    if (!d.is_constant()) d = Dim(std::min(d.bound(), kSymbolicExtent));
  return type;
}

/// Its result has the bytes of its operand, and the planner makes them one buffer.
bool is_view(const Graph& graph, const Node& node) {
  const std::string& name = node.op->name;
  return name == "reshape" || name == "stop_gradient" ||
         (name == "cast" && graph.type(node.inputs[0]) == graph.type(node.outputs[0]));
}

}  // namespace

Burden& Burden::operator+=(const Burden& other) {
  bytes += other.bytes;
  flops += other.flops;
  nodes += other.nodes;
  return *this;
}

bool is_lower(const Burden& a, const Burden& b) {
  if (a.bytes != b.bytes) return a.bytes < b.bytes;
  if (a.flops != b.flops) return a.flops < b.flops;
  return a.nodes < b.nodes;
}

Burden burden_of(const Graph& graph, const Node& node) {
  if (node.op->name == kConstantOp || node.op->name == kReadOp || node.op->name == kWriteOp) return {};
  if (is_view(graph, node)) return {0, 0, 1};
  std::vector<Type> inputs, outputs;
  for (Value v : node.inputs) inputs.push_back(bounded(graph.type(v)));
  for (Value v : node.outputs) outputs.push_back(bounded(graph.type(v)));
  NodeView view(*node.op, std::move(inputs), node.attributes, node.regions);
  view.set_outputs(std::move(outputs));
  const Cost cost = node.op->cost ? node.op->cost(view) : default_cost(view);
  return {cost.bytes, cost.flops, 1};
}

Burden burden_of(const Graph& graph) {
  Burden sum;
  for (const Node& node : graph.nodes()) sum += burden_of(graph, node);
  return sum;
}

Source::Source(const Graph& g)
    : graph(g), users(static_cast<size_t>(g.value_count())), is_output(static_cast<size_t>(g.value_count()), false) {
  for (size_t i = 0; i < g.nodes().size(); ++i)
    for (Value v : g.nodes()[i].inputs) users[static_cast<size_t>(v.id)].push_back(static_cast<int32_t>(i));
  for (Value v : g.outputs()) is_output[static_cast<size_t>(v.id)] = true;
  for (int32_t v = 0; v < g.value_count(); ++v) symbolic = symbolic || !g.type(Value{v}).shape.is_constant();
}

}  // namespace gregale::passes
