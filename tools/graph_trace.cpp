// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/graph_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "passes/passes.hpp"

namespace gregale::tools {
namespace {

uint64_t mixed(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2);
  hash *= 0xbf58476d1ce4e5b9;
  return hash ^ hash >> 29;
}
uint64_t mixed(uint64_t hash, std::string_view text) { return mixed(hash, std::hash<std::string_view>{}(text)); }

/// Constants are compared by their types and by some of their bytes, as they may be large.
uint64_t key_of(const Tensor& tensor) {
  constexpr size_t kSamples = 256, kWord = sizeof(uint64_t);
  uint64_t hash = mixed(0, to_string(tensor.type()));
  const auto bytes = static_cast<size_t>(tensor.size() * size_of(tensor.dtype()));
  const auto* data = static_cast<const char*>(tensor.data());
  if (bytes <= kSamples * kWord) return mixed(hash, std::string_view(data, bytes));
  for (size_t i = 0; i < kSamples; ++i) {
    uint64_t word = 0;
    std::memcpy(&word, data + (bytes - kWord) / (kSamples - 1) * i, kWord);
    hash = mixed(hash, word);
  }
  return hash;
}

uint64_t key_of(const Attribute& attribute) {
  uint64_t hash = attribute.index();
  const auto add = [&](const auto& v) {
    using T = std::decay_t<decltype(v)>;
    if constexpr (std::is_same_v<T, Tensor>) {
      hash = mixed(hash, key_of(v));
    } else if constexpr (std::is_same_v<T, std::string>) {
      hash = mixed(hash, v);
    } else if constexpr (std::is_same_v<T, DType>) {
      hash = mixed(hash, static_cast<uint64_t>(v));
    } else if constexpr (std::is_arithmetic_v<T>) {
      hash = mixed(hash, fmt::format("{}", v));
    } else {
      for (const auto& each : v) hash = mixed(hash, fmt::format("{}", each));
    }
  };
  std::visit(add, attribute);
  return hash;
}

/// What every node computes from the graph's inputs, variables and constants, as a number.
class Keys {
 public:
  /// Told of each node, those inside of groups too: its key, and the node or its group.
  using Visit = std::function<void(uint64_t key, int32_t node)>;
  explicit Keys(const Graph& graph, Visit visit = {}) : visit_(std::move(visit)) {
    values_.resize(static_cast<size_t>(graph.value_count()));
    for (size_t i = 0; i < graph.inputs().size(); ++i) value(graph.inputs()[i]) = mixed(i, "input");
    for (size_t n = 0; n < graph.nodes().size(); ++n) add(graph.nodes()[n], static_cast<int32_t>(n));
  }
  uint64_t of_node(size_t n) const { return nodes_[n]; }

 private:
  uint64_t& value(Value v) { return values_[static_cast<size_t>(v.id)]; }

  uint64_t key_of_node(const Node& node, const std::vector<uint64_t>& inputs) {
    uint64_t hash = mixed(0, node.op->name);
    for (const auto& [name, attribute] : node.attributes) hash = mixed(mixed(hash, name), key_of(attribute));
    for (const uint64_t input : inputs) hash = mixed(hash, input);
    Blobs large;
    for (const Graph& region : node.regions) hash = mixed(hash, print(region, &large));
    for (const Tensor& blob : large) hash = mixed(hash, key_of(blob));
    return hash;
  }

  void add(const Node& node, int32_t index) {
    std::vector<uint64_t> inputs;
    for (const Value v : node.inputs) inputs.push_back(value(v));
    if (node.op->name == "fused") {
      const Graph& body = node.regions[0];
      std::vector<uint64_t> inside(static_cast<size_t>(body.value_count()));
      for (size_t i = 0; i < inputs.size(); ++i) inside[static_cast<size_t>(body.inputs()[i].id)] = inputs[i];
      for (const Node& each : body.nodes()) {
        std::vector<uint64_t> operands;
        for (const Value v : each.inputs) operands.push_back(inside[static_cast<size_t>(v.id)]);
        const uint64_t key = key_of_node(each, operands);
        if (visit_) visit_(key, index);
        for (size_t i = 0; i < each.outputs.size(); ++i)
          inside[static_cast<size_t>(each.outputs[i].id)] = mixed(key, i);
      }
      for (size_t i = 0; i < node.outputs.size(); ++i)
        value(node.outputs[i]) = inside[static_cast<size_t>(body.outputs()[i].id)];
      nodes_.push_back(mixed(1, "fused"));
      return;
    }
    const uint64_t key = key_of_node(node, inputs);
    if (visit_) visit_(key, index);
    for (size_t i = 0; i < node.outputs.size(); ++i) value(node.outputs[i]) = mixed(key, i);
    nodes_.push_back(key);
  }

