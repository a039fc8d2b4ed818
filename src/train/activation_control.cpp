// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/activation_control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "gregale/autodiff.hpp"
#include "gregale/error.hpp"

namespace gregale::train {
namespace {

constexpr int kMostBits = 8;
/// Gradients of fewer elements are no measure of a deviation; they have no limit where others have one.
constexpr int64_t kFew = 16;
/// Errors below this share of a gradient's size are never too large, however little batches differ.
constexpr double kNegligible = 1e-3;
/// bf16 rounds values of a group's size to about an eighth of the step of 8 bits.
constexpr double kBf16Variance = 1.0 / 64;
constexpr int kBase = 8;
constexpr int kTimed = 3;  ///< runs, of which the fastest counts for each step
constexpr int64_t kGroup = 256, kGroupHeader = 8;

double steps_of(int bits) { return std::exp2(bits) - 1; }

/// Bits a value can have, fewest first.
std::vector<int> choices_for(const passes::KeepPlan::Value& value) {
  std::vector<int> choices;
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8, kBitsOfBf16})
    if (bytes_in(value, bits) < value.whole_bytes) choices.push_back(bits);
  choices.push_back(kBitsWhole);
  return choices;
}

double mean_square(const Tensor& a, const Tensor* b = nullptr) {
  double sum = 0;
  const auto x = a.as<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - (b != nullptr ? static_cast<double>(b->as<float>()[i]) : 0);
    sum += d * d;
  }
  return sum / static_cast<double>(std::max<size_t>(x.size(), 1));
}

/// A program that gives gradients with some values' errors switched on.
class Probe {
 public:
  Probe(const Graph& prepared, const std::vector<int>& trial, int bits, bool formula, const CompileOptions& options,
        ExecutionContext& context, VariableValues& state)
      : probe_(passes::probe_kept(prepared, 0, kBase, {bits, trial}, formula)),
        program_(passes::compile_kept(probe_.graph, options)),
        context_(context),
        state_(state),
        outputs_(program_.make_outputs()),
        gradients_(prepared.outputs().size() - 1) {}

  /// Gradients with these values' errors; valid until the next run.
  std::span<const Tensor> run(std::vector<Tensor> inputs, const std::vector<bool>& on,
                              std::vector<double>* seconds = nullptr) {
    Tensor switches(DType::boolean, {static_cast<int64_t>(on.size())});
    for (size_t i = 0; i < on.size(); ++i) static_cast<std::byte*>(switches.data())[i] = std::byte{on[i]};
    inputs.push_back(switches);
    if (seconds != nullptr)
      program_.profile(context_, inputs, outputs_, &state_, *seconds);
    else
      program_.run(context_, inputs, outputs_, &state_);
    return {outputs_.data() + 1, gradients_};
  }
  const passes::KeptProbe& kept() const { return probe_; }
  const Executable& program() const { return program_; }
  double term(size_t i) const { return static_cast<double>(outputs_[1 + gradients_ + i].as<float>()[0]); }

 private:
  passes::KeptProbe probe_;
  Executable program_;
  ExecutionContext& context_;
  VariableValues& state_;
  std::vector<Tensor> outputs_;
  size_t gradients_;
};

struct Seconds {
  double quantize = 0, dequantize = 0;
};

/// What each value's quantisation and the way back took, by the names that probes give them.
std::vector<Seconds> times_of(const Executable& program, const std::vector<double>& seconds, size_t values) {
  std::vector<Seconds> times(values);
  const std::vector<Executable::Group> groups = program.groups();
  for (size_t s = 0; s < groups.size(); ++s) {
    if (groups[s].node < 0) continue;
    const Node& node = program.graph().nodes()[static_cast<size_t>(groups[s].node)];
    const std::string& name = program.graph().name_of(node.outputs[0]);
    const size_t blank = name.find(' ');
    size_t value = 0;
    if (blank == std::string::npos ||
        std::from_chars(name.data() + blank + 1, name.data() + name.size(), value).ec != std::errc() || value >= values)
      continue;
    if (node.op->name == "group_quantize") times[value].quantize += seconds[s];
    if (node.op->name == "group_dequantize") times[value].dequantize += seconds[s];
  }
  return times;
}

