// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

constexpr int64_t kSymbolicExtent = 64;
/// Fixed bytes that count for nothing where what grows with the batch shrinks: a line of the cache, a few scalars.
constexpr double kNegligibleBytes = 64;

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
  fixed_bytes += other.fixed_bytes;
  fixed_flops += other.fixed_flops;
  return *this;
}

bool is_lower(const Burden& a, const Burden& b) {
  struct Two {
    double growing, fixed;
    bool operator==(const Two&) const = default;
  };
  const auto neither_grows = [](Two x, Two y) { return x.growing <= y.growing && x.fixed <= y.fixed; };
  // No step lets the growing part grow, so that none undoes what another saved.
  const Two a_bytes{a.bytes - a.fixed_bytes, a.fixed_bytes}, b_bytes{b.bytes - b.fixed_bytes, b.fixed_bytes};
  if (a_bytes.growing < b_bytes.growing) return a_bytes.fixed <= b_bytes.fixed + kNegligibleBytes;
  if (a_bytes != b_bytes) return neither_grows(a_bytes, b_bytes);
  const Two a_flops{a.flops - a.fixed_flops, a.fixed_flops}, b_flops{b.flops - b.fixed_flops, b.fixed_flops};
  if (a_flops != b_flops) return neither_grows(a_flops, b_flops);
  return a.nodes < b.nodes;
}

bool FixedValues::operator()(Value v) {
  fixed_.resize(static_cast<size_t>(graph_.value_count()), false);
  for (; nodes_ < graph_.nodes().size(); ++nodes_) {
    const Node& node = graph_.nodes()[nodes_];
    const bool all = std::all_of(node.inputs.begin(), node.inputs.end(),
                                 [&](Value operand) { return fixed_[static_cast<size_t>(operand.id)]; });
    // A variable read after it was written is what was written, which may depend on anything.
    const bool old = node.op->name != kReadOp || std::get<int64_t>(node.attributes.at("version")) == 0;
    for (Value output : node.outputs) fixed_[static_cast<size_t>(output.id)] = all && old;
  }
  return fixed_[static_cast<size_t>(v.id)];
}

Burden burden_of(const Graph& graph, const Node& node, FixedValues& fixed) {
  if (node.op->name == kConstantOp || node.op->name == kReadOp || node.op->name == kWriteOp) return {};
  if (is_view(graph, node)) return {.nodes = 1};
  std::vector<Type> inputs, outputs;
  for (Value v : node.inputs) inputs.push_back(bounded(graph.type(v)));
  for (Value v : node.outputs) outputs.push_back(bounded(graph.type(v)));
  double fixed_bytes = 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (fixed(node.inputs[i])) fixed_bytes += static_cast<double>(inputs[i].bytes());
  const bool all_fixed = !node.outputs.empty() && fixed(node.outputs[0]);
  NodeView view(*node.op, std::move(inputs), node.attributes, node.regions);
  view.set_outputs(std::move(outputs));
  const Cost cost = node.op->cost ? node.op->cost(view) : default_cost(view);
  return {.bytes = cost.bytes,
          .flops = cost.flops,
          .nodes = 1,
          .fixed_bytes = all_fixed ? cost.bytes : std::min(fixed_bytes, cost.bytes),
          .fixed_flops = all_fixed ? cost.flops : 0};
}

Burden burden_of(const Graph& graph) {
  FixedValues fixed(graph);
  Burden sum;
  for (const Node& node : graph.nodes()) sum += burden_of(graph, node, fixed);
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
