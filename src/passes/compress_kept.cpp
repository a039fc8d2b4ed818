// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <map>
#include <set>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "tile/node_kinds.hpp"

// What the backward pass reads of the forward pass is put into few bits right behind what computes it, and taken out
// right before what reads it. Views and comparisons are not worth keeping: a view is made again of what it shows, and
// of a comparison its answer is kept, a bit an element.
namespace gregale::passes {
namespace {

class Compressor {
 public:
  Compressor(const Graph& graph, int loss, Keep keep, const KeepBits& bits) : g_(graph), keep_(keep), bits_(bits) {
    forward_ = forward_nodes(graph, loss);
    const int32_t end = graph.producer(graph.outputs()[static_cast<size_t>(loss)]);
    for (int32_t n = 0; n < count(); ++n) {
      if (forward_[at(n)] || is_state(n)) continue;
      const bool there = n < end && reads_forward(n);  // made in the forward pass, though for the backward pass
      if (!there && !is_early(n)) continue;
      if (!there) early_.insert(n);
      forward_[at(n)] = true;
    }
  }

  Graph run(KeepPlan* plan) {
    begin();
    copy_nodes([](int32_t) {});
    std::vector<Value> outputs;
    for (const Value v : g_.outputs()) outputs.push_back(copy_.at(v.id));
    result_.set_outputs(outputs, g_.output_names());
    GREGALE_CHECK(keep_ != Keep::compressed || bits_.each.empty() || bits_.each.size() == plan_.values.size(),
                  invalid_argument, "[compress_kept] bits of {} values, '{}' keeps {}", bits_.each.size(), g_.name(),
                  plan_.values.size());
    if (plan != nullptr) *plan = plan_;
    if (log_enabled("passes")) log_line("passes", fmt::format("{}: {}", g_.name(), to_string(plan_)));
    return std::move(result_);
  }

  /// Both backward passes, from what was computed and from what was kept, and of every result what their difference is
  /// expected to be.
  Graph run_both() {
    begin();
    for (now_ = 0; now_ < count(); ++now_) {
      const Node& nd = node(now_);
      add(now_, false);
      if (forward_[at(now_)] || is_state(now_)) continue;
      std::vector<Value> inputs;
      bool differs = false;
      for (const Value v : nd.inputs) {
        inputs.push_back(approximate(v));
        differs |= inputs.back() != copy_.at(v.id);
      }
      if (!differs) continue;
      const std::vector<Value> results = result_.add(*nd.op, inputs, nd.attributes, nd.regions);
      for (size_t i = 0; i < results.size(); ++i) other_[nd.outputs[i].id] = results[i];
    }
    std::vector<Value> outputs;
    for (const Value v : g_.outputs()) outputs.push_back(copy_.at(v.id));
    for (const Value v : g_.outputs()) {
      const Value other = approximate(v);
      const Value difference = ops::square(result_, ops::sub(result_, other, copy_.at(v.id)));
      const Value predicted = variance(v);
      outputs.push_back(ops::mean(result_, difference));
      outputs.push_back(predicted.valid() ? ops::mean(result_, predicted) : ops::scalar(result_, g_.type(v).dtype, -1));
    }
    result_.set_outputs(outputs);
    return std::move(result_);
  }