class Controller {
 public:
  Controller(const Graph& graph, const nn::Scope& scope, Value loss, const Graph& training,
             const ActivationOptions& options, ExecutionContext& context, VariableValues& state,
             const std::function<std::vector<Tensor>(int64_t)>& inputs)
      : options_(options), context_(context), state_(state), inputs_(inputs) {
    Graph differentiated = graph;
    std::vector<Value> outputs = gradients(differentiated, loss, scope.values());
    outputs.insert(outputs.begin(), loss);
    differentiated.set_outputs(outputs);
    compile_ = options.compile;
    compile_.loss = 0;
    compile_.keep = Keep::compressed;
    compile_.kept_bits.clear();
    compile_.keep_bits = kBase;
    prepared_ = passes::run_until_kept(differentiated, compile_);
    for (const nn::Parameter& p : scope.parameters()) {
      errors_.gradients.push_back(p.name);
      if (compile_.target.memory_budget > 0)  // two sets of gradients are held beside the program
        compile_.target.memory_budget = std::max<int64_t>(1, compile_.target.memory_budget - 2 * p.type.bytes());
    }
    passes::KeepPlan here, there;
    passes::compress_kept(prepared_, 0, Keep::compressed, kBase, &here);
    passes::compress_kept(passes::run_until_kept(training, compile_), 0, Keep::compressed, kBase, &there);
    GREGALE_CHECK(here.values == there.values, unsupported,
                  "train.activation_bits: auto does not know this network's activations ({} measured, {} kept): give a "
                  "number of bits",
                  here.values.size(), there.values.size());
    errors_.values = here.values;
  }

  ActivationChoice run() {
    ActivationChoice choice;
    if (!errors_.values.empty()) {
      measure();
      choice.bits = allocate();
      if (!check(choice.bits, false)) {
        correct(choice.bits);
        check(choice.bits, true);
      }
    }
    choice.errors = errors_;
    choice.looser = std::sqrt(looser_);
    report(choice);
    return choice;
  }

 private:
  static constexpr double kMargin = 1.21;  ///< of a variance: a tenth of the error
  static constexpr double kLooser = 4;     ///< of a variance: twice the error

  void measure() {
    const size_t values = errors_.values.size(), count = errors_.gradients.size();
    Probe probe(prepared_, {}, errors_.reference_bits, true, compile_, context_, state_);
    std::vector<bool> on(values, false);
    const std::vector<Tensor> first = inputs_(0);  // all runs but those for the noise
    const auto found = probe.run(first, on);
    std::vector<Tensor> exact;
    for (const Tensor& t : found) exact.push_back(t.clone());
    errors_.variance.assign(values, std::vector<double>(count, 0));
    for (size_t t = 0; t < probe.kept().terms.size(); ++t) {
      const auto& term = probe.kept().terms[t];
      if (term.gradient > 0)
        errors_.variance[static_cast<size_t>(term.value)][static_cast<size_t>(term.gradient) - 1] += probe.term(t);
    }
    errors_.by_formula = probe.kept().covered;
    for (size_t v = 0; v < values; ++v) {
      if (errors_.by_formula[v]) continue;
      on[v] = true;
      const auto changed = probe.run(first, on);
      on[v] = false;
      for (size_t g = 0; g < count; ++g) errors_.variance[v][g] = mean_square(changed[g], &exact[g]);
    }
    errors_.size.assign(count, 0);
    errors_.noise.assign(count, 0);
    for (size_t g = 0; g < count; ++g) errors_.size[g] = mean_square(exact[g]);
    for (int64_t b = 1; b < options_.batches; ++b) {
      const auto other = probe.run(inputs_(b), on);
      for (size_t g = 0; g < count; ++g)
        errors_.noise[g] += mean_square(other[g], &exact[g]) / static_cast<double>(2 * (options_.batches - 1));
    }
    int64_t most = 0;
    for (const Tensor& t : exact) most = std::max(most, t.size());
    for (size_t g = 0; g < count; ++g) {
      const double scale = options_.of_size ? errors_.size[g] : errors_.noise[g];
      const double least = kNegligible * kNegligible * errors_.size[g];
      const bool counts = exact[g].size() >= std::min(kFew, most) && errors_.size[g] > 0;
      errors_.limit.push_back(counts ? std::max(options_.tolerance * options_.tolerance * scale, least)
                                     : std::numeric_limits<double>::infinity());
    }
  }

