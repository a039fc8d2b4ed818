// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/simplify.hpp"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {
namespace {

constexpr int kMaxRounds = 64;

/// Rules by the operator they start from.
using RuleTable = std::map<std::string_view, std::vector<const Rule*>>;

std::vector<Rule> all_rules() {
  std::vector<Rule> all;
  for (auto* rules : {identity_rules, algebra_rules, constant_rules, layout_rules, matmul_rules})
    for (Rule& rule : rules()) all.push_back(std::move(rule));
  return all;
}

/// One walk over a graph. A rule's nodes go into the copy first and are weighed there; those of a rule that is not
/// taken stay behind, dead.
class Round {
 public:
  Round(const Graph& graph, const RuleTable& rules, RuleCounts& counts)
      : source_(graph), rules_(rules), counts_(counts), where_(static_cast<size_t>(graph.value_count())) {}

  Graph run() {
    return rewrite(source_.graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
      for (size_t i = 0; i < inputs.size(); ++i) where_[index(node.inputs[i])] = inputs[i];
      if (!node.regions.empty()) return regions(target, node, inputs);
      std::optional<std::vector<Value>> outputs;
      if (node.outputs.size() != 1) return outputs;
      const auto rules = rules_.find(node.op->name);
      if (rules == rules_.end()) return outputs;
      for (const Rule* rule : rules->second)
        if (const Value v = tried(*rule, target, node); v.valid()) {
          outputs.emplace({v});
          break;
        }
      return outputs;
    });
  }
  bool changed() const { return changed_; }

 private:
  static size_t index(Value v) { return static_cast<size_t>(v.id); }

  std::optional<std::vector<Value>> regions(Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::vector<Graph> bodies;
    const int64_t before = applications();
    for (const Graph& body : node.regions) bodies.push_back(simplify(body, counts_));
    if (applications() == before) return std::nullopt;
    changed_ = true;
    return target.add(*node.op, inputs, node.attributes, std::move(bodies));
  }

  int64_t applications() const {
    int64_t n = 0;
    for (const auto& [name, count] : counts_) n += count.applied;
    return n;
  }

  Value emitted(const Rule& rule, const Match& match) const {
    if (!source_.symbolic) return rule.apply(match);
    try {
      return rule.apply(match);
    } catch (const Error& e) {  // it needs an extent that is not known
      if (e.code() == ErrorCode::internal) throw;
      return {};
    }
  }

  Value tried(const Rule& rule, Graph& target, const Node& node) {
    const size_t before = target.nodes().size();
    const Value v = emitted(rule, Match(source_, where_, node, target));
    if (!v.valid() || target.type(v) != source_.graph.type(node.outputs[0])) return {};
    std::set<Value> kept;
    if (!fixed_in_copy_) fixed_in_copy_.emplace(target);
    const Burden added = burden_of_new(target, before, v, *fixed_in_copy_, kept);
    // Two rewrites of one round must not count on each other: what one has taken for dead waits for the next round.
    for (Value used : kept)
      if (claimed_.count(used)) return {};
    std::set<Value> dead;
    const Burden removed = burden_of_dying(node, kept, dead);
    if (!is_lower(added, removed) && !(rule.at_equal_burden && added == removed)) return {};
    changed_ = true;
    pinned_.insert(kept.begin(), kept.end());
    claimed_.insert(dead.begin(), dead.end());
    RuleCount& count = counts_[rule.name];
    ++count.applied;
    count.bytes += removed.bytes - added.bytes;
    return v;
  }