  /// One backward pass that reads each value as it was kept, or after the bits on trial.
  KeptProbe run_probe(std::vector<KeepPlan::Value> values, const KeepBits& bits, bool formula) {
    GREGALE_CHECK(bits.each.empty() || bits.each.size() == values.size(), invalid_argument,
                  "[probe_kept] bits of {} values, '{}' keeps {}", bits.each.size(), g_.name(), values.size());
    trial_ = bits;
    begin();
    const auto count_of_values = static_cast<int64_t>(values.size());
    const Value all = result_.add_input("switches", Type(DType::boolean, Shape{count_of_values}));
    for (int64_t i = 0; i < count_of_values; ++i)
      switches_.push_back(ops::reshape(result_, ops::slice_axis(result_, all, 0, i, i + 1), Extents{}));
    KeptProbe probe;
    std::vector<Value> variances;
    if (formula)
      for (size_t i = 0; i < g_.outputs().size(); ++i) find_direct(g_.outputs()[i], static_cast<int>(i), 1);
    copy_nodes([&](int32_t n) { add_terms(n, probe, variances); });
    std::vector<Value> outputs;
    for (const Value v : g_.outputs()) outputs.push_back(copy_.at(v.id));
    outputs.insert(outputs.end(), variances.begin(), variances.end());
    result_.set_outputs(outputs);
    std::map<int32_t, std::set<std::pair<int32_t, int32_t>>> read;
    for (int32_t n = 0; n < count(); ++n) {
      if (forward_[at(n)] || is_state(n) || is_view(n)) continue;
      for (size_t i = 0; i < node(n).inputs.size(); ++i)
        if (const Value v = shown_by(node(n).inputs[i]); index_.count(v.id) > 0)
          read[v.id].emplace(n, static_cast<int32_t>(i));
    }
    probe.covered.assign(values.size(), false);
    for (const auto& [id, i] : index_) probe.covered[static_cast<size_t>(i)] = read[id] == told_[id];
    probe.values = std::move(values);
    probe.graph = std::move(result_);
    return probe;
  }

 private:
  void begin() {
    find_crossing();
    for (const Value v : g_.inputs()) copy_[v.id] = result_.add_input(g_.name_of(v), g_.type(v));
    for (const Variable& v : g_.variables()) result_.add_variable(v.name, v.type);
  }

  /// Every node in order, what is computed early behind the last of its operands; `after` each.
  template <class After>
  void copy_nodes(After&& after) {
    std::map<int32_t, std::vector<int32_t>> early_after;
    for (const int32_t n : early_) early_after[earliest(n)].push_back(n);
    for (now_ = 0; now_ < count(); ++now_) {
      if (early_.count(now_) > 0 || (!node(now_).outputs.empty() && copy_.count(node(now_).outputs[0].id) > 0))
        continue;
      add(now_, !forward_[at(now_)] && !is_state(now_));
      after(now_);
      for (const int32_t n : early_after[now_]) add(n, false);
    }
  }

  static constexpr int64_t kWorth = 1 << 14;  ///< elements; fewer are kept as they are
  static constexpr int32_t kNear = 16;        ///< nodes that share what was taken out
  static constexpr int kMostBits = 8;

  const Node& node(int32_t n) const { return g_.nodes()[at(n)]; }
  int32_t count() const { return static_cast<int32_t>(g_.nodes().size()); }
  static size_t at(int32_t n) { return static_cast<size_t>(n); }
  bool is_state(int32_t n) const {
    const std::string& op = node(n).op->name;
    return op == kReadOp || op == kConstantOp;
  }
  bool is_view(int32_t n) const { return static_cast<bool>(node(n).op->result_as_view); }
  bool is_of_forward(Value v) const {
    const int32_t p = g_.producer(v);
    return p >= 0 && forward_[at(p)];
  }

  /// Elementwise on values of the forward pass, and on what is there anyway: made in the forward pass, so that it is
  /// not its operands that are kept but, of an activation, its derivative. The backward pass is linear in that, and
  /// errors that are zero on average stay so (arXiv 2605.01255).
  bool is_early(int32_t n) const { return node(n).outputs.size() == 1 && node(n).op->express && reads_forward(n); }
  bool reads_forward(int32_t n) const {
    const Node& nd = node(n);
    if (nd.op->has_side_effect) return false;
    bool any = false;
    for (const Value v : nd.inputs) {
      const int32_t p = g_.producer(v);
      if (p >= 0 && !forward_[at(p)] && !is_constant(p) && node(p).op->name != kReadOp) return false;
      any |= p >= 0 && forward_[at(p)];
    }
    return any;
  }
  /// Made of constants alone.
  bool is_constant(int32_t n) const {
    if (node(n).op->name == kConstantOp) return true;
    if (node(n).op->name == kReadOp || node(n).inputs.empty()) return false;
    for (const Value v : node(n).inputs)
      if (g_.producer(v) < 0 || !is_constant(g_.producer(v))) return false;
    return true;
  }
  /// The node of the forward pass proper after which this one can be.
  int32_t earliest(int32_t n) const {
    int32_t last = -1;
    for (const Value v : node(n).inputs) {
      const int32_t p = g_.producer(v);
      last = std::max(last, early_.count(p) > 0 || (p >= 0 && !forward_[at(p)]) ? earliest(p) : p);
    }
    return last;
  }