  /// Chooses again with what was measured where that was larger than foreseen: with few bits, or where errors are not
  /// independent.
  void correct(std::vector<int>& bits) {
    for (size_t g = 0; g < actual_.size(); ++g) {
      const double foreseen = errors_.variance_of(g, bits);
      if (foreseen <= 0 || actual_[g] <= looser_ * errors_.limit[g]) continue;
      for (auto& by_gradient : errors_.variance) by_gradient[g] *= actual_[g] / foreseen;
    }
    bits = allocate();
  }

  /// Bits that fit, at the price of looser limits where it must be. If not even one bit each does, that.
  std::vector<int> allocate() {
    std::vector<int> bits = allocate_bits(errors_, looser_);
    const auto least = [](int b) { return b == 1; };
    while (options_.fits && !std::all_of(bits.begin(), bits.end(), least) && !options_.fits(bits)) {
      looser_ *= kLooser;
      bits = allocate_bits(errors_, looser_, 1);
    }
    return bits;
  }

  /// What the bits do to gradients: all together, and each class alone. False, and no more is measured, where it is too
  /// much and there is another time.
  bool check(const std::vector<int>& bits, bool last) {
    const size_t values = bits.size(), count = errors_.gradients.size();
    classes_.clear();
    for (size_t v = 0; v < values; ++v) classes_[errors_.values[v].kind].push_back(v);
    Probe probe(prepared_, bits, 0, false, compile_, context_, state_);
    const std::vector<Tensor> first = inputs_(0);
    std::vector<Tensor> exact;
    for (const Tensor& t : probe.run(first, std::vector<bool>(values, false))) exact.push_back(t.clone());
    const std::vector<bool> all(values, true);
    std::vector<double> seconds;
    const auto together = probe.run(first, all, &seconds);
    actual_.assign(count, 0);
    for (size_t g = 0; g < count; ++g) actual_[g] = mean_square(together[g], &exact[g]);
    for (size_t g = 0; g < count && !last; ++g)
      if (actual_[g] > kMargin * looser_ * errors_.limit[g]) return false;
    for (int again = 1; again < kTimed; ++again) {
      std::vector<double> other;
      probe.run(first, all, &other);
      for (size_t s = 0; s < seconds.size(); ++s) seconds[s] = std::min(seconds[s], other[s]);
    }
    times_ = times_of(probe.program(), seconds, values);
    by_class_.clear();
    for (const auto& [kind, members] : classes_) {
      std::vector<bool> on(values, false);
      for (const size_t v : members) on[v] = true;
      const auto alone = probe.run(first, on);
      for (size_t g = 0; g < count; ++g) by_class_[kind].push_back(mean_square(alone[g], &exact[g]));
    }
    return true;
  }

  /// The greatest error of any gradient with a limit, over what its tolerance is a share of.
  double greatest(const std::vector<double>& variances) const {
    double most = 0;
    for (size_t g = 0; g < variances.size(); ++g)
      if (std::isfinite(errors_.limit[g]))
        most = std::max(most, options_.tolerance * std::sqrt(variances[g] / errors_.limit[g]));
    return most;
  }

