// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/autodiff.hpp"
#include "gregale/train.hpp"
#include "passes/compiled_case_for_tests.hpp"

// Training in bf16: as good as in fp32, and without a scale for the loss.
namespace gregale {
namespace {

using passes::values;

/// Each position of a sequence of four-component vectors is to know how far its first component is from the sequence's
/// mean, and the product of the other three: one needs attention, the other the perceptron.
constexpr int64_t kBatch = 16, kLength = 12, kFeatures = 4, kWidth = 32;

struct Sequences {
  Tensor x{DType::f32, {kBatch, kLength, kFeatures}}, y{DType::f32, {kBatch, kLength, 1}};
  explicit Sequences(uint32_t step) {
    x = values({kBatch, kLength, kFeatures}, 1000 + step, 1.7);
    const auto in = x.as<float>();
    const auto out = y.as<float>();
    for (size_t b = 0; b < kBatch; ++b) {
      float mean = 0;
      const auto at = [&](size_t l, size_t f) { return in[(b * kLength + l) * kFeatures + f]; };
      for (size_t l = 0; l < kLength; ++l) mean += at(l, 0) / static_cast<float>(kLength);
      for (size_t l = 0; l < kLength; ++l) out[b * kLength + l] = at(l, 0) - mean + at(l, 1) * at(l, 2) * at(l, 3);
    }
  }
};

TrainingStep transformer(Precision precision) {
  Graph g("transformer");
  const Value x = g.add_input("x", Type(DType::f32, {kBatch, kLength, kFeatures}));
  const Value y = g.add_input("y", Type(DType::f32, {kBatch, kLength, 1}));
  nn::Scope scope(g);
  const auto wide = nn::Initialiser::truncated_normal(0.3);
  Value h = nn::linear(scope, "embed", x, kWidth, true, wide);
  for (const char* name : {"first", "second"}) h = nn::bert_layer(scope, name, h, {.heads = 4, .hidden = 64});
  const Value loss = nn::mse_loss(g, nn::linear(scope, "head", h, 1, true, wide), y);
  StepOptions options;
  options.optimizer.learning_rate = 3e-3;
  options.compile.precision = precision;
  return TrainingStep(std::move(g), scope, loss, options);
}

/// The mean loss of the last steps.
double final_loss(TrainingStep& step, uint64_t seed) {
  constexpr uint32_t kSteps = 300, kLast = 50;
  ExecutionContext context(make_thread_team(1));
  VariableValues state = step.initial_state(seed);
  double sum = 0;
  for (uint32_t i = 0; i < kSteps; ++i) {
    const Sequences batch(i + kSteps * static_cast<uint32_t>(seed));
    const double loss = step.run(context, {batch.x, batch.y}, state).loss;
    if (i >= kSteps - kLast) sum += loss / kLast;
  }
  return sum;
}

// The margin was chosen before the first run: half the interval of the fp32 runs' five seeds, on either side.
TEST(Bf16Training, EndsWhereFp32Does) {
  constexpr uint64_t kSeeds = 5;
  constexpr double kMargin = 0.5;
  TrainingStep fp32 = transformer(Precision::fp32), bf16 = transformer(Precision::bf16);
  std::vector<double> wide, narrow;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    wide.push_back(final_loss(fp32, seed));
    narrow.push_back(final_loss(bf16, seed));
  }
  const auto [low, high] = std::minmax_element(wide.begin(), wide.end());
  const double margin = kMargin * (*high - *low);
  double mean = 0;
  for (const double loss : narrow) mean += loss / kSeeds;
  EXPECT_GE(mean, *low - margin);
  EXPECT_LE(mean, *high + margin);
  EXPECT_LT(*high, 1.0) << "and they learn: the targets' variance is 1.9";
  RecordProperty("fp32", fmt::format("{} to {}", *low, *high));
  RecordProperty("bf16", fmt::format("{}", mean));
  std::printf("fp32 %g to %g, bf16 %g on average\n", *low, *high, mean);
}

// bf16 has the exponents of fp32, so gradients far smaller than a usual loss gives keep all their bits: scaling the
// loss by a power of two scales them by it exactly.
TEST(Bf16Training, NeedsNoLossScaling) {
  const auto gradients_of = [](double scale) {
    Graph g("scaled");
    const Value x = g.add_input("x", Type(DType::f32, {kBatch, kLength, kWidth}));
    nn::Scope scope(g);
    const Value y = nn::bert_layer(scope, "layer", x, {.heads = 4, .hidden = 64});
    const Value truth = g.constant(values({kBatch, kLength, kWidth}, 2));
    const Value loss = ops::mul(g, nn::mse_loss(g, y, truth), scale);
    std::vector<Value> outputs = gradients(g, loss, scope.values());
    outputs.insert(outputs.begin(), loss);
    g.set_outputs(outputs);
    CompileOptions options;
    options.precision = Precision::bf16;
    options.loss = 0;
    VariableValues state = scope.initial_values(1);
    ExecutionContext context(make_thread_team(1));
    return compile(g, options).run(context, {values({kBatch, kLength, kWidth}, 1)}, &state);
  };
  constexpr double kScale = 0x1p-60;
  const std::vector<Tensor> usual = gradients_of(1), tiny = gradients_of(kScale);
  for (size_t i = 0; i < usual.size(); ++i) {
    int64_t wrong = 0;
    for (size_t k = 0; k < usual[i].as<float>().size(); ++k)
      wrong += tiny[i].as<float>()[k] != static_cast<float>(kScale * static_cast<double>(usual[i].as<float>()[k]));
    EXPECT_EQ(wrong, 0) << "of " << usual[i].size() << " elements of result " << i;
  }
}

}  // namespace
}  // namespace gregale
