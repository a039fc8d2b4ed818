// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "passes/passes.hpp"
#include "tools/bench.hpp"
#include "tools/networks.hpp"

// What compression of kept activations does to gradients, measured and predicted, while a network is trained.
namespace gregale::tools {
namespace {

struct ActivationsOptions {
  Common common;
  NetworkOptions network;
  int64_t steps = 5;
  double tolerance = 0.1;
};

/// One gradient at one step; roots of means over its elements.
struct Found {
  double gradient = 0, noise = 0, predicted = -1, measured = 0;
  int64_t elements = 0;
  double ratio() const { return predicted / measured; }
};

constexpr int64_t kFew = 16;

double mean_square(const Tensor& a, const Tensor* b = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(a.size()); ++i) {
    const double d =
        static_cast<double>(a.as<float>()[i]) - (b != nullptr ? static_cast<double>(b->as<float>()[i]) : 0);
    sum += d * d;
  }
  return sum / static_cast<double>(std::max<int64_t>(a.size(), 1));
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
}

class Study {
 public:
  Study(const ActivationsOptions& o, ExecutionContext& context) : context_(context) {
    seed_ = static_cast<uint64_t>(o.common.seed.value_or(0));
    work_ = make_workload(o.network, context.team(), seed_);
    for (const Variable& v : work_.graph.variables()) names_.push_back(v.name);
    const CompileOptions options = compile_options(o.network, context.team().size());
    CompileOptions plain;
    plain.target = options.target;
    program_ = std::make_unique<Executable>(
        compile(passes::kept_error(work_.graph, 0, options.keep, options.keep_bits), plain));
  }

  const std::vector<std::string>& names() const { return names_; }

  /// The gradients of one step, and then the step: weights move by a hundredth of their size against them.
  std::vector<Found> step(int64_t number) {
    const std::vector<Tensor> first = run(2 * number), second = run(2 * number + 1);
    std::vector<Found> found;
    const size_t gradients = names_.size();
    for (size_t i = 0; i < gradients; ++i) {
      Found f;
      f.elements = first[1 + i].size();
      f.gradient = std::sqrt(mean_square(first[1 + i]));
      f.noise = std::sqrt(mean_square(first[1 + i], &second[1 + i]) / 2);
      const size_t at = 1 + gradients + 2 + 2 * i;  // the loss comes first everywhere
      f.measured = std::sqrt(static_cast<double>(first[at].as<float>()[0]));
      const auto variance = static_cast<double>(first[at + 1].as<float>()[0]);
      f.predicted = variance < 0 ? -1 : std::sqrt(variance);
      found.push_back(f);
      Tensor& weights = work_.state.at(names_[i]);
      const double size = std::max(std::sqrt(mean_square(weights)), 1e-3),
                   rate = 0.01 * size / std::max(f.gradient, 1e-30);
      for (size_t k = 0; k < static_cast<size_t>(weights.size()); ++k)
        weights.as<float>()[k] -= static_cast<float>(rate * static_cast<double>(first[1 + i].as<float>()[k]));
    }
    return found;
  }

 private:
  std::vector<Tensor> run(int64_t batch) {
    for (size_t t = 0; t < work_.inputs.size(); ++t) {
      auto values = work_.inputs[t].as<float>();
      parallel_for(context_.team(), static_cast<int64_t>(values.size()), 65536, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i)
          values[static_cast<size_t>(i)] = random_normal(
              {seed_, static_cast<uint32_t>(batch + 1), static_cast<uint32_t>(t)}, static_cast<uint64_t>(i));
      });
    }
    return program_->run(context_, work_.inputs, &work_.state);
  }

  ExecutionContext& context_;
  uint64_t seed_ = 0;
  Workload work_;
  std::vector<std::string> names_;
  std::unique_ptr<Executable> program_;
};