  void report(ActivationChoice& choice) const {
    const size_t values = errors_.values.size(), count = errors_.gradients.size();
    const char* scale = options_.of_size ? "size" : "noise";
    nlohmann::json tensors = nlohmann::json::array(), gradients = nlohmann::json::array();
    int64_t whole = 0, kept = 0;
    Seconds all;
    std::vector<double> foreseen(count, 0);
    for (const auto& [kind, members] : classes_) {
      std::vector<double> predicted(count, 0);
      int64_t class_whole = 0, class_kept = 0, formula = 0;
      int least = kBitsWhole, most = 0;
      Seconds times;
      nlohmann::json bits = nlohmann::json::array();
      for (const size_t v : members) {
        for (size_t g = 0; g < count; ++g) predicted[g] += errors_.variance_in(v, g, choice.bits[v]);
        class_whole += errors_.values[v].whole_bytes;
        class_kept += bytes_in(errors_.values[v], choice.bits[v]);
        formula += errors_.by_formula[v] ? 1 : 0;
        least = std::min(least, choice.bits[v]);
        most = std::max(most, choice.bits[v]);
        bits.push_back(choice.bits[v]);
        times.quantize += times_[v].quantize;
        times.dequantize += times_[v].dequantize;
      }
      for (size_t g = 0; g < count; ++g) foreseen[g] += predicted[g];
      whole += class_whole;
      kept += class_kept;
      all.quantize += times.quantize;
      all.dequantize += times.dequantize;
      const double a = greatest(predicted), b = greatest(by_class_.at(kind));
      tensors.push_back({{"kind", kind},
                         {"count", members.size()},
                         {"by_formula", formula},
                         {"bits", bits},
                         {"whole_bytes", class_whole},
                         {"kept_bytes", class_kept},
                         {"predicted_error", a},
                         {"measured_error", b},
                         {"quantize_seconds", times.quantize},
                         {"dequantize_seconds", times.dequantize}});
      choice.lines.push_back(fmt::format(
          "  {} of {}: {} bits, {:.3g} MB in {:.3g} MB; error {:.3g} of {} foreseen, {:.3g} measured; {:.3g} + {:.3g} "
          "ms",
          members.size(), kind, least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most),
          static_cast<double>(class_whole) * 1e-6, static_cast<double>(class_kept) * 1e-6, a, scale, b,
          times.quantize * 1e3, times.dequantize * 1e3));
    }
    for (size_t g = 0; g < count && values > 0; ++g)
      gradients.push_back({{"name", errors_.gradients[g]},
                           {"rms", std::sqrt(errors_.size[g])},
                           {"noise", std::sqrt(errors_.noise[g])},
                           {"limited", std::isfinite(errors_.limit[g])},
                           {"predicted_error", std::sqrt(foreseen[g])},
                           {"measured_error", std::sqrt(actual_[g])}});
    const double predicted = values > 0 ? greatest(foreseen) : 0, measured = values > 0 ? greatest(actual_) : 0;
    choice.report = {{"bits", choice.bits},
                     {"tolerance", options_.tolerance},
                     {"of", scale},
                     {"looser", choice.looser},
                     {"whole_bytes", whole},
                     {"kept_bytes", kept},
                     {"predicted_error", predicted},
                     {"measured_error", measured},
                     {"quantize_seconds", all.quantize},
                     {"dequantize_seconds", all.dequantize},
                     {"tensors", tensors},
                     {"gradients", gradients}};
    choice.lines.insert(
        choice.lines.begin(),
        values == 0
            ? std::string("no activation is large enough to be put into bits")
            : fmt::format(
                  "bits of {} activations were chosen: {:.3g} MB in {:.3g} MB; the greatest error of a gradient "
                  "is {:.3g} of its {} as foreseen, {:.3g} as measured (tolerance {:g}); quantising takes {:.3g} "
                  "ms a step, the way back {:.3g} ms",
                  values, static_cast<double>(whole) * 1e-6, static_cast<double>(kept) * 1e-6, predicted, scale,
                  measured, options_.tolerance, all.quantize * 1e3, all.dequantize * 1e3));
    if (choice.looser > 1)
      choice.lines.push_back(
          fmt::format("  memory does not hold the bits that the tolerance asks for: errors may be {:g} times as large",
                      choice.looser));
  }

  const ActivationOptions& options_;
  ExecutionContext& context_;
  VariableValues& state_;
  const std::function<std::vector<Tensor>(int64_t)>& inputs_;
  CompileOptions compile_;
  Graph prepared_{"prepared"};
  ActivationErrors errors_;
  std::map<std::string, std::vector<size_t>> classes_;
  double looser_ = 1;           ///< than the limits of variances
  std::vector<double> actual_;  ///< by gradient: the variance of all errors together
  std::map<std::string, std::vector<double>> by_class_;
  std::vector<Seconds> times_;
};

}  // namespace

