// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/rewrite.hpp"

namespace gregale {
namespace {

size_t variable_of(const Node& node) { return static_cast<size_t>(std::get<int64_t>(node.attributes.at("variable"))); }

}  // namespace

Graph freeze(const Graph& graph, const VariableValues& values) {
  std::vector<bool> frozen;
  for (const Variable& v : graph.variables()) {
    const auto value = values.find(v.name);
    frozen.push_back(value != values.end());
    if (value == values.end()) continue;
    GREGALE_CHECK(value->second.type() == v.type, shape, "[freeze] variable '{}' is {}, got {}", v.name,
                  to_string(v.type), to_string(value->second.type()));
  }
  for (const Node& node : graph.nodes())
    if (node.op->name == kWriteOp) frozen[variable_of(node)] = false;
  std::vector<Value> constants(frozen.size());  // one a variable, however often it is read
  return rewrite(
      graph,
      [&](Graph& target, const Node& node, const std::vector<Value>&) {
        std::optional<std::vector<Value>> outputs;
        if (node.op->name != kReadOp || !frozen[variable_of(node)]) return outputs;
        Value& constant = constants[variable_of(node)];
        if (!constant.valid()) constant = target.constant(values.at(graph.variables()[variable_of(node)].name));
        outputs = std::vector<Value>{constant};
        return outputs;
      },
      frozen);
}

}  // namespace gregale