  /// Values that the backward pass reads, seen through views.
  void find_crossing() {
    for (int32_t n = 0; n < count(); ++n) {
      if (forward_[at(n)] || is_state(n)) continue;
      for (Value v : node(n).inputs) {
        while (is_of_forward(v) && is_view(g_.producer(v)) && is_of_forward(node(g_.producer(v)).inputs[0]))
          v = node(g_.producer(v)).inputs[0];
        if (is_of_forward(v)) crossing_.insert(v.id);
      }
    }
  }

  void add(int32_t n, bool backward) {
    const Node& nd = node(n);
    std::vector<Value> inputs;
    for (const Value v : nd.inputs) {
      if (!backward && copy_.count(v.id) == 0) add(g_.producer(v), false);  // a constant that comes later
      inputs.push_back(backward ? in_backward(v) : copy_.at(v.id));
    }
    const std::vector<Value> results = result_.add(*nd.op, inputs, nd.attributes, nd.regions);
    for (size_t i = 0; i < results.size(); ++i) {
      const Value v = nd.outputs[i];
      copy_[v.id] = results[i];
      carry_name(result_, results[i], g_, v);
      if (crossing_.count(v.id) > 0) put_away(v);
    }
  }

  void put_away(Value v) {
    const Type& type = g_.type(v);
    const int64_t bytes = type.shape.is_constant() ? type.bytes() : 0;
    const bool worth = bytes >= kWorth * size_of(type.dtype);
    ++plan_.kept;
    plan_.whole_bytes += bytes;
    const Value now = copy_.at(v.id);
    const bool real = type.dtype == DType::f32 || type.dtype == DType::bf16;
    if (worth && type.dtype == DType::boolean) {
      kept_[v.id] = ops::pack_bits(result_, now);
      plan_.mask_bytes += result_.type(kept_[v.id]).bytes();
    } else if (worth && type.dtype == DType::f32 && keep_ == Keep::bf16) {
      kept_[v.id] = ops::cast(result_, now, DType::bf16);
    } else if (worth && real && keep_ == Keep::compressed) {
      const size_t index = plan_.values.size();
      GREGALE_CHECK(bits_.each.empty() || index < bits_.each.size(), invalid_argument,
                    "[compress_kept] bits of {} values, '{}' keeps more", bits_.each.size(), g_.name());
      const int bits = bits_.each.empty() ? bits_.all : bits_.each[index];
      check_bits(bits);
      index_[v.id] = static_cast<int>(index);
      kept_bits_[v.id] = bits;
      if (bits <= kMostBits)
        kept_[v.id] = quantized(now, bits);
      else if (bits == kBitsOfBf16 && type.dtype == DType::f32)
        kept_[v.id] = ops::cast(result_, now, DType::bf16);
      const int64_t kept = kept_.count(v.id) > 0 ? result_.type(kept_[v.id]).bytes() : bytes;
      plan_.values.push_back({fmt::format("{} {}", node(g_.producer(v)).op->name, to_string(type)),
                              element_count(type.shape.extents()), bytes, kept, bits});
    }
    plan_.kept_bytes += kept_.count(v.id) > 0 ? result_.type(kept_[v.id]).bytes() : bytes;
  }

  static void check_bits(int bits) {
    GREGALE_CHECK((bits >= 1 && bits <= kMostBits) || bits == kBitsOfBf16 || bits == kBitsWhole, invalid_argument,
                  "[compress_kept] {} bits are none of 1 to {}, {} and {}", bits, kMostBits, kBitsOfBf16, kBitsWhole);
  }
  Value quantized(Value x, int bits) {
    return result_.add1(ops::standard_ops().at("group_quantize"), {x}, {{"bits", int64_t{bits}}, {"stochastic", true}});
  }
  Value steps_of(Value bytes, int bits, const Type& type) {
    return result_.add1(
        ops::standard_ops().at("group_dequantize"), {bytes},
        {{"bits", int64_t{bits}}, {"dtype", type.dtype}, {"extents", type.shape.extents()}, {"steps", true}});
  }