int64_t bytes_in(const passes::KeepPlan::Value& value, int bits) {
  if (bits == kBitsWhole) return value.whole_bytes;
  if (bits == kBitsOfBf16) return std::min(value.whole_bytes, 2 * value.elements);
  return (value.elements + kGroup - 1) / kGroup * (kGroupHeader + kGroup / 8 * bits);
}

double ActivationErrors::variance_in(size_t value, size_t gradient, int bits) const {
  if (bits == kBitsWhole) return 0;
  const double step = steps_of(reference_bits) / steps_of(std::min(bits, kMostBits));
  return variance[value][gradient] * step * step * (bits > kMostBits ? kBf16Variance : 1);
}

double ActivationErrors::variance_of(size_t gradient, const std::vector<int>& bits) const {
  double sum = 0;
  for (size_t v = 0; v < bits.size(); ++v) sum += variance_in(v, gradient, bits[v]);
  return sum;
}

std::vector<int> allocate_bits(const ActivationErrors& errors, double looser, int usual) {
  const size_t values = errors.values.size(), count = errors.gradients.size();
  std::vector<std::vector<int>> choices;
  std::vector<size_t> at(values, 0);
  std::vector<bool> felt(values, false);
  for (size_t v = 0; v < values; ++v) {
    choices.push_back(choices_for(errors.values[v]));
    for (size_t g = 0; g < count; ++g) felt[v] = felt[v] || (errors.variance[v][g] > 0 && errors.limit[g] > 0);
    if (!felt[v])
      while (at[v] + 1 < choices[v].size() && choices[v][at[v]] < usual) ++at[v];
  }
  // By gradient, over its limit.
  std::vector<double> sum(count, 0);
  const auto share = [&](size_t v, size_t g, size_t choice) {
    return errors.variance_in(v, g, choices[v][choice]) / (looser * errors.limit[g]);
  };
  const auto add_up = [&] {
    for (size_t g = 0; g < count; ++g) {
      sum[g] = 0;
      for (size_t v = 0; v < values; ++v) sum[g] += share(v, g, at[v]);
    }
  };
  add_up();
  for (;;) {
    size_t best = values;
    double most = 0;
    for (size_t v = 0; v < values; ++v) {
      if (!felt[v] || at[v] + 1 >= choices[v].size()) continue;
      double gain = 0;
      for (size_t g = 0; g < count; ++g) {
        if (!(sum[g] > 1)) continue;
        const double less = sum[g] - share(v, g, at[v]) + share(v, g, at[v] + 1);
        gain += sum[g] - std::max(less, 1.0);
      }
      gain /= static_cast<double>(bytes_in(errors.values[v], choices[v][at[v] + 1]) -
                                  bytes_in(errors.values[v], choices[v][at[v]]));
      if (gain > most) {
        most = gain;
        best = v;
      }
    }
    if (best == values) break;
    ++at[best];
    add_up();
  }
  // The largest first, what was given to them early may have become needless.
  std::vector<size_t> order(values);
  for (size_t v = 0; v < values; ++v) order[v] = v;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return errors.values[a].elements > errors.values[b].elements; });
  for (const size_t v : order)
    while (felt[v] && at[v] > 0) {
      --at[v];
      add_up();
      if (std::all_of(sum.begin(), sum.end(), [](double s) { return s <= 1; })) continue;
      ++at[v];
      break;
    }
  std::vector<int> bits;
  for (size_t v = 0; v < values; ++v) bits.push_back(choices[v][at[v]]);
  return bits;
}

ActivationChoice choose_activation_bits(const Graph& graph, const nn::Scope& scope, Value loss, const Graph& training,
                                        const ActivationOptions& options, ExecutionContext& context,
                                        VariableValues& state,
                                        const std::function<std::vector<Tensor>(int64_t)>& inputs) {
  return Controller(graph, scope, loss, training, options, context, state, inputs).run();
}

}  // namespace gregale::train
