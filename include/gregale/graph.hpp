// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gregale/tensor.hpp"
#include "gregale/type.hpp"

namespace gregale {

struct OpDef;  // gregale/op.hpp
class Graph;

/// A value of a graph: what one node produces or one input brings. Only meaningful together with its graph.
struct Value {
  int32_t id = -1;
  bool valid() const { return id >= 0; }
  friend bool operator==(Value, Value) = default;
  friend auto operator<=>(Value, Value) = default;
};

/// An attribute of a node: what is known when the graph is built.
using Attribute =
    std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>, DType, Tensor>;
using Attributes = std::map<std::string, Attribute>;

/// One application of an operator. Nodes stand in an order in which every operand precedes its use.
struct Node {
  const OpDef* op = nullptr;
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  Attributes attributes;
  /// Bodies of control flow. A region sees nothing of the outer graph: what it captures is among `inputs`, in the order
  /// of the region's own inputs.
  std::vector<Graph> regions;
};

/// State that outlives a run (a parameter, a moment, a cache): `read` gives a version, `write` makes the next one.
/// Version 0 is what the variable holds when the run begins; the last version is what it holds afterwards.
struct Variable {
  std::string name;
  Type type;
};

/// A program over tensors: static single assignment, dataflow, with variables for state.
/// Text form (docs/design.md, "Graph"): print() and parse_graph() round-trip it.
class Graph {
 public:
  explicit Graph(std::string name = "main");
  Graph(const Graph&);
  Graph(Graph&&) noexcept;
  Graph& operator=(const Graph&);
  Graph& operator=(Graph&&) noexcept;
  ~Graph();

  const std::string& name() const { return name_; }
  Value add_input(std::string name, Type type);
  void set_outputs(std::vector<Value> outputs, std::vector<std::string> names = {});
  /// Declares a variable; its index is what `read` and `write` name it by. Names are unique.
  int64_t add_variable(std::string name, Type type);

  /// Appends a node. Missing attributes get their defaults, result types are inferred and the whole is checked:
  /// throws Error naming the operator.
  std::vector<Value> add(const OpDef& op, std::vector<Value> inputs, Attributes attributes = {},
                         std::vector<Graph> regions = {});
  /// For operators with one result.
  Value add1(const OpDef& op, std::vector<Value> inputs, Attributes attributes = {});

  /// Current version of a variable (appends `read`), or its next version (appends `write`).
  Value read(int64_t variable);
  void write(int64_t variable, Value value);
  /// How many versions were written so far.
  int64_t version(int64_t variable) const { return versions_.at(static_cast<size_t>(variable)); }
  /// A constant (appends `constant`); shares the tensor's buffer.
  Value constant(Tensor tensor);

  const Type& type(Value value) const { return info(value).type; }
  /// The node that makes the value, or -1 for an input.
  int32_t producer(Value value) const { return info(value).producer; }
  const std::string& name_of(Value value) const { return info(value).name; }
  void set_name(Value value, std::string name);

  const std::vector<Value>& inputs() const { return inputs_; }
  const std::vector<Value>& outputs() const { return outputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  const std::vector<Variable>& variables() const { return variables_; }
  int64_t variable_index(std::string_view name) const;  ///< -1 where there is none
  const std::vector<Node>& nodes() const { return nodes_; }
  int64_t value_count() const { return static_cast<int64_t>(values_.size()); }

 private:
  struct ValueInfo {
    Type type;
    int32_t producer = -1;
    std::string name;
  };
  const ValueInfo& info(Value value) const;

  std::string name_;
  std::vector<ValueInfo> values_;
  std::vector<Node> nodes_;
  std::vector<Value> inputs_, outputs_;
  std::vector<std::string> output_names_;
  std::vector<Variable> variables_;
  std::vector<int64_t> versions_;  // writes so far, per variable
};

/// Where printed constants above `inline_elements` elements go: the text names them blob(0), blob(1), ...
using Blobs = std::vector<Tensor>;

/// The text form. With `blobs` null every constant is printed in full.
std::string print(const Graph& graph, Blobs* blobs = nullptr, int64_t inline_elements = 16);

/// An explicit list of operators, ordered by name.
class OpSet {
 public:
  explicit OpSet(std::vector<const OpDef*> ops);
  /// Throws ErrorCode::invalid_argument where there is none of that name.
  const OpDef& at(std::string_view name) const;
  const OpDef* find(std::string_view name) const;
  const std::vector<const OpDef*>& all() const { return ops_; }

 private:
  std::vector<const OpDef*> ops_;
};

/// Parses untrusted text; throws ErrorCode::corrupt_data with line and column. The result is verified.
Graph parse_graph(std::string_view text, const OpSet& ops, const Blobs& blobs = {});

/// Checks every invariant: operands precede uses, types are those that inference gives, versions of each variable are
/// written once and in order, outputs exist, regions are closed. Throws ErrorCode::internal naming the node.
void verify(const Graph& graph);

/// The same graph with symbolic dims replaced, everywhere, by the given extents (within their bounds).
Graph bind_symbols(const Graph& graph, const std::map<std::string, int64_t>& extents);

/// Copies `source` into `target` with source's inputs replaced by `arguments` (types must agree); variables of the same
/// name are shared, others are added; version 0 of source is the target's newest version at that moment. Returns the
/// values of source's outputs.
std::vector<Value> inline_graph(Graph& target, const Graph& source, const std::vector<Value>& arguments);

/// The state a program runs on: one tensor a variable, in the graph's order.
using VariableValues = std::map<std::string, Tensor>;

/// The oracle: runs the graph with every operator's reference (plain loops, f64 accumulation), rounding each result to
/// its dtype. Variables are read from and written to `state`. Throws ErrorCode::shape where a tensor does not fit its
/// type.
std::vector<Tensor> interpret(const Graph& graph, const std::vector<Tensor>& inputs, VariableValues* state = nullptr);

}  // namespace gregale
