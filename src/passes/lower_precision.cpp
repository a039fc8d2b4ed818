// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "passes/rounded_values.hpp"
#include "tile/node_kinds.hpp"

namespace gregale::passes {
namespace {

class Policy {
 public:
  Policy(const Graph& graph, int loss) : g_(graph), users_(static_cast<size_t>(graph.value_count())) {
    for (const Node& n : graph.nodes())
      for (const Value v : n.inputs) users_[static_cast<size_t>(v.id)].push_back(&n);
    if (loss >= 0) find_loss(graph.outputs()[static_cast<size_t>(loss)]);
  }

  /// Reads the operand of a pooling to see which of its elements was chosen: the rounded ones, as the pooling does.
  static bool compares(const Node& n, Value v) {
    return n.op->name == "max_pool2d_gradient" && n.inputs[0] == v && n.inputs[1] != v;
  }
  static bool is_sum(const OpDef& op) { return op.name == "sum" || op.name == "sum_to" || op.name == "sum_to_like"; }
  /// Becomes part of an expression, which widens its operands for nothing.
  static bool is_expression(const OpDef& op) { return op.express || op.name == "layer_norm_gradient"; }
  bool is_product(const Node& n) const { return tile::is_contraction(view_of(g_, n)); }
  bool in_f32(Value v) const { return g_.type(v).dtype == DType::f32; }
  bool multiplies_f32(const Node& n) const { return is_product(n) && in_f32(n.inputs[0]); }

  /// A computed value that several operators read, perhaps moved, all of which widen it for nothing inside their
  /// expressions, or choose or sum its elements.
  bool is_kept_rounded(Value v) const {
    while (g_.producer(v) >= 0 && maker(v).op->result_as_view) v = maker(v).inputs[0];
    const int32_t p = g_.producer(v);
    if (!in_f32(v) || p < 0 || in_loss_.count(p) > 0) return false;
    if (!is_expression(*maker(v).op) && !is_product(maker(v))) return false;
    return readers(v) >= 2 && is_read_rounded(v);
  }

 private:
  const Node& maker(Value v) const { return g_.nodes()[static_cast<size_t>(g_.producer(v))]; }
  int readers(Value v) const {
    int count = 0;
    for (const Node* n : users_[static_cast<size_t>(v.id)])
      count += chooses_elements(*n->op) ? readers(n->outputs[0]) : 1;
    return count;
  }
  /// What of the forward pass no product is made of: the loss, which stays f32.
  void find_loss(Value loss) {
    std::set<int32_t> forward, feeds;  // nodes
    if (g_.producer(loss) >= 0) forward.insert(g_.producer(loss));
    for (auto n = static_cast<int32_t>(g_.nodes().size()); n-- > 0;) {
      if (forward.count(n) == 0) continue;
      const Node& node = g_.nodes()[static_cast<size_t>(n)];
      const bool fed = is_product(node) || feeds.count(n) > 0;
      if (!fed) in_loss_.insert(n);
      for (const Value v : node.inputs) {
        const int32_t p = g_.producer(v);
        if (p < 0) continue;
        forward.insert(p);
        if (fed) feeds.insert(p);
      }
    }
  }

  bool is_read_rounded(Value v) const {
    const auto outputs = g_.outputs();
    if (std::find(outputs.begin(), outputs.end(), v) != outputs.end()) return false;
    const auto& users = users_[static_cast<size_t>(v.id)];
    return std::all_of(users.begin(), users.end(), [&](const Node* n) {
      if (is_expression(*n->op) || is_product(*n) || is_sum(*n->op) || compares(*n, v)) return true;
      return chooses_elements(*n->op) && is_read_rounded(n->outputs[0]);
    });
  }

  const Graph& g_;
  std::vector<std::vector<const Node*>> users_;
  std::set<int32_t> in_loss_;  ///< nodes
};

}  // namespace

Graph lower_precision(const Graph& graph, int loss) {
  const Policy policy(graph, loss);
  RoundedValues rounded;  // of the new graph
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    std::vector<Value> operands = inputs;
    bool changed = false;
    if (node.op->result_as_view) return results;  // its readers take the rounded one, moved
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (policy.multiplies_f32(node)) {
        operands[i] = rounded.of(out, inputs[i]);
        changed = true;
      } else if (policy.is_kept_rounded(node.inputs[i])) {
        operands[i] = Policy::compares(node, node.inputs[i]) ? rounded.of(out, inputs[i])
                                                             : ops::cast(out, rounded.of(out, inputs[i]), DType::f32);
        changed = true;
      }
    }
    if (!changed) return results;
    Attributes attributes = node.attributes;
    if (policy.multiplies_f32(node)) attributes["f32_result"] = true;
    results = out.add(*node.op, operands, attributes, node.regions);
    return results;
  });
}

}  // namespace gregale::passes
