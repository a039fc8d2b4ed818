// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "tile/node_kinds.hpp"

// A training graph is built as it is told: forward, backward, then the update of every parameter, so that all gradients
// would live together. What only ends in state (or in a few numbers that leave) need not wait.
namespace gregale::passes {
namespace {

class Order {
 public:
  explicit Order(const Graph& graph) : g_(graph), count_(static_cast<int32_t>(graph.nodes().size())) {
    users_.resize(static_cast<size_t>(graph.value_count()));
    for (int32_t n = 0; n < count_; ++n)
      for (const Value v : node(n).inputs) users_[at(v)].push_back(n);
    find_ends();
    find_waits();
  }

  /// Nodes in their new order.
  std::vector<int32_t> run() {
    std::vector<int32_t> order;
    std::set<int32_t> ready;  // ends that wait for nothing
    for (int32_t n = 0; n < count_; ++n)
      if (ends_[static_cast<size_t>(n)] && waits_for_[static_cast<size_t>(n)] == 0) ready.insert(n);
    const auto put = [&](int32_t n) {
      order.push_back(n);
      for (const int32_t next : before_[static_cast<size_t>(n)])
        if (--waits_for_[static_cast<size_t>(next)] == 0 && ends_[static_cast<size_t>(next)]) ready.insert(next);
    };
    const auto put_ready = [&] {
      while (!ready.empty()) {
        const int32_t n = *ready.begin();
        ready.erase(ready.begin());
        put(n);
      }
    };
    put_ready();
    for (int32_t n = 0; n < count_; ++n) {
      if (ends_[static_cast<size_t>(n)]) continue;
      put(n);
      put_ready();
    }
    return order;
  }

 private:
  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }
  static size_t at(Value v) { return static_cast<size_t>(v.id); }

  /// Nodes that leave nothing behind: state itself, which costs nothing; and where each result is what a variable will
  /// hold, or goes there through elementwise operators, or is little (a sum) that only such nodes use.
  void find_ends() {
    constexpr int64_t kFewBytes = 4096, kLess = 64;
    ends_.assign(static_cast<size_t>(count_), false);
    for (int32_t n = count_ - 1; n >= 0; --n) {
      bool ends = true;
      const bool passes_on = node(n).op->express && tile::acts_on_elements(view_of(g_, node(n)));
      int64_t little = kFewBytes;
      for (const Value v : node(n).inputs)
        if (g_.type(v).shape.is_constant()) little = std::max(little, g_.type(v).bytes() / kLess);
      for (const Value v : node(n).outputs) {
        const bool few = g_.type(v).shape.is_constant() && g_.type(v).bytes() <= little;
        const bool leaves = std::find(g_.outputs().begin(), g_.outputs().end(), v) != g_.outputs().end();
        ends &= few || !leaves;
        for (const int32_t u : users_[at(v)])
          ends &= ends_[static_cast<size_t>(u)] && (few || passes_on || node(u).op->name == kWriteOp);
      }
      ends_[static_cast<size_t>(n)] = ends || node(n).op->name == kReadOp || node(n).op->name == kConstantOp;
    }
  }

  /// What operators that only show it let through.
  Value source_of(Value v) const {
    for (int32_t p = g_.producer(v); p >= 0 && node(p).op->result_as_view; p = g_.producer(v)) v = node(p).inputs[0];
    return v;
  }

  void add(int32_t first, int32_t then) {
    before_[static_cast<size_t>(first)].push_back(then);
    ++waits_for_[static_cast<size_t>(then)];
  }

  void find_waits() {
    before_.resize(static_cast<size_t>(count_));
    waits_for_.assign(static_cast<size_t>(count_), 0);
    std::vector<std::vector<int32_t>> readers(g_.variables().size());  // of any version
    std::vector<int32_t> last_write(g_.variables().size(), -1);
    const auto variable_of = [&](int32_t n) {
      return static_cast<size_t>(std::get<int64_t>(node(n).attributes.at("variable")));
    };
    for (int32_t n = 0; n < count_; ++n) {
      for (const Value v : node(n).inputs) {
        const int32_t p = g_.producer(v);
        if (p >= 0) add(p, n);
        const int32_t s = g_.producer(source_of(v));
        if (s >= 0 && node(s).op->name == kReadOp) readers[variable_of(s)].push_back(n);
      }
      const bool writes = node(n).op->name == kWriteOp;
      if (!writes && node(n).op->name != kReadOp) continue;
      int32_t& last = last_write[variable_of(n)];
      if (last >= 0) add(last, n);
      if (!writes) continue;
      last = n;
      // What is written goes straight into the variable's memory where all that read the old version are done.
      const int32_t maker = g_.producer(source_of(node(n).inputs[0]));
      if (maker < 0) continue;
      for (const int32_t r : readers[variable_of(n)])
        if (r < maker) add(r, maker);
    }
  }

  const Graph& g_;
  const int32_t count_;
  std::vector<std::vector<int32_t>> users_, before_;  ///< value -> readers; node -> nodes that wait for it
  std::vector<bool> ends_;
  std::vector<int32_t> waits_for_;
};

}  // namespace

Graph order_updates(const Graph& graph) {
  const bool writes =
      std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const Node& n) { return n.op->name == kWriteOp; });
  if (!writes) return graph;
  Graph out(graph.name());
  std::vector<Value> copy(static_cast<size_t>(graph.value_count()));
  const auto at = [](Value v) { return static_cast<size_t>(v.id); };
  for (const Value v : graph.inputs()) copy[at(v)] = out.add_input(graph.name_of(v), graph.type(v));
  for (const Variable& v : graph.variables()) out.add_variable(v.name, v.type);
  for (const int32_t n : Order(graph).run()) {
    const Node& node = graph.nodes()[static_cast<size_t>(n)];
    std::vector<Value> inputs;
    for (const Value v : node.inputs) inputs.push_back(copy[at(v)]);
    const std::vector<Value> results = out.add(*node.op, inputs, node.attributes, node.regions);
    for (size_t i = 0; i < results.size(); ++i) {
      copy[at(node.outputs[i])] = results[i];
      carry_name(out, results[i], graph, node.outputs[i]);
    }
  }
  std::vector<Value> outputs;
  for (const Value v : graph.outputs()) outputs.push_back(copy[at(v)]);
  out.set_outputs(outputs, graph.output_names());
  return out;
}

}  // namespace gregale::passes
