// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"

namespace gregale {
namespace {

[[noreturn]] void fail(const Graph& graph, size_t node, const std::string& what) {
  throw_error(ErrorCode::internal, fmt::format("[verify] graph '{}', node {} ({}): {}", graph.name(), node,
                                               graph.nodes()[node].op->name, what));
}

}  // namespace

void verify(const Graph& graph) {
  std::vector<bool> defined(static_cast<size_t>(graph.value_count()), false);
  for (Value v : graph.inputs()) defined.at(static_cast<size_t>(v.id)) = true;
  std::set<std::string> names;
  for (const Variable& v : graph.variables())
    GREGALE_CHECK(names.insert(v.name).second, internal, "[verify] variable '{}' is declared twice", v.name);
  std::vector<int64_t> versions(graph.variables().size(), 0);

  for (size_t n = 0; n < graph.nodes().size(); ++n) {
    const Node& node = graph.nodes()[n];
    for (Value v : node.inputs)
      if (!v.valid() || v.id >= graph.value_count() || !defined[static_cast<size_t>(v.id)])
        fail(graph, n, fmt::format("operand %{} is used before it is defined", v.id));
    std::vector<Type> operand_types;
    for (Value v : node.inputs) operand_types.push_back(graph.type(v));
    std::vector<Type> types;
    try {
      types = infer_types(*node.op, graph.variables(), operand_types, node.attributes, node.regions);
    } catch (const Error& e) {
      fail(graph, n, e.message());
    }
    if (types.size() != node.outputs.size())
      fail(graph, n, fmt::format("{} results, not {}", types.size(), node.outputs.size()));
    for (size_t i = 0; i < types.size(); ++i) {
      if (!(types[i] == graph.type(node.outputs[i])))
        fail(graph, n,
             fmt::format("result {} is {}, not {}", i, to_string(types[i]), to_string(graph.type(node.outputs[i]))));
      if (graph.producer(node.outputs[i]) != static_cast<int32_t>(n)) fail(graph, n, "result has another producer");
      if (defined[static_cast<size_t>(node.outputs[i].id)]) fail(graph, n, "result is defined twice");
      defined[static_cast<size_t>(node.outputs[i].id)] = true;
    }
    if (node.op->name == kReadOp || node.op->name == kWriteOp) {
      const auto variable = static_cast<size_t>(std::get<int64_t>(node.attributes.at("variable")));
      const int64_t version = std::get<int64_t>(node.attributes.at("version"));
      if (node.op->name == kWriteOp ? version != ++versions[variable] : version < 0 || version > versions[variable])
        fail(graph, n, fmt::format("version {} of '{}' is out of order", version, graph.variables()[variable].name));
    }
    for (const Graph& region : node.regions) {
      if (!region.variables().empty()) fail(graph, n, "a region declares variables");
      verify(region);
    }
  }
  for (Value v : graph.outputs())
    GREGALE_CHECK(v.valid() && v.id < graph.value_count() && defined[static_cast<size_t>(v.id)], internal,
                  "[verify] graph '{}' returns %{}, which nothing defines", graph.name(), v.id);
}

}  // namespace gregale
