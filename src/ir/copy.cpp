// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/rewrite.hpp"

namespace gregale {
namespace {

/// Where a variable went that the copy leaves out.
constexpr int64_t kDropped = -1;

Type bind_type(Type type, const std::map<std::string, int64_t>& extents) {
  for (Dim& d : type.shape.dims()) {
    if (d.is_constant()) continue;
    auto at = extents.find(d.name());
    if (at == extents.end()) continue;
    GREGALE_CHECK(at->second >= 0 && at->second <= d.bound(), shape, "[bind_symbols] {} = {} is outside [0, {}]",
                  d.name(), at->second, d.bound());
    d = Dim(at->second);
  }
  return type;
}

/// Copies nodes of `source` into `target`, given where source's inputs and variables went.
void copy_nodes(Graph& target, const Graph& source, std::vector<Value>& where, const std::vector<int64_t>& variable_at,
                const NodeRewrite& change) {
  std::vector<int64_t> first_version;  // what the source calls version 0
  for (int64_t variable : variable_at) first_version.push_back(variable == kDropped ? 0 : target.version(variable));
  for (const Node& node : source.nodes()) {
    std::vector<Value> inputs;
    for (Value v : node.inputs) inputs.push_back(where[static_cast<size_t>(v.id)]);
    Attributes attributes = node.attributes;
    if (node.op->name == kReadOp || node.op->name == kWriteOp) {
      const auto variable = static_cast<size_t>(std::get<int64_t>(attributes.at("variable")));
      attributes["variable"] = variable_at[variable];
      attributes["version"] = std::get<int64_t>(attributes.at("version")) + first_version[variable];
    }
    std::optional<std::vector<Value>> outputs;
    if (change) outputs = change(target, node, inputs);
    // Where it names a dropped variable, the index there is none of is refused.
    if (!outputs) outputs = target.add(*node.op, std::move(inputs), std::move(attributes), node.regions);
    GREGALE_ASSERT(outputs->size() == node.outputs.size());
    for (size_t i = 0; i < outputs->size(); ++i) {
      const Value v = (*outputs)[i];
      where[static_cast<size_t>(node.outputs[i].id)] = v;
      carry_name(target, v, source, node.outputs[i]);
    }
  }
}

Graph copy_graph(const Graph& graph, const std::map<std::string, int64_t>& extents, const NodeRewrite& change,
                 const std::vector<bool>& dropped = {}) {
  Graph copy(graph.name());
  std::vector<Value> where(static_cast<size_t>(graph.value_count()));
  for (Value v : graph.inputs())
    where[static_cast<size_t>(v.id)] = copy.add_input(graph.name_of(v), bind_type(graph.type(v), extents));
  std::vector<int64_t> variable_at;
  for (size_t i = 0; i < graph.variables().size(); ++i) {
    const Variable& v = graph.variables()[i];
    const bool drop = i < dropped.size() && dropped[i];
    variable_at.push_back(drop ? kDropped : copy.add_variable(v.name, bind_type(v.type, extents)));
  }
  copy_nodes(copy, graph, where, variable_at, change);
  std::vector<Value> outputs;
  for (Value v : graph.outputs()) outputs.push_back(where[static_cast<size_t>(v.id)]);
  copy.set_outputs(std::move(outputs), graph.output_names());
  return copy;
}

}  // namespace

Graph bind_symbols(const Graph& graph, const std::map<std::string, int64_t>& extents) {
  return copy_graph(graph, extents, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (node.regions.empty()) return outputs;
    std::vector<Graph> regions;
    for (const Graph& region : node.regions) regions.push_back(bind_symbols(region, extents));
    outputs = target.add(*node.op, inputs, node.attributes, std::move(regions));
    return outputs;
  });
}

void carry_name(Graph& target, Value to, const Graph& source, Value from) {
  const std::string& name = source.name_of(from);
  if (!to.valid() || name.empty()) return;
  const auto regroups = [](const Graph& g, Value v) {
    return g.producer(v) >= 0 && g.nodes()[static_cast<size_t>(g.producer(v))].op->name == "reshape";
  };
  // What is regrouped only to take the old value's place is that value, too: it stays when the regrouping goes.
  const bool same = !regroups(source, from);
  while (target.name_of(to).empty()) {
    target.set_name(to, name);
    if (!same || !regroups(target, to)) return;
    to = target.nodes()[static_cast<size_t>(target.producer(to))].inputs[0];
  }
}

Graph rewrite(const Graph& graph, const NodeRewrite& change, const std::vector<bool>& dropped) {
  const auto checked = [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs = change(target, node, inputs);
    for (size_t i = 0; outputs && i < std::min(outputs->size(), node.outputs.size()); ++i)
      GREGALE_CHECK(!(*outputs)[i].valid() || target.type((*outputs)[i]) == graph.type(node.outputs[i]), internal,
                    "[{}] result {} is {} and became {}", node.op->name, i, to_string(graph.type(node.outputs[i])),
                    to_string(target.type((*outputs)[i])));
    return outputs;
  };
  return copy_graph(graph, {}, checked, dropped);
}

std::vector<Value> inline_graph(Graph& target, const Graph& source, const std::vector<Value>& arguments) {
  if (&target == &source) return inline_graph(target, Graph(source), arguments);  // it grows while it is read
  GREGALE_CHECK(arguments.size() == source.inputs().size(), invalid_argument,
                "[inline_graph] '{}' takes {} inputs, got {}", source.name(), source.inputs().size(), arguments.size());
  std::vector<Value> where(static_cast<size_t>(source.value_count()));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Type& expected = source.type(source.inputs()[i]);
    GREGALE_CHECK(target.type(arguments[i]) == expected, shape, "[inline_graph] input {} of '{}' is {}, got {}", i,
                  source.name(), to_string(expected), to_string(target.type(arguments[i])));
    where[static_cast<size_t>(source.inputs()[i].id)] = arguments[i];
  }
  std::vector<int64_t> variable_at;
  for (const Variable& v : source.variables()) {
    const int64_t at = target.variable_index(v.name);
    GREGALE_CHECK(at < 0 || target.variables()[static_cast<size_t>(at)].type == v.type, shape,
                  "[inline_graph] variable '{}' has two types", v.name);
    variable_at.push_back(at >= 0 ? at : target.add_variable(v.name, v.type));
  }
  copy_nodes(target, source, where, variable_at, nullptr);
  std::vector<Value> outputs;
  for (Value v : source.outputs()) outputs.push_back(where[static_cast<size_t>(v.id)]);
  return outputs;
}

}  // namespace gregale