  Value in_backward(Value v) {
    const int32_t p = g_.producer(v);
    if (is_of_forward(v) && is_view(p) && is_of_forward(node(p).inputs[0])) {
      const Node& nd = node(p);
      const Value shown = in_backward(nd.inputs[0]);
      return shown == copy_.at(nd.inputs[0].id) ? copy_.at(v.id)
                                                : result_.add(*nd.op, {shown}, nd.attributes, nd.regions)[0];
    }
    const bool probed = !switches_.empty() && index_.count(v.id) > 0;
    if (kept_.count(v.id) == 0 && !probed) return copy_.at(v.id);
    // Taken out again where the last time is long ago, rather than left to lie about.
    if (const auto out = out_.find(v.id); out != out_.end() && now_ - out->second.second <= kNear)
      return out->second.first;
    const Type& type = g_.type(v);
    Value whole = copy_.at(v.id);
    if (kept_.count(v.id) > 0) {
      // A view that means nothing: groups do not grow across it, or the forward pass would make what is wanted later.
      const Value kept = ops::reshape(result_, kept_.at(v.id), result_.type(kept_.at(v.id)).shape.extents());
      if (type.dtype == DType::boolean)
        whole = ops::unpack_bits(result_, kept, type);
      else if (keep_ == Keep::bf16 || kept_bits_.at(v.id) == kBitsOfBf16)
        whole = ops::cast(result_, kept, type.dtype);
      else
        whole = ops::group_dequantize(result_, kept, kept_bits_.at(v.id), type);
    }
    if (probed) {
      const auto i = static_cast<size_t>(index_.at(v.id));
      if (const Trial t = trial(v, whole); t.value.valid()) whole = ops::select(result_, switches_[i], t.value, whole);
    }
    out_[v.id] = {whole, now_};
    return whole;
  }

  /// A value of the base after it went through the bits on trial; invalid where these leave it as it is.
  struct Trial {
    Value value, steps, base;
  };
  Trial trial(Value v, Value base) {
    const auto i = static_cast<size_t>(index_.at(v.id));
    const int bits = trial_.each.empty() ? trial_.all : trial_.each.at(i);
    check_bits(bits);
    const Type& type = g_.type(v);
    Trial t;
    t.base = base;
    if (bits == kBitsOfBf16 && type.dtype == DType::f32)
      t.value = ops::cast(result_, ops::cast(result_, base, DType::bf16), DType::f32);
    if (bits > kMostBits) return t;
    const Value bytes = quantized(base, bits);
    // Names tell the steps of the probe apart when they are timed.
    result_.set_name(bytes, fmt::format("quantize {}", i));
    t.value = ops::group_dequantize(result_, bytes, bits, type);
    result_.set_name(t.value, fmt::format("dequantize {}", i));
    t.steps = steps_of(bytes, bits, type);
    trials_[v.id] = t;
    return t;
  }

  /// The value as the second backward pass has it.
  Value approximate(Value v) {
    if (const auto found = other_.find(v.id); found != other_.end()) return found->second;
    return is_of_forward(v) ? in_backward(v) : copy_.at(v.id);
  }

  /// The variance of each element's error: known where the value was quantised itself, its own square where it was made
  /// of such values.
  Value error_variance(Value v) {
    const int32_t p = g_.producer(v);
    if (is_of_forward(v) && is_view(p) && is_of_forward(node(p).inputs[0])) {
      const Value shown = error_variance(node(p).inputs[0]);
      return shown.valid() ? result_.add(*node(p).op, {shown}, node(p).attributes, node(p).regions)[0] : Value();
    }
    if (is_of_forward(v) && kept_.count(v.id) > 0 && keep_ == Keep::compressed && kept_bits_.count(v.id) > 0 &&
        kept_bits_.at(v.id) <= kMostBits) {
      const Type& type = g_.type(v);
      const Value step = steps_of(kept_.at(v.id), kept_bits_.at(v.id), type);
      // Rounded up with probability f: step^2 f (1 - f), which is |error| (step - |error|) whatever came of it.
      const Value error = ops::abs(result_, ops::sub(result_, approximate(v), copy_.at(v.id)));
      return ops::mul(result_, error, ops::sub(result_, step, error));
    }
    const Value other = approximate(v);
    return other == copy_.at(v.id) ? Value() : ops::square(result_, ops::sub(result_, other, copy_.at(v.id)));
  }

