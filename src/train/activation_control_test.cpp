// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/activation_control.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/train.hpp"

namespace gregale::train {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();

passes::KeepPlan::Value value(int64_t elements) { return {"add f32", elements, 4 * elements, 0, 0}; }

ActivationErrors errors_of(std::vector<int64_t> elements, std::vector<std::vector<double>> variance,
                           std::vector<double> limit) {
  ActivationErrors e;
  for (const int64_t n : elements) e.values.push_back(value(n));
  e.variance = std::move(variance);
  e.limit = std::move(limit);
  e.gradients.resize(e.limit.size());
  return e;
}

int64_t bytes_of(const ActivationErrors& e, const std::vector<int>& bits) {
  int64_t sum = 0;
  for (size_t v = 0; v < bits.size(); ++v) sum += bytes_in(e.values[v], bits[v]);
  return sum;
}

bool holds(const ActivationErrors& e, const std::vector<int>& bits, double looser = 1) {
  for (size_t g = 0; g < e.limit.size(); ++g)
    if (e.variance_of(g, bits) > looser * e.limit[g]) return false;
  return true;
}

TEST(AllocateBits, FollowsTheStepOfTheBits) {
  // One value, whose variance in 4 bits is the limit times a factor: a bit more halves the step, nearly.
  const auto bits_at = [](double factor) { return allocate_bits(errors_of({1 << 16}, {{factor}}, {1.0}))[0]; };
  EXPECT_EQ(bits_at(1), 4);
  EXPECT_EQ(bits_at(1.01), 5);
  EXPECT_EQ(bits_at(0.999 * std::pow(31.0 / 15, 2)), 5);
  EXPECT_EQ(bits_at(1.001 * std::pow(31.0 / 15, 2)), 6);
  EXPECT_EQ(bits_at(0.999 * std::pow(1.0 / 15, 2)), 1);
  EXPECT_EQ(bits_at(0.999 * std::pow(255.0 / 15, 2)), 8);
  EXPECT_EQ(bits_at(2 * std::pow(255.0 / 15, 2)), kBitsOfBf16);
  EXPECT_EQ(bits_at(1e9), kBitsWhole);
  EXPECT_EQ(allocate_bits(errors_of({1 << 16}, {{1e9}}, {kNone}))[0], 1) << "of nothing that has a limit";
  EXPECT_EQ(allocate_bits(errors_of({1 << 16}, {{0}}, {1.0}))[0], 3) << "what nothing tells of";
}

TEST(AllocateBits, KeepsEveryLimitInFewBytes) {
  for (uint32_t trial = 0; trial < 40; ++trial) {
    const RandomKey key{9, trial, 0};
    uint64_t at = 0;
    std::vector<int64_t> elements;
    std::vector<std::vector<double>> variance;
    for (int v = 0; v < 4; ++v) {
      elements.push_back(int64_t{1} << (14 + random_below(key, at++, 5)));
      variance.emplace_back();
      for (int g = 0; g < 3; ++g)
        variance.back().push_back(random_below(key, at++, 4) == 0 ? 0 : std::exp(6 * random_normal(key, at++)));
    }
    const ActivationErrors e = errors_of(elements, variance, {1.0, 10.0, 1e-2});
    const std::vector<int> bits = allocate_bits(e);
    EXPECT_TRUE(holds(e, bits));
    EXPECT_EQ(bits, allocate_bits(e));
    // Not far from the best of all choices, but for values nothing is known of.
    int64_t least = INT64_MAX;
    const std::vector<int> choices{1, 2, 3, 4, 5, 6, 7, 8, kBitsOfBf16, kBitsWhole};
    std::vector<int> tried(4);
    for (size_t i = 0; i < 10000; ++i) {
      size_t rest = i;
      for (int& b : tried) {
        b = choices[rest % 10];
        rest /= 10;
      }
      bool fair = true;
      for (size_t v = 0; v < 4; ++v)
        if (std::accumulate(variance[v].begin(), variance[v].end(), 0.0) == 0) fair = fair && tried[v] == bits[v];
      if (fair && holds(e, tried)) least = std::min(least, bytes_of(e, tried));
    }
    EXPECT_LE(bytes_of(e, bits), 1.25 * static_cast<double>(least)) << trial;
    // Looser limits take no more.
    const std::vector<int> loose = allocate_bits(e, 16);
    EXPECT_TRUE(holds(e, loose, 16));
    EXPECT_LE(bytes_of(e, loose), bytes_of(e, bits));
  }
}

/// A network on random data, its loss graph and a trained-ish state.
struct Fit {
  Graph graph{"fit"};
  std::unique_ptr<nn::Scope> scope;
  Value loss;
  VariableValues state;

