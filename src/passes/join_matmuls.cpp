// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <tuple>

#include "gregale/op.hpp"
#include "ir/rewrite.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

/// Joined constants are copies; what they cost is memory.
constexpr int64_t kMaxBytes = int64_t{64} << 20;

struct Joined {
  std::vector<const Node*> products;
  bool transposed = false;  ///< weights are [n, k]
};

int64_t columns(const Graph& graph, const Joined& group, const Node& product) {
  return graph.type(product.inputs[1]).shape[group.transposed ? 0 : 1].value();
}

/// The weights side by side.
Tensor joined(const Graph& graph, const Joined& group) {
  int64_t n = 0;
  for (const Node* p : group.products) n += columns(graph, group, *p);
  const Tensor& first = *constant_of(graph, group.products[0]->inputs[1]);
  const int64_t k = first.extent(group.transposed ? 1 : 0);
  Tensor all(first.dtype(), group.transposed ? Extents{n, k} : Extents{k, n});
  const int64_t rows = group.transposed ? 1 : k;  // of all; those of a part are copied one by one
  int64_t at = 0;
  for (const Node* p : group.products) {
    const Tensor& part = *constant_of(graph, p->inputs[1]);
    const int64_t bytes = part.bytes() / rows;
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<std::byte*>(all.data()) + r * (all.bytes() / rows) + at,
                  static_cast<const std::byte*>(part.data()) + r * bytes, static_cast<size_t>(bytes));
    at += bytes;
  }
  return all;
}

std::vector<Value> emit(Graph& target, const Graph& graph, const Joined& group, Value left, Value weights) {
  const Node& first = *group.products[0];
  const Value product = target.add1(*first.op, {left, weights}, first.attributes);
  std::vector<Value> slices;
  int64_t at = 0;
  for (const Node* p : group.products) {
    const int64_t n = columns(graph, group, *p);
    slices.push_back(ops::slice_axis(target, product, -1, at, at + n));
    at += n;
  }
  return slices;
}

/// Bytes it saves, weighed on a graph of its own.
double saved_bytes(const Graph& graph, const Joined& group) {
  FixedValues fixed(graph);
  double before = 0;
  int64_t n = 0;
  for (const Node* p : group.products) {
    before += burden_of(graph, *p, fixed).bytes;
    n += columns(graph, group, *p);
  }
  const Node& first = *group.products[0];
  Graph after;
  Type weights = graph.type(first.inputs[1]);
  weights.shape[group.transposed ? 0 : 1] = Dim(n);
  if (weights.bytes() > kMaxBytes) return 0;
  const Value left = after.add_input("left", graph.type(first.inputs[0])), right = after.add_input("right", weights);
  emit(after, graph, group, left, right);
  return before - burden_of(after).bytes;
}

}  // namespace

Graph join_matmuls(const Graph& graph, RuleCounts& counts) {
  std::map<std::tuple<Value, bool, bool, DType>, Joined> groups;
  for (const Node& node : graph.nodes()) {
    if (node.op->name != "matmul") continue;
    const Tensor* weights = constant_of(graph, node.inputs[1]);
    if (!weights || weights->rank() != 2) continue;
    const bool transposed = std::get<bool>(node.attributes.at("transpose_b"));
    Joined& group =
        groups[{node.inputs[0], std::get<bool>(node.attributes.at("transpose_a")), transposed, weights->dtype()}];
    group.transposed = transposed;
    group.products.push_back(&node);
  }
  std::map<const Node*, const Joined*> group_of;
  for (const auto& [key, group] : groups) {
    if (group.products.size() < 2) continue;
    const double saved = saved_bytes(graph, group);
    if (saved <= 0) continue;
    for (const Node* p : group.products) group_of[p] = &group;
    RuleCount& count = counts["matmuls joined"];
    ++count.applied;
    count.bytes += saved;
  }
  if (group_of.empty()) return graph;
  std::map<const Joined*, std::vector<Value>> slices;
  return rewrite(graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    const auto at = group_of.find(&node);
    if (at == group_of.end()) return outputs;
    const Joined& group = *at->second;
    std::vector<Value>& parts = slices[&group];
    if (parts.empty()) parts = emit(target, graph, group, inputs[0], target.constant(joined(graph, group)));
    for (size_t i = 0; i < group.products.size(); ++i)
      if (group.products[i] == &node) outputs.emplace({parts[i]});
    return outputs;
  });
}

}  // namespace gregale::passes