  /// The variance of every element of a weight's gradient, for errors that are independent from place to place: of a
  /// product a b, that of a times b squared and the other way round; of a sum, the sum. Invalid for other operators.
  Value variance(Value v) {
    const int32_t p = g_.producer(v);
    if (p < 0 || forward_[at(p)] || is_state(p)) return {};
    const Node& nd = node(p);
    const auto again = [&](const std::vector<Value>& inputs) {
      return result_.add(*nd.op, inputs, nd.attributes, nd.regions)[0];
    };
    if (is_view(p) || nd.op->name == "sum_to") {
      const Value inner = variance(nd.inputs[0]);
      if (inner.valid()) return again({inner});
      if (is_view(p)) return {};
    }
    if (nd.op->name == "sum" || nd.op->name == "sum_to" || nd.op->name == "sum_to_like") {
      std::vector<Value> inputs;
      for (const Value i : nd.inputs) inputs.push_back(copy_.at(i.id));
      inputs[0] = error_variance(nd.inputs[0]);
      return inputs[0].valid() ? again(inputs) : Value();
    }
    if (nd.inputs.size() != 2 || !tile::is_contraction(view_of(g_, nd))) return {};
    const auto squared = [&](Value x) { return ops::square(result_, x); };
    const Value a = error_variance(nd.inputs[0]), b = error_variance(nd.inputs[1]);
    Value sum;
    if (a.valid()) sum = again({a, squared(approximate(nd.inputs[1]))});
    if (b.valid()) {
      const Value other = again({squared(copy_.at(nd.inputs[0].id)), b});
      sum = sum.valid() ? ops::add(result_, sum, other) : other;
    }
    return sum;
  }

  /// The kept value that a view of whatever pass shows, or what it shows else.
  Value shown_by(Value v) const {
    while (index_.count(v.id) == 0 && g_.producer(v) >= 0 && is_view(g_.producer(v)))
      v = node(g_.producer(v)).inputs[0];
    return v;
  }

  /// Products that a gradient is, or a sum of, seen through views; with how many elements of the product become one of
  /// the gradient.
  void find_direct(Value v, int gradient, double elements) {
    const int32_t p = g_.producer(v);
    if (p < 0 || forward_[at(p)] || is_state(p)) return;
    const Node& nd = node(p);
    const auto size = [&](Value x) { return static_cast<double>(element_count(g_.type(x).shape.extents())); };
    if (nd.op->name == "add" && g_.type(nd.inputs[0]) == g_.type(nd.inputs[1]))
      for (const Value side : nd.inputs) find_direct(side, gradient, elements);
    else if (is_view(p))
      find_direct(nd.inputs[0], gradient, elements);
    else if (nd.op->name == "sum_to")
      find_direct(nd.inputs[0], gradient, elements * size(nd.inputs[0]) / std::max(size(v), 1.0));
    else if (nd.inputs.size() == 2 && nd.outputs.size() == 1 && tile::is_contraction(view_of(g_, nd)))
      direct_[p].emplace_back(gradient, elements);
  }

