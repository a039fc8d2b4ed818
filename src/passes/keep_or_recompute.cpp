// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/log.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/minimum_cut.hpp"
#include "passes/passes.hpp"
#include "tile/estimate.hpp"
#include "tile/node_kinds.hpp"

// The backward pass reads what the forward pass computed. Each such value is kept, or computed again from values that
// are. Both have a price in seconds, and the cheapest choice for the whole graph is a minimum cut: a value on the
// source's side is there in the backward pass only if it is kept, one on the sink's side is computed again. PyTorch's
// partitioner of joint graphs (AOTAutograd) cuts in the same way; here every recomputation has a finite price.
namespace gregale::passes {
namespace {

class Keeper {
 public:
  Keeper(const Graph& graph, int loss, const Target& target, double price)
      : g_(graph), rates_(tile::rates_of(target)), cores_(target.cores), price_(price) {
    const size_t n = graph.nodes().size();
    forward_ = forward_nodes(graph, loss);
    data_.assign(n, false);
    find_wanted();
  }

  Graph run(KeepPlan* plan) {
    if (!needed_any_) return g_;
    if (price_ > kKeepPrice) find_waists();
    cut();
    Graph result = rebuild();
    if (plan != nullptr) *plan = plan_;
    if (log_enabled("passes"))
      log_line("passes", fmt::format("{}: at price {:g} {}", g_.name(), price_, to_string(plan_)));
    return result;
  }

 private:
  const Node& node(int32_t n) const { return g_.nodes()[static_cast<size_t>(n)]; }
  int32_t count() const { return static_cast<int32_t>(g_.nodes().size()); }
  double bytes_of(Value v) const {
    const Type& t = g_.type(v);
    return t.shape.is_constant() ? static_cast<double>(t.bytes()) : 0;
  }
  bool is_view(const Node& n) const { return static_cast<bool>(n.op->result_as_view); }

  /// What constants and variables do not decide alone, and what of the forward pass the backward pass wants.
  void find_wanted() {
    for (int32_t n = 0; n < count(); ++n) {
      bool data = false;
      for (const Value v : node(n).inputs) data |= g_.producer(v) < 0 || data_[static_cast<size_t>(g_.producer(v))];
      data_[static_cast<size_t>(n)] = data;
    }
    wanted_.assign(g_.nodes().size(), false);
    for (int32_t n = 0; n < count(); ++n) {
      if (forward_[static_cast<size_t>(n)] || is_state(n)) continue;
      for (const Value v : node(n).inputs) {
        const int32_t p = g_.producer(v);
        if (p < 0 || !forward_[static_cast<size_t>(p)]) continue;
        wanted_[static_cast<size_t>(p)] = true;
        needed_any_ = true;
      }
    }
  }
  bool is_state(int32_t n) const { return node(n).op->name == kReadOp || node(n).op->name == kConstantOp; }

  double flops_of(const Node& nd) const {
    const NodeView view = view_of(g_, nd);
    return (nd.op->cost ? nd.op->cost(view) : default_cost(view)).flops;
  }
  double seconds_to_move(double bytes) const { return bytes / rates_.memory_bytes; }

  /// What it takes to compute a value again where its operands are at hand; infinite where that is never done.
  double seconds_to_recompute(int32_t n) const {
    const Node& nd = node(n);
    if (nd.outputs.size() != 1 || nd.op->has_side_effect || !nd.regions.empty() ||
        !g_.type(nd.outputs[0]).shape.is_constant() || banned_.count(n) > 0)
      return MinimumCut::kInfinite;
    if (is_view(nd)) return 0;
    const double flops = flops_of(nd);
    double bytes = bytes_of(nd.outputs[0]);
    for (const Value v : nd.inputs) bytes += bytes_of(v);
    if (tile::is_contraction(view_of(g_, nd))) {
      constexpr double kShareOfPeak = 0.7;
      // Products of two batches, scores of attention, join groups in which what they give stays in the cache, and which
      // read their operands anyway.
      if (nd.op->name == "matmul" && g_.type(nd.inputs[1]).rank() > 2) bytes = 0;
      const bool low = g_.type(nd.inputs[0]).dtype == DType::bf16;
      return flops / ((low ? rates_.bf16_flops : rates_.f32_flops) * cores_ * kShareOfPeak) + seconds_to_move(bytes);
    }
    // Elementwise operators join groups that run anyway; others read and write memory.
    constexpr double kShareOfVectors = 0.25;
    const double arithmetic = flops / (rates_.f32_flops * cores_ * kShareOfVectors);
    if (nd.op->name == "cast") return 0.1 * arithmetic;
    return arithmetic + (nd.op->express ? 0 : seconds_to_move(bytes));
  }

