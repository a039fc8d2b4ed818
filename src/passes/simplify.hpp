// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gregale/ops.hpp"
#include "ir/inference.hpp"

/// What the files of the simplification share: a rule's view of the graph, what rewrites are weighed by, the rules.
namespace gregale::passes {

/// What a rewrite must lower: bytes of operands and results read and written operator by operator, then flops, then
/// nodes. What constants and variables alone decide is fixed, however large the batch; the rest grows with it. Neither
/// may grow for the other to shrink (but for some scalars): whether that pays would depend on the batch, and so would a
/// sample's bits. (A factor on its way between activations and a product's weights is such a case.)
struct Burden {
  double bytes = 0, flops = 0, nodes = 0;
  double fixed_bytes = 0, fixed_flops = 0;  ///< the fixed part of both
  Burden& operator+=(const Burden& other);
  friend bool operator==(const Burden&, const Burden&) = default;
};
bool is_lower(const Burden& a, const Burden& b);

/// Whether a value is fixed: made of constants and variables alone. Follows a graph that grows.
class FixedValues {
 public:
  explicit FixedValues(const Graph& graph) : graph_(graph) {}
  bool operator()(Value v);

 private:
  const Graph& graph_;
  size_t nodes_ = 0;         // seen so far
  std::vector<bool> fixed_;  // per value
};

/// Of one node. Views of their operand, constants and reads move nothing; a symbolic extent counts as its bound, at
/// most 64.
Burden burden_of(const Graph& graph, const Node& node, FixedValues& fixed);
Burden burden_of(const Graph& graph);

/// The graph a round of rewriting starts from, with the users of every value.
struct Source {
  explicit Source(const Graph& graph);
  const Graph& graph;
  std::vector<std::vector<int32_t>> users;  ///< indices of nodes, per value
  std::vector<bool> is_output;              ///< of the graph, per value
  bool symbolic = false;                    ///< some extent is a symbol
};

/// One node a rule looks at. Values it asks about are the source's; it emits into `target`, whose values at() gives.
class Match {
 public:
  Match(const Source& source, const std::vector<Value>& where, const Node& match, Graph& copy)
      : node(match), target(copy), source_(source), where_(where) {}
  const Node& node;
  Graph& target;

  const Graph& graph() const { return source_.graph; }
  Value in(size_t i) const { return node.inputs.at(i); }
  const Type& type(Value v) const { return graph().type(v); }
  const Type& result() const { return type(node.outputs[0]); }
  /// What stands for a value of the source.
  Value at(Value v) const { return where_.at(static_cast<size_t>(v.id)); }
  /// The same where its type is that of the result, else invalid.
  Value forward(Value v) const { return type(v) == result() ? at(v) : Value(); }
  /// The node that makes v, where its operator is called `op`; else null.
  const Node* made_by(Value v, std::string_view op) const;
  const Node* producer(Value v) const;
  bool is_constant(Value v) const { return made_by(v, "constant") != nullptr; }
  /// The one value that all elements of a real constant have (of a complex one: where it is real).
  std::optional<double> uniform(Value v) const;
  bool is_uniform(Value v, double value) const { return uniform(v) == value; }
  /// `node` again, with its operand i replaced by a value of the target.
  Value again(const Node& node, size_t i, Value operand) const;

 private:
  const Source& source_;
  const std::vector<Value>& where_;
};

/// A rewrite: `apply` emits what may stand for the node's only result, of the same type, or gives an invalid value.
/// Whether it is taken is decided by what it saves; one that is set `at_equal_burden` also where it saves nothing,
/// because it brings values closer to where they come from (and so cannot go round in circles).
struct Rule {
  std::string name;
  std::vector<std::string_view> ops;  ///< the operators of nodes it applies to
  Value (*apply)(const Match& match);
  bool at_equal_burden = false;
};

std::vector<Rule> identity_rules();
std::vector<Rule> algebra_rules();
std::vector<Rule> constant_rules();
std::vector<Rule> layout_rules();
std::vector<Rule> matmul_rules();

/// How often each rule was applied, and the bytes it saved.
struct RuleCount {
  int64_t applied = 0;
  double bytes = 0;
};
using RuleCounts = std::map<std::string, RuleCount>;

Graph simplify(const Graph& graph, RuleCounts& counts);
/// Products of one left operand with constants of equal depth become one product and its slices, where that saves
/// bytes.
Graph join_matmuls(const Graph& graph, RuleCounts& counts);

// --- what several rules ask ---

/// Whether constant folding evaluates the node where its operands are constants.
bool is_foldable(const Graph& graph, const Node& node);
/// A value that is base times a constant: by mul or div, or -1 by neg.
struct Scaled {
  Value base;
  double factor;
};
std::optional<Scaled> scaled(const Match& match, Value v);
/// Whether sums and products may be taken in another order: their roundings differ within the dtype's own error, and
/// its range is wide. Integers: always, they wrap.
bool reassociates(DType dtype);
/// Whether scaling by it earlier or later neither overflows nor underflows what is of ordinary size.
bool is_mild(double factor);
/// No element is below zero or -0; NaN may be. False where that is not seen.
bool is_nonnegative(const Graph& graph, Value v, int depth = 8);
/// Elementwise, with one operand that counts: unary, or with scalars beside it. Gives that operand's index.
std::optional<size_t> elementwise_operand(const Match& match, const Node& node);
/// Elementwise operators on top of a node.
struct ElementwiseChain {
  const Node* below = nullptr;
  std::vector<std::pair<const Node*, size_t>> operators;  ///< from the top, each with the operand that counts
  /// The operators on another value of the target.
  Value again(const Match& match, Value operand) const;
};
/// From v down to a node called `op`, which may make v itself.
std::optional<ElementwiseChain> chain_above(const Match& match, Value v, std::string_view op);
const std::vector<int64_t>& integers(const Node& node, const char* attribute);
/// Axes of a reduction in order, negative ones resolved, none replaced by all.
std::vector<int64_t> reduction_axes(const Match& match, const Node& reduction);

}  // namespace gregale::passes