  /// What nodes from `first` on take to make v. Those of constants alone will be folded.
  static Burden burden_of_new(const Graph& target, size_t first, Value v, FixedValues& fixed, std::set<Value>& used) {
    Burden sum;
    used = {v};
    std::vector<bool> folds(target.nodes().size() - first, false);
    const auto is_known = [&](Value operand) {
      const auto producer = static_cast<size_t>(target.producer(operand));  // an input's is far out of range
      return constant_of(target, operand) ||
             (producer >= first && producer - first < folds.size() && folds[producer - first]);
    };
    for (size_t i = first; i < target.nodes().size(); ++i) {
      const Node& node = target.nodes()[i];
      bool all = !node.inputs.empty();
      for (Value operand : node.inputs) all = all && is_known(operand);
      folds[i - first] = all && is_foldable(target, node);
    }
    for (size_t i = target.nodes().size(); i-- > first;) {
      const Node& node = target.nodes()[i];
      if (!used.count(node.outputs[0])) continue;
      if (!folds[i - first]) sum += burden_of(target, node, fixed);
      used.insert(node.inputs.begin(), node.inputs.end());
    }
    return sum;
  }

  /// The node itself and whatever only it needs, but for the values that are still used.
  Burden burden_of_dying(const Node& root, const std::set<Value>& kept, std::set<Value>& dead_values) {
    const Graph& graph = source_.graph;
    Burden sum = burden_of(graph, root, fixed_);
    std::set<int32_t> dead{graph.producer(root.outputs[0])};
    std::set<int32_t, std::greater<>> candidates;  // the last first: users come before what they use
    const auto add_operands = [&](const Node& node) {
      for (Value v : node.inputs)
        if (graph.producer(v) >= 0) candidates.insert(graph.producer(v));
    };
    add_operands(root);
    while (!candidates.empty()) {
      const int32_t at = *candidates.begin();
      candidates.erase(candidates.begin());
      const Node& node = graph.nodes()[static_cast<size_t>(at)];
      bool dies = !node.op->has_side_effect;
      for (Value v : node.outputs) {
        const Value copy = where_[index(v)];
        dies = dies && !source_.is_output[index(v)] && !kept.count(copy) && !pinned_.count(copy);
        for (int32_t user : source_.users[index(v)]) dies = dies && dead.count(user);
      }
      if (!dies) continue;
      dead.insert(at);
      for (Value v : node.outputs) dead_values.insert(where_[index(v)]);
      sum += burden_of(graph, node, fixed_);
      add_operands(node);
    }
    return sum;
  }

  Source source_;
  FixedValues fixed_{source_.graph};
  std::optional<FixedValues> fixed_in_copy_;
  const RuleTable& rules_;
  RuleCounts& counts_;
  std::vector<Value> where_;          // in the copy, per value of the source
  std::set<Value> pinned_, claimed_;  // of the copy: what rewrites use, and what they have taken for dead
  bool changed_ = false;
};

Graph to_fixed_point(Graph graph, const RuleTable& rules, RuleCounts& counts) {
  for (int i = 0; i < kMaxRounds; ++i) {
    Round round(graph, rules, counts);
    Graph next = round.run();
    if (!round.changed()) break;
    graph = drop_dead_nodes(merge_common_subexpressions(fold_constants(drop_dead_nodes(next))));
  }
  return graph;
}

}  // namespace

Graph simplify(const Graph& graph, RuleCounts& counts) {
  const std::vector<Rule> rules = all_rules();
  RuleTable table;
  for (const Rule& rule : rules)
    for (std::string_view op : rule.ops) table[op].push_back(&rule);
  Graph result = to_fixed_point(drop_dead_nodes(graph), table, counts);
  // A joined product is one more place that scales and transposes can go to.
  for (int64_t joined = counts["matmuls joined"].applied;;) {
    result = drop_dead_nodes(join_matmuls(result, counts));
    const int64_t now = counts["matmuls joined"].applied;
    if (now == joined) break;
    joined = now;
    result = to_fixed_point(std::move(result), table, counts);
  }
  return result;
}

Graph simplify(const Graph& graph) {
  RuleCounts counts;
  Graph result = simplify(graph, counts);
  if (log_enabled("passes"))
    for (const auto& [name, count] : counts)
      if (count.applied > 0)
        log_line("passes", fmt::format("{}: simplify: {}: {} times, {:.0f} bytes saved", graph.name(), name,
                                       count.applied, count.bytes));
  return result;
}

}  // namespace gregale::passes