  /// Written by the forward pass and read by the backward pass, at least.
  double seconds_to_keep(int32_t n) const {
    if (is_view(node(n))) return MinimumCut::kInfinite;  // what it shows is kept instead
    double bytes = 0;
    for (const Value v : node(n).outputs) bytes += bytes_of(v);
    return 2 * seconds_to_move(bytes) * price_;
  }

  /// Where memory is dear, what is kept least is nothing: then all would be computed again, and live together. So a few
  /// of the values that all others behind them are made of, the residual stream between two blocks say, are kept.
  void find_waists() {
    std::vector<int32_t> last_use(g_.nodes().size(), -1);
    std::vector<int32_t> root(g_.nodes().size());
    double total = 0;
    for (int32_t n = 0; n < count(); ++n) {
      root[static_cast<size_t>(n)] = n;
      if (!is_data(n)) continue;
      const Node& nd = node(n);
      const bool shows = is_view(nd) || nd.op->name == "cast";
      if (shows && g_.producer(nd.inputs[0]) >= 0 && is_data(g_.producer(nd.inputs[0])))
        root[static_cast<size_t>(n)] = root[static_cast<size_t>(g_.producer(nd.inputs[0]))];
      else
        total += bytes_of(nd.outputs[0]);
      for (const Value v : nd.inputs)
        if (g_.producer(v) >= 0 && is_data(g_.producer(v)))
          last_use[static_cast<size_t>(root[static_cast<size_t>(g_.producer(v))])] = n;
    }
    std::vector<int32_t> waists;
    std::set<int32_t> alive;
    for (int32_t n = 0; n < count(); ++n) {
      if (!is_data(n)) continue;
      alive.insert(root[static_cast<size_t>(n)]);
      for (auto at = alive.begin(); at != alive.end();)
        at = last_use[static_cast<size_t>(*at)] <= n && *at != root[static_cast<size_t>(n)] ? alive.erase(at)
                                                                                            : std::next(at);
      if (alive.size() == 1 && !is_view(node(n))) waists.push_back(n);
    }
    if (waists.size() < 2) return;
    const double step = total / std::ceil(std::sqrt(2.0 * static_cast<double>(waists.size())));
    double since = 0;
    size_t next = 0;
    for (int32_t n = 0; n < count() && next < waists.size(); ++n) {
      if (!is_data(n)) continue;
      if (root[static_cast<size_t>(n)] == n) since += bytes_of(node(n).outputs[0]);
      if (n != waists[next]) continue;
      ++next;
      if (since < step) continue;
      banned_.insert(n);
      since = 0;
    }
  }
  bool is_data(int32_t n) const { return forward_[static_cast<size_t>(n)] && data_[static_cast<size_t>(n)]; }

  void cut() {
    MinimumCut problem;
    std::vector<int32_t> in(g_.nodes().size(), -1), out(g_.nodes().size(), -1);
    for (int32_t n = 0; n < count(); ++n) {
      if (!forward_[static_cast<size_t>(n)]) continue;
      const auto i = static_cast<size_t>(n);
      in[i] = problem.add_vertex();
      out[i] = problem.add_vertex();
      problem.add_edge(in[i], out[i], seconds_to_keep(n));
      problem.add_edge(MinimumCut::kSource, in[i], seconds_to_recompute(n));
      if (wanted_[i]) problem.add_edge(out[i], MinimumCut::kSink, MinimumCut::kInfinite);
      for (const Value v : node(n).inputs) {
        const int32_t p = g_.producer(v);
        if (p >= 0 && forward_[static_cast<size_t>(p)])
          problem.add_edge(out[static_cast<size_t>(p)], in[i], MinimumCut::kInfinite);
      }
    }
    const std::vector<bool> source = problem.solve();
    again_.assign(g_.nodes().size(), false);
    kept_.assign(g_.nodes().size(), false);
    for (int32_t n = 0; n < count(); ++n) {
      const auto i = static_cast<size_t>(n);
      if (!forward_[i] || source[static_cast<size_t>(out[i])]) continue;
      again_[i] = !source[static_cast<size_t>(in[i])];
      kept_[i] = !again_[i];
    }
  }