  /// The terms of such a product that was just added, while what they are made of is there.
  void add_terms(int32_t p, KeptProbe& probe, std::vector<Value>& variances) {
    const auto found = direct_.find(p);
    if (found == direct_.end()) return;
    const Node& nd = node(p);
    for (size_t i = 0; i < 2; ++i) {
      const Value source = shown_by(nd.inputs[i]);
      if (index_.count(source.id) == 0) continue;
      const Value variance = trial_variance(nd.inputs[i]);
      if (!variance.valid()) continue;
      const Value other = ops::square(result_, in_backward(nd.inputs[1 - i]));
      std::vector<Value> inputs{variance, other};
      if (i == 1) std::swap(inputs[0], inputs[1]);
      const Value mean = ops::mean(result_, result_.add(*nd.op, inputs, nd.attributes, nd.regions)[0]);
      told_[source.id].emplace(p, static_cast<int32_t>(i));
      for (const auto& [gradient, elements] : found->second) {
        probe.terms.push_back({gradient, index_.at(source.id)});
        variances.push_back(ops::mul(result_, mean, elements));
      }
    }
  }

  /// The variance of each element's error under the bits on trial: step^2 f (1 - f), as |error| (step - |error|).
  Value trial_variance(Value v) {
    if (index_.count(v.id) == 0) {
      const Node& nd = node(g_.producer(v));
      const Value shown = trial_variance(nd.inputs[0]);
      return shown.valid() ? result_.add(*nd.op, {shown}, nd.attributes, nd.regions)[0] : Value();
    }
    const auto found = trials_.find(v.id);
    if (found == trials_.end()) return {};
    const Trial& t = found->second;
    const Value error = ops::abs(result_, ops::sub(result_, t.value, t.base));
    return ops::mul(result_, error, ops::sub(result_, t.steps, error));
  }

  const Graph& g_;
  const Keep keep_;
  const KeepBits bits_;
  std::vector<bool> forward_;
  std::set<int32_t> early_;     ///< nodes of the backward pass that are made in the forward pass
  std::set<int32_t> crossing_;  ///< values
  Graph result_{g_.name()};
  std::map<int32_t, Value> copy_, kept_;              ///< by value
  std::map<int32_t, Value> other_;                    ///< of the second backward pass
  std::map<int32_t, std::pair<Value, int32_t>> out_;  ///< by value: as the backward pass has it, and for which node
  std::map<int32_t, int> index_, kept_bits_;          ///< by value: of those that can be quantised
  int32_t now_ = 0;
  KeepPlan plan_;
  // Of a probe.
  KeepBits trial_ = 0;
  std::vector<Value> switches_;  ///< bool[], by index
  std::map<int32_t, Trial> trials_;
  std::map<int32_t, std::vector<std::pair<int, double>>> direct_;  ///< by node: gradients, find_direct()
  std::map<int32_t, std::set<std::pair<int32_t, int32_t>>> told_;  ///< by value: node and operand that terms tell of
};

}  // namespace

std::vector<bool> forward_nodes(const Graph& graph, int loss) {
  std::vector<bool> forward(graph.nodes().size(), false);
  const int32_t end = graph.producer(graph.outputs()[static_cast<size_t>(loss)]);
  if (end >= 0) forward[static_cast<size_t>(end)] = true;
  for (int32_t n = static_cast<int32_t>(graph.nodes().size()) - 1; n >= 0; --n) {
    const Node& node = graph.nodes()[static_cast<size_t>(n)];
    if (!forward[static_cast<size_t>(n)]) continue;
    for (const Value v : node.inputs)
      if (graph.producer(v) >= 0) forward[static_cast<size_t>(graph.producer(v))] = true;
    const std::string& op = node.op->name;
    if (op == kReadOp || op == kConstantOp || op == kWriteOp) forward[static_cast<size_t>(n)] = false;
  }
  return forward;
}

KeptProbe probe_kept(const Graph& graph, int loss, int base, const KeepBits& trial, bool formula) {
  KeepPlan plan;
  compress_kept(graph, loss, Keep::compressed, base, &plan);  // how many there are
  return Compressor(graph, loss, Keep::compressed, base).run_probe(plan.values, trial, formula);
}

Graph kept_error(const Graph& graph, int loss, Keep keep, int bits) {
  return Compressor(graph, loss, keep, bits).run_both();
}

Graph compress_kept(const Graph& graph, int loss, Keep keep, const KeepBits& bits, KeepPlan* plan) {
  return Compressor(graph, loss, keep, bits).run(plan);
}

}  // namespace gregale::passes
