// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>

#include "gregale/op.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {
namespace {

void append(std::string& key, int64_t v) { key += fmt::format("{},", v); }
void append(std::string& key, double v) { key += fmt::format("{:a},", v); }
void append(std::string& key, bool v) { key += v ? "t," : "f,"; }
void append(std::string& key, const std::string& v) { key += fmt::format("{}:{},", v.size(), v); }
void append(std::string& key, DType v) { key += name_of(v), key += ','; }
template <class T>
void append(std::string& key, const std::vector<T>& v) {
  key += '[';
  for (const T& x : v) append(key, x);
  key += ']';
}
void append(std::string& key, const Tensor& t) {
  key += to_string(t.type());
  // Small constants are equal by value, large ones only when they are the same buffer.
  if (t.bytes() <= 256)
    key.append(static_cast<const char*>(t.data()), static_cast<size_t>(t.bytes()));
  else
    key += fmt::format("@{}", static_cast<const void*>(t.data()));
}

Graph merge(const Graph& graph, bool moves_alone) {
  std::map<std::string, std::vector<Value>> seen;
  return rewrite(graph, [&](Graph& target, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> outputs;
    if (node.op->has_side_effect || !node.regions.empty() || (moves_alone && !node.op->result_as_view)) return outputs;
    std::string key = node.op->name + "(";
    for (Value v : inputs) append(key, static_cast<int64_t>(v.id));
    for (const auto& [name, value] : node.attributes) {
      key += name + "=";
      std::visit([&](const auto& v) { append(key, v); }, value);
    }
    auto [at, fresh] = seen.try_emplace(std::move(key));
    if (fresh) at->second = target.add(*node.op, inputs, node.attributes);
    outputs = at->second;
    return outputs;
  });
}

}  // namespace

Graph merge_common_subexpressions(const Graph& graph) { return merge(graph, false); }

Graph merge_common_moves(const Graph& graph) { return merge(graph, true); }

}  // namespace gregale::passes