  Visit visit_;
  std::vector<uint64_t> values_, nodes_;
};

/// The graph after the passes in front of fusion.
Graph before_fusion(const Graph& source, CompileOptions options) {
  options.tune = Tune::off;
  Graph last = source;
  bool fused = false;
  passes::run_all(source, options, [&](const char* pass, const Graph& graph) {
    fused |= std::string_view(pass) == "fusion" || std::string_view(pass) == "updates";
    if (!fused) last = graph;
  });
  return last;
}

}  // namespace

GraphTrace trace_graph(const Graph& source, const CompileOptions& options, const Executable& program) {
  Graph named = source;
  for (const Node& node : named.nodes())
    for (const Value v : node.outputs) named.set_name(v, fmt::format("{}", v.id));
  GraphTrace trace;
  trace.rewritten = before_fusion(named, options);
  const Graph &last = program.graph(), &rewritten = trace.rewritten;

  trace.program_steps.assign(last.nodes().size(), -1);
  const std::vector<Executable::Group> groups = program.groups();
  for (size_t s = 0; s < groups.size(); ++s)
    if (groups[s].node >= 0) trace.program_steps[static_cast<size_t>(groups[s].node)] = static_cast<int32_t>(s);

  std::unordered_map<uint64_t, int32_t> step_of_key;
  const Keys::Visit keep = [&](uint64_t key, int32_t node) {
    const int32_t step = trace.program_steps[static_cast<size_t>(node)];
    if (step < 0) return;
    const auto [at, fresh] = step_of_key.try_emplace(key, step);
    if (!fresh) at->second = std::min(at->second, step);
  };
  Keys(last, keep);
  const Keys keys(rewritten);
  std::unordered_map<std::string, int32_t> step_of_name;
  const auto is_data = [](const Node& node) { return node.op->name == kConstantOp || node.op->name == kReadOp; };
  for (size_t n = 0; n < rewritten.nodes().size(); ++n) {
    const Node& node = rewritten.nodes()[n];
    const auto found = step_of_key.find(keys.of_node(n));
    const bool runs = found != step_of_key.end() && !is_data(node);
    trace.rewritten_steps.push_back(runs ? found->second : -1);
    if (!runs) continue;
    for (const Value v : node.outputs)
      if (!rewritten.name_of(v).empty()) step_of_name.try_emplace(rewritten.name_of(v), found->second);
  }

  const auto count = source.nodes().size();
  trace.source_steps.assign(count, -1);
  trace.exact.assign(count, false);
  const auto at = [](Value v) { return static_cast<size_t>(v.id); };
  std::vector<int32_t> made_in(static_cast<size_t>(source.value_count()), -1), read_in = made_in;
  for (size_t n = 0; n < count; ++n) {
    const Node& node = source.nodes()[n];
    int32_t& step = trace.source_steps[n];
    if (is_data(node)) continue;
    for (const Value v : node.outputs) {
      const auto found = step_of_name.find(fmt::format("{}", v.id));
      if (found == step_of_name.end()) continue;
      step = found->second;
      trace.exact[n] = true;
    }
    if (step < 0)
      for (const Value v : node.inputs) step = std::max(step, made_in[at(v)]);
    for (const Value v : node.outputs) made_in[at(v)] = step;
  }
  for (size_t n = count; n-- > 0;) {  // readers first
    const Node& node = source.nodes()[n];
    int32_t& step = trace.source_steps[n];
    if (is_data(node)) continue;
    for (const Value v : node.outputs)
      if (step < 0) step = read_in[at(v)];
    if (step < 0) continue;
    for (const Value v : node.inputs) {
      int32_t& first = read_in[at(v)];
      if (first < 0 || step < first) first = step;
    }
  }
  return trace;
}

}  // namespace gregale::tools
