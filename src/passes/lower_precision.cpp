// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
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

  /// Moves or chooses elements: of rounded ones it gives the same, rounded.
  static bool is_chooser(const OpDef& op) { return op.result_as_view || op.name == "max_pool2d"; }
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
    for (const Node* n : users_[static_cast<size_t>(v.id)]) count += is_chooser(*n->op) ? readers(n->outputs[0]) : 1;
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
      return is_chooser(*n->op) && is_read_rounded(n->outputs[0]);
    });
  }

  const Graph& g_;
  std::vector<std::vector<const Node*>> users_;
  std::set<int32_t> in_loss_;  ///< nodes
};

}  // namespace

Graph lower_precision(const Graph& graph, int loss) {
  const Policy policy(graph, loss);
  std::map<int32_t, Value> rounded;  // of the new graph: value -> its bf16 form
  const std::function<Value(Graph&, Value)> round = [&](Graph& out, Value v) -> Value {
    if (const auto found = rounded.find(v.id); found != rounded.end()) return found->second;
    const int32_t p = out.producer(v);
    // What was widened for this reader is rounded already.
    if (p >= 0 && out.nodes()[static_cast<size_t>(p)].op->name == "cast") {
      const Value kept = out.nodes()[static_cast<size_t>(p)].inputs[0];
      if (out.type(kept).dtype == DType::bf16) return rounded[v.id] = kept;
    }
    // Operators that move or choose elements do so with the rounded ones: the rounding joins what computes them.
    if (p >= 0 && Policy::is_chooser(*out.nodes()[static_cast<size_t>(p)].op)) {
      const Node mover = out.nodes()[static_cast<size_t>(p)];
      std::vector<Value> operands = mover.inputs;
      operands[0] = round(out, operands[0]);
      return rounded[v.id] = out.add(*mover.op, operands, mover.attributes)[0];
    }
    const bool constant = p >= 0 && out.nodes()[static_cast<size_t>(p)].op->name == kConstantOp;
    const Value low =
        constant ? out.constant(
                       std::get<Tensor>(out.nodes()[static_cast<size_t>(p)].attributes.at("value")).cast(DType::bf16))
                 : ops::cast(out, v, DType::bf16);
    rounded[v.id] = low;
    return low;
  };
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    std::vector<Value> operands = inputs;
    bool changed = false;
    if (node.op->result_as_view) return results;  // its readers take the rounded one, moved
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (policy.multiplies_f32(node)) {
        operands[i] = round(out, inputs[i]);
        changed = true;
      } else if (policy.is_kept_rounded(node.inputs[i])) {
        operands[i] = Policy::compares(node, node.inputs[i]) ? round(out, inputs[i])
                                                             : ops::cast(out, round(out, inputs[i]), DType::f32);
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