  Fit() {
    const Value x = graph.add_input("x", Type(DType::f32, Shape{512, 128})),
                y = graph.add_input("y", Type(DType::f32, Shape{1024, 8}));
    scope = std::make_unique<nn::Scope>(graph);
    Value h = ops::reshape(graph, x, Extents{1024, 64});  // a view that is kept itself
    for (int layer = 0; layer < 3; ++layer) {
      h = ops::gelu(
          graph,
          ops::matmul(graph, h, scope->parameter("w" + std::to_string(layer), {64, 64}, nn::Initialiser::normal(0.2))));
    }
    h = ops::matmul(graph, h, scope->parameter("out", {64, 8}, nn::Initialiser::normal(0.2)));
    loss = nn::mse_loss(graph, h, y);
    state = scope->initial_values(3);
  }
  static std::vector<Tensor> batch(int64_t number) {
    std::vector<Tensor> inputs{Tensor(DType::f32, {512, 128}), Tensor(DType::f32, {1024, 8})};
    for (uint32_t i = 0; i < 2; ++i)
      for (size_t k = 0; k < static_cast<size_t>(inputs[i].size()); ++k)
        inputs[i].as<float>()[k] = random_normal({8, static_cast<uint32_t>(number), i}, k);
    return inputs;
  }
  ActivationChoice choose(ActivationOptions options, int threads = 1) {
    StepOptions step;
    step.compile = options.compile;
    ExecutionContext context(make_thread_team(threads));
    return choose_activation_bits(graph, *scope, loss, training_graph(graph, *scope, loss, step), options, context,
                                  state, batch);
  }
};

TEST(ActivationControl, KeepsErrorsWithinTheToleranceMeasuredAndForeseen) {
  Fit fit;
  int64_t before = 0;
  double last = INFINITY;
  for (const double tolerance : {0.5, 0.1, 0.02}) {
    ActivationOptions o;
    o.tolerance = tolerance;
    const ActivationChoice choice = fit.choose(o);
    ASSERT_EQ(choice.bits.size(), choice.errors.values.size());
    ASSERT_GE(choice.bits.size(), 6U);
    const double predicted = choice.report.at("predicted_error"), measured = choice.report.at("measured_error");
    EXPECT_LE(predicted, tolerance * 1.0001);
    EXPECT_GT(predicted, 0.3 * tolerance) << "bits are not used";
    EXPECT_LE(measured, 1.3 * tolerance);
    EXPECT_LT(measured, last);
    last = measured;
    const int64_t kept = choice.report.at("kept_bytes");
    EXPECT_GT(kept, before);
    before = kept;
    EXPECT_LT(2 * kept, choice.report.at("whole_bytes").get<int64_t>());
    // Classes add up to the whole, and each was measured alone.
    double sum = 0;
    int64_t bytes = 0;
    for (const nlohmann::json& t : choice.report.at("tensors")) {
      const double p = t.at("predicted_error"), m = t.at("measured_error");
      const std::vector<int> bits = t.at("bits");
      if (*std::max_element(bits.begin(), bits.end()) < 7) {  // 8 are the base
        EXPECT_NEAR(m, p, 0.4 * p) << t.dump();
      }
      sum += p * p;
      bytes += t.at("kept_bytes").get<int64_t>();
      EXPECT_GT(t.at("quantize_seconds").get<double>(), 0) << t.dump();
      EXPECT_GT(t.at("dequantize_seconds").get<double>(), 0) << t.dump();
    }
    EXPECT_EQ(bytes, kept);
    EXPECT_GE(std::sqrt(sum), predicted * 0.999);
    EXPECT_EQ(choice.lines.size(), 1 + choice.report.at("tensors").size());

    // What was chosen fits the step it was chosen for, and keeps that many bytes.
    StepOptions step;
    step.compile.loss = 0;
    step.compile.keep = Keep::compressed;
    step.compile.kept_bits = choice.bits;
    EXPECT_NO_THROW(TrainingStep(fit.graph, *fit.scope, fit.loss, step));
  }
}

TEST(ActivationControl, ChoosesTheSameAgainOnAnyNumberOfThreads) {
  Fit fit;
  const ActivationOptions o;
  const VariableValues before = fit.state;
  const ActivationChoice first = fit.choose(o), second = fit.choose(o, 2);
  EXPECT_EQ(first.bits, second.bits);
  EXPECT_EQ(first.errors.variance, second.errors.variance);
  EXPECT_EQ(first.errors.noise, second.errors.noise);
  for (const auto& [name, t] : before) EXPECT_TRUE(t.identical(fit.state.at(name))) << "measuring changed " << name;
}

TEST(ActivationControl, MeasuresWhatTheFormulaDoesNotCover) {
  Fit fit;
  ActivationOptions o;
  o.of_size = true;
  const ActivationChoice choice = fit.choose(o);
  const auto covered =
      static_cast<size_t>(std::count(choice.errors.by_formula.begin(), choice.errors.by_formula.end(), true));
  EXPECT_GE(covered, 3U);
  EXPECT_LT(covered, choice.bits.size());
  for (size_t v = 0; v < choice.bits.size(); ++v) {
    int felt = 0;
    for (const double variance : choice.errors.variance[v]) felt += variance > 0 ? 1 : 0;
    EXPECT_GE(felt, 1) << v;
    if (!choice.errors.by_formula[v]) continue;
    EXPECT_EQ(felt, 1) << "an operand of one product, " << v;
  }
  // Of the size: of every gradient with a limit.
  for (size_t g = 0; g < choice.errors.gradients.size(); ++g)
    EXPECT_NEAR(choice.errors.limit[g], 0.01 * choice.errors.size[g], 1e-12 + 1e-9 * choice.errors.size[g]);
}

TEST(ActivationControl, TakesBitsAwayWhereMemoryIsShort) {
  Fit fit;
  ActivationOptions o;
  o.tolerance = 0.02;
  const ActivationChoice ample = fit.choose(o);
  const int64_t wanted = ample.report.at("kept_bytes");
  const auto& values = ample.errors.values;
  o.fits = [&](const std::vector<int>& bits) {
    int64_t sum = 0;
    for (size_t v = 0; v < bits.size(); ++v) sum += bytes_in(values[v], bits[v]);
    return sum <= wanted / 2;
  };
  const ActivationChoice few = fit.choose(o);
  EXPECT_EQ(ample.looser, 1);
  EXPECT_GT(few.looser, 1);
  EXPECT_LE(few.report.at("kept_bytes").get<int64_t>(), wanted / 2);
  EXPECT_GT(few.report.at("measured_error").get<double>(), o.tolerance);
  EXPECT_LE(few.report.at("measured_error").get<double>(), 1.3 * few.looser * o.tolerance);
  EXPECT_NE(few.lines.back().find("memory does not hold"), std::string::npos) << few.lines.back();
  o.fits = [](const std::vector<int>&) { return false; };
  const ActivationChoice least = fit.choose(o);
  EXPECT_EQ(least.bits, std::vector<int>(least.bits.size(), 1));
}

TEST(ActivationControl, RefusesWhatDoesNotFit) {
  Fit fit;
  ActivationOptions o;
  o.compile.target.memory_budget = 300000;
  EXPECT_THROW(fit.choose(o), BudgetError);
}

}  // namespace
}  // namespace gregale::train