int run_activations(ActivationsOptions& o) {
  GREGALE_CHECK(o.steps >= 1, usage, "--steps: expected a positive number, got {}", o.steps);
  GREGALE_CHECK(o.tolerance > 0, usage, "--tolerance: expected a positive number, got {}", o.tolerance);
  o.network.mode = "train";
  o.network.optimizer = "none";
  if (!o.network.activations) o.network.activations = "compress";
  check_network(o.network);
  const auto bits = static_cast<double>(o.network.activation_bits.value_or(CompileOptions{}.keep_bits));
  auto context = o.common.make_context();
  Study study(o, *context);
  std::vector<std::vector<Found>> all;
  Progress progress("step", o.steps, o.common.quiet || o.common.json);
  for (int64_t s = 0; s < o.steps; ++s) {
    all.push_back(study.step(s));
    progress.update(s + 1);
  }
  progress.done();
  o.common.finish(*context);
  std::vector<double> ratios, distances;
  nlohmann::json tensors = nlohmann::json::array();
  if (!o.common.json)
    fmt::print("{:<28}{:>11}{:>11}{:>12}{:>12}{:>8}{:>6}\n", "gradient of", "rms", "noise", "predicted", "measured",
               "ratio", "bits");
  for (size_t i = 0; i < study.names().size(); ++i) {
    Found mean;
    mean.predicted = 0;
    for (const auto& step : all) {
      const Found& f = step[i];
      mean.gradient += f.gradient / static_cast<double>(all.size());
      mean.noise += f.noise / static_cast<double>(all.size());
      mean.predicted += f.predicted / static_cast<double>(all.size());
      mean.measured += f.measured / static_cast<double>(all.size());
      // Of a few elements the root of the mean is no estimate of a deviation.
      if (f.predicted <= 0 || f.measured <= 0 || f.elements < kFew) continue;
      ratios.push_back(f.ratio());
      distances.push_back(std::abs(f.ratio() - 1));
    }
    const bool known = mean.predicted > 0 && mean.measured > 0;
    // Steps are range / (2^bits - 1), and errors in proportion to them.
    const double needed = std::log2(1 + (std::exp2(bits) - 1) * mean.measured / (o.tolerance * mean.noise));
    tensors.push_back({{"name", study.names()[i]},
                       {"gradient", mean.gradient},
                       {"noise", mean.noise},
                       {"predicted", known ? nlohmann::json(mean.predicted) : nlohmann::json()},
                       {"measured", mean.measured},
                       {"bits_needed", std::max(1.0, std::ceil(needed))}});
    if (!o.common.json)
      fmt::print("{:<28}{:>11.3g}{:>11.3g}{:>12}{:>12.3g}{:>8}{:>6.0f}\n", study.names()[i], mean.gradient, mean.noise,
                 known ? fmt::format("{:.3g}", mean.predicted) : "-", mean.measured,
                 known ? fmt::format("{:.2f}", mean.ratio()) : "-", std::max(1.0, std::ceil(needed)));
  }
  GREGALE_CHECK(!ratios.empty(), unsupported, "no gradient's error can be predicted");
  const double median = quantile(ratios, 0.5), ninety = quantile(distances, 0.9);
  if (o.common.json)
    fmt::print("{}\n", nlohmann::json{{"model", o.network.name},
                                      {"steps", o.steps},
                                      {"tensors", tensors},
                                      {"median_ratio", median},
                                      {"p90_distance", ninety},
                                      {"compared", ratios.size()}}
                           .dump(2));
  else
    fmt::print(
        "predicted over measured: median {:.2f}, nine in ten within {:.0f} %, over {} gradients and {} steps\n"
        "bits: where the error would be {:g} of the noise between batches\n",
        median, 100 * ninety, ratios.size() / static_cast<size_t>(o.steps), o.steps, o.tolerance);
  return 0;
}

}  // namespace

Runner add_bench_activations(Command& bench) {
  auto o = std::make_shared<ActivationsOptions>();
  Command c = add_command(bench, "activations",
                          "What keeping activations in few bits does to gradients: predicted, measured, and beside the "
                          "noise between batches",
                          "gregale bench activations surrogate3d --batch 1 --activation-bits 3", o->common);
  c.option("name", o->network.name, "NAME", "fourcastnet, afno, bert-base-layer, resnet50, surrogate3d or mlp")
      .required();
  add_network_options(c, o->network);
  c.option("--steps", o->steps, "N", "Steps of training, each with batches of its own (default: 5)");
  c.option("--tolerance", o->tolerance, "T", "Error over noise that bits are named for (default: 0.1)");
  return [o] { return run_activations(*o); };
}

}  // namespace gregale::tools