  Graph rebuild() {
    Graph result(g_.name());
    std::vector<Value> copy(static_cast<size_t>(g_.value_count())), repeated(copy.size());
    const auto at = [](Value v) { return static_cast<size_t>(v.id); };
    for (const Value v : g_.inputs()) copy[at(v)] = result.add_input(g_.name_of(v), g_.type(v));
    for (const Variable& v : g_.variables()) result.add_variable(v.name, v.type);
    // What is kept is shown to what is computed again through a view that means nothing: groups do not grow across it,
    // or the forward pass would make, and store, what is wanted later.
    std::map<int32_t, Value> shown;
    std::set<int32_t> fresh;  // nodes of the result that run again
    const OpDef& reshape = ops::standard_ops().at("reshape");
    const auto apart = [&](Value v) {
      const int32_t p = result.producer(v);
      if (p < 0 || fresh.count(p) > 0 || result.nodes()[static_cast<size_t>(p)].op->name == kReadOp ||
          result.nodes()[static_cast<size_t>(p)].op->name == kConstantOp || !result.type(v).shape.is_constant())
        return v;
      Value& view = shown[v.id];
      if (!view.valid()) view = result.add1(reshape, {v}, {{"shape", result.type(v).shape.extents()}});
      return view;
    };
    const std::function<Value(Value)> in_backward = [&](Value v) -> Value {
      const int32_t p = g_.producer(v);
      if (p < 0 || !again_[static_cast<size_t>(p)]) return copy[at(v)];
      if (repeated[at(v)].valid()) return repeated[at(v)];
      const Node& nd = node(p);
      std::vector<Value> inputs;
      for (const Value o : nd.inputs) inputs.push_back(apart(in_backward(o)));
      ++plan_.recomputed;
      plan_.recomputed_flops += flops_of(nd);
      repeated[at(v)] = result.add(*nd.op, inputs, nd.attributes, nd.regions)[0];
      fresh.insert(result.producer(repeated[at(v)]));
      return repeated[at(v)];
    };
    for (int32_t n = 0; n < count(); ++n) {
      const Node& nd = node(n);
      const bool backward = !forward_[static_cast<size_t>(n)] && !is_state(n);
      std::vector<Value> inputs;
      for (const Value v : nd.inputs) inputs.push_back(backward ? in_backward(v) : copy[at(v)]);
      const std::vector<Value> results = result.add(*nd.op, inputs, nd.attributes, nd.regions);
      for (size_t i = 0; i < results.size(); ++i) {
        copy[at(nd.outputs[i])] = results[i];
        carry_name(result, results[i], g_, nd.outputs[i]);
      }
      if (!kept_[static_cast<size_t>(n)]) continue;
      ++plan_.kept;
      for (const Value v : nd.outputs) plan_.kept_bytes += static_cast<int64_t>(bytes_of(v));
    }
    std::vector<Value> outputs;
    for (const Value v : g_.outputs()) outputs.push_back(copy[at(v)]);
    result.set_outputs(outputs, g_.output_names());
    return result;
  }

  const Graph& g_;
  const tile::Rates rates_;
  const int cores_;
  const double price_;
  std::vector<bool> forward_, data_, wanted_, again_, kept_;  ///< of nodes
  std::set<int32_t> banned_;                                  ///< from being computed again
  bool needed_any_ = false;
  KeepPlan plan_;
};

}  // namespace

std::string to_string(const KeepPlan& plan) {
  if (plan.whole_bytes > 0)
    return fmt::format(
        "{} values of {:.1f} MB are kept for the backward pass in {:.1f} MB, {:.1f} MB of it comparisons", plan.kept,
        static_cast<double>(plan.whole_bytes) * 1e-6, static_cast<double>(plan.kept_bytes) * 1e-6,
        static_cast<double>(plan.mask_bytes) * 1e-6);
  return fmt::format("{} values of {:.1f} MB are kept for the backward pass, {} operators of {:.3g} Gflop run again",
                     plan.kept, static_cast<double>(plan.kept_bytes) * 1e-6, plan.recomputed,
                     plan.recomputed_flops * 1e-9);
}

Graph keep_or_recompute(const Graph& graph, int loss, const Target& target, double price, KeepPlan* plan) {
  return Keeper(graph, loss, target, price).run(plan);
}

}  // namespace gregale::passes
