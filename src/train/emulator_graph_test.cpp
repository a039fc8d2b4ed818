// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/emulator_graph.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gregale/autodiff.hpp"
#include "gregale/train.hpp"
#include "train/data_for_tests.hpp"

namespace gregale::train {
namespace {

using test::TestData;

struct Trial {
  Trial(const TestData& data, const std::vector<std::string>& overrides) {
    data.write(folder / "d.nc");
    config = test::test_config(folder / "d.nc", overrides);
    records = std::make_unique<Records>(data::FieldDataset::open(config.data.path, config.data.variables));
    problem = learn_problem(config, *records);
    weights = loss_weights(config, problem, *records);
    emulator = test::drawn_emulator(problem, config);
  }
  /// Samples `first`, first + 5, ... of the training period.
  Batch batch(int64_t size, int64_t rollout, int64_t first = 20) {
    const auto samples = data::make_samples(records->time(), data::records_in(records->time(), config.data.train),
                                            problem.lead, problem.history, rollout);
    Batch b = Batch::allocate(problem, size, rollout, true);
    for (int64_t i = 0; i < size; ++i) {
      const data::Sample& s = samples[static_cast<size_t>(first + 5 * i)];
      Features(problem, *records).fill(b, i, s.inputs.back(), s.targets, problem.reference());
    }
    return b;
  }
  test::TempFolder folder;
  RunConfig config;
  std::unique_ptr<Records> records;
  Problem problem;
  Tensor weights;
  std::unique_ptr<Emulator::State> emulator;
  ExecutionContext context;
};

/// Loss and gradients of the emulator's parameters, by name.
struct Slope {
  double loss = 0;
  std::map<std::string, Tensor> gradients;
};
Slope slope(Trial& s, const Batch& b, int64_t rollout, bool masked) {
  auto built = loss_graph(s.problem, s.config.model, s.config.loss.name, s.weights, b.stack.extent(0), rollout, masked);
  Graph& g = built->graph;
  std::vector<Value> outputs = gradients(g, built->loss, built->scope->values());
  outputs.insert(outputs.begin(), built->loss);
  g.set_outputs(outputs);
  std::vector<Tensor> inputs = loss_inputs(s.problem, b, masked);
  inputs.push_back(Tensor::from(std::vector<int64_t>{0, 0}, {2}));
  VariableValues state = s.emulator->parameters;
  const std::vector<Tensor> results = compile(g).run(s.context, inputs, &state);
  Slope found{static_cast<double>(results[0].as<float>()[0]), {}};
  for (size_t i = 1; i < results.size(); ++i) found.gradients[built->scope->parameters()[i - 1].name] = results[i];
  return found;
}

double norm(const Slope& s) {
  double square = 0;
  for (const auto& [name, t] : s.gradients)
    for (float v : t.as<float>()) square += static_cast<double>(v) * v;
  return std::sqrt(square);
}

/// Weighted mean square error by the definition, over the whole batch.
double loss_by_hand(const Trial& s, const Tensor& prediction, std::span<const float> truth,
                    std::span<const float> mask) {
  double error = 0, weight = 0;
  const auto size = static_cast<size_t>(s.problem.field_size());
  for (size_t i = 0; i < truth.size(); ++i) {
    const double w = s.weights.as<float>()[i % size] * mask[i];
    error += w * std::pow(prediction.as<float>()[i] - truth[i], 2);
    weight += w;
  }
  return error / weight;
}

/// One step of the emulator in the network's units, inputs of step r of the batch (of one sample).
Tensor one_step(Trial& s, const Batch& b, const Tensor& stack, int64_t r) {
  auto part = [&](const Tensor& t) {
    Extents extents = t.extents();
    const int64_t size = t.size() / extents[1];
    extents.erase(extents.begin() + 1);
    Tensor out(DType::f32, extents);
    std::copy_n(t.as<float>().data() + r * size, size, out.as<float>().data());
    return out;
  };
  std::vector<Tensor> inputs{stack};
  if (!b.windows.empty()) inputs.push_back(part(b.windows));
  if (!b.forcing.empty()) inputs.push_back(part(b.forcing));
  if (!b.base_last.empty()) inputs.push_back(b.base_last);
  if (!b.base_mean.empty()) inputs.push_back(b.base_mean);
  inputs.push_back(Tensor::scalar(1.0F));
  VariableValues parameters = s.emulator->parameters;
  return s.emulator->executable->run(s.context, inputs, &parameters)[0];
}

void expect_rollout_is_steps(const std::vector<std::string>& overrides) {
  Trial s({}, overrides);
  const Problem& p = s.problem;
  const Batch b = s.batch(1, 2);
  const auto size = static_cast<size_t>(p.field_size());
  const auto truth = b.truth.as<float>(), mask = b.mask.as<float>();
  const Tensor first = one_step(s, b, b.stack, 0);
  Tensor moved = b.stack.clone();
  const int64_t shift = std::min(p.lead, p.window());
  auto stack = moved.as<float>();
  for (size_t k = 0; k < static_cast<size_t>(p.window()); ++k)
    for (size_t i = 0; i < size; ++i) {
      const size_t from = k + static_cast<size_t>(shift);
      stack[k * size + i] = k + 1 == static_cast<size_t>(p.window()) ? first.as<float>()[i]
                            : from < static_cast<size_t>(p.window()) ? b.stack.as<float>()[from * size + i]
                                                                     : 0;
    }
  const Tensor second = one_step(s, b, moved, 1);
  const double by_hand = loss_by_hand(s, first, truth.subspan(0, size), mask.subspan(0, size)) +
                         loss_by_hand(s, second, truth.subspan(size), mask.subspan(size));
  const double loss = slope(s, b, 2, false).loss;
  EXPECT_NEAR(loss, by_hand, 1e-4 * by_hand);

  // The same two steps as a forecast.
  const Tensor fields =
      roll_out(*s.emulator, s.context, *s.records,
               data::make_samples(s.records->time(), data::records_in(s.records->time(), s.config.data.train), p.lead,
                                  p.history, 2)[20]
                   .inputs.back(),
               2);
  std::vector<float> last(second.as<float>().begin(), second.as<float>().end());
  const int64_t init = data::make_samples(s.records->time(), data::records_in(s.records->time(), s.config.data.train),
                                          p.lead, p.history, 2)[20]
                           .inputs.back();
  Features(p, *s.records)
      .restore(last.data(), s.records->time().advance(s.records->time().seconds(init), 2 * p.lead), p.reference());
  EXPECT_LT(test::largest_difference(fields.as<float>().subspan(2 * size), last), 1e-4);
}

TEST(LossGraph, ARolloutIsItsSteps) {
  expect_rollout_is_steps({});
  expect_rollout_is_steps(
      {"model.target={residual: recentred}", "data.means=[3]", "data.time_features=[season]", "model.head=gated"});
  expect_rollout_is_steps({"model.target={residual: damped_local}", "data.history=3", "loss.weighting=residual"});
  expect_rollout_is_steps({"model.target={residual: persistence}", "data.means=[4]", "data.lead=2"});
  expect_rollout_is_steps({"model.target={residual: persistence}", "data.means=[2]", "data.lead=3"});
}

TEST(LossGraph, GradientGoesThroughBothSteps) {
  Trial s({}, {"model.target={residual: damped_global}", "data.means=[3]", "data.train=[1980, 1983]"});
  const Batch b = s.batch(2, 2);
  const Slope whole = slope(s, b, 2, false);
  // Against differences of the loss, parameter by parameter along its own gradient.
  double stopped_differs = 0;
  for (const auto& [name, gradient_of] : whole.gradients) {
    double square = 0;
    for (float v : gradient_of.as<float>()) square += static_cast<double>(v) * v;
    if (square < 1e-6) continue;
    const Tensor kept = s.emulator->parameters.at(name);
    const double h = 2e-3 / std::sqrt(square);
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      Tensor moved = kept.clone();
      for (int64_t i = 0; i < moved.size(); ++i)
        moved.as<float>()[static_cast<size_t>(i)] +=
            static_cast<float>((side ? h : -h) * gradient_of.as<float>()[static_cast<size_t>(i)]);
      s.emulator->parameters[name] = moved;
      loss[side] = slope(s, b, 2, false).loss;
    }
    s.emulator->parameters[name] = kept;
    EXPECT_NEAR((loss[1] - loss[0]) / (2 * h) / square, 1, 0.03) << name;
    stopped_differs += square;
  }
  EXPECT_GT(stopped_differs, 1e-4);

  // With the path from the first forecast into the second step cut, the gradient is the sum of those of two steps that
  // are handed their inputs: something else.
  Batch one = s.batch(2, 1);
  const Slope first = slope(s, one, 1, false);
  Batch second = s.batch(2, 1);
  const auto size = static_cast<size_t>(s.problem.field_size());
  const auto window = static_cast<size_t>(s.problem.window()), means = s.problem.mean_lengths().size();
  Batch single = Batch::allocate(s.problem, 1, 2, true);
  for (size_t i = 0; i < 2; ++i) {
    const auto stack_in = b.stack.as<float>().subspan(i * window * size, window * size);
    std::copy(stack_in.begin(), stack_in.end(), single.stack.as<float>().begin());
    const auto windows_in = b.windows.as<float>().subspan(i * 2 * means * window, 2 * means * window);
    std::copy(windows_in.begin(), windows_in.end(), single.windows.as<float>().begin());
    const auto base_in = b.base_last.as<float>().subspan(i * size, size);
    std::copy(base_in.begin(), base_in.end(), single.base_last.as<float>().begin());
    const Tensor forecast = one_step(s, single, single.stack, 0);
    auto stack_out = second.stack.as<float>().subspan(i * window * size, window * size);
    std::copy(stack_in.begin() + static_cast<std::ptrdiff_t>(size), stack_in.end(), stack_out.begin());
    std::copy(forecast.as<float>().begin(), forecast.as<float>().end(),
              stack_out.end() - static_cast<std::ptrdiff_t>(size));
    std::copy_n(windows_in.begin() + static_cast<std::ptrdiff_t>(means * window), means * window,
                second.windows.as<float>().begin() + static_cast<std::ptrdiff_t>(i * means * window));
    std::copy_n(b.truth.as<float>().begin() + static_cast<std::ptrdiff_t>((2 * i + 1) * size), size,
                second.truth.as<float>().begin() + static_cast<std::ptrdiff_t>(i * size));
  }
  const Slope cut = slope(s, second, 1, false);
  EXPECT_NEAR(first.loss + cut.loss, whole.loss, 1e-4 * whole.loss);
  double difference = 0;
  for (const auto& [name, t] : whole.gradients)
    for (size_t i = 0; i < t.as<float>().size(); ++i)
      difference += std::pow(
          t.as<float>()[i] - first.gradients.at(name).as<float>()[i] - cut.gradients.at(name).as<float>()[i], 2);
  EXPECT_GT(std::sqrt(difference), 0.02 * norm(whole));
}

TEST(LossGraph, MaskedPointsCountForNothing) {
  for (const std::string loss : {"mse", "mae", "relative_l2"}) {
    Trial s({}, {"loss.name=" + loss, "model.target={residual: damped_global}"});
    Batch b = s.batch(2, 2);
    for (size_t i = 0; i < b.mask.as<float>().size(); i += 3) b.mask.as<float>()[i] = 0;
    const Slope before = slope(s, b, 2, true);
    for (size_t i = 0; i < b.mask.as<float>().size(); i += 3) b.truth.as<float>()[i] = 1e4F + static_cast<float>(i);
    const Slope after = slope(s, b, 2, true);
    EXPECT_EQ(before.loss, after.loss) << loss;
    for (const auto& [name, t] : before.gradients)
      EXPECT_TRUE(t.identical(after.gradients.at(name))) << loss << " " << name;
    EXPECT_GT(norm(before), 1e-4);
    b.truth.as<float>()[1] += 1;
    EXPECT_NE(slope(s, b, 2, true).loss, after.loss);
    // A mask of ones is no mask.
    std::fill(b.mask.as<float>().begin(), b.mask.as<float>().end(), 1.0F);
    const double plain = slope(s, b, 2, false).loss;
    EXPECT_NEAR(slope(s, b, 2, true).loss, plain, 1e-5 * plain);
  }
}

/// Forecast of the untrained emulator, as training starts from it, beside the baseline alone.
void expect_starts_at_baseline(const TestData& data, const std::vector<std::string>& overrides) {
  Trial s(data, overrides);
  auto built = loss_graph(s.problem, s.config.model, "mse", s.weights, 2, 1, false);
  s.emulator->parameters = built->scope->initial_values(5);
  const Tensor fields = roll_out(*s.emulator, s.context, *s.records, 30, 2, 1),
               baseline = roll_out(*s.emulator, s.context, *s.records, 30, 2, 0);
  EXPECT_TRUE(fields.identical(baseline)) << overrides.front();
  // It can learn: what the last layer adds to has a slope. Maps have one at every point.
  const Slope start = slope(s, s.batch(2, 1), 1, false);
  EXPECT_GT(norm(start), 1e-5);
  if (s.config.model.head != "gated") return;
  const Tensor& maps = start.gradients.at("maps");
  EXPECT_EQ(maps.extents(),
            (Extents{2 * (1 + static_cast<int64_t>(s.problem.means.size())), s.problem.rows(), s.problem.columns()}));
  int64_t moving = 0;
  for (float v : maps.as<float>()) moving += v != 0;
  EXPECT_GT(moving, maps.size() * 9 / 10);
}

TEST(ForecastGraph, CorrectionsStartAtTheBaseline) {
  for (const std::string model :
       {"model={name: mlp, width: 4, depth: 1}", "model={name: afno, width: 4, depth: 1, patch: 5, blocks: 2}"}) {
    expect_starts_at_baseline(
        {}, {model, "model.head=gated", "model.target={residual: damped_global}", "data.means=[3, 12]"});
    expect_starts_at_baseline({}, {model, "model.head=gated", "model.target=anomaly"});
    expect_starts_at_baseline({}, {model, "model.target={residual: recentred}"});
  }
}

TEST(ForecastGraph, PadsToWholePatches) {
  // 8 x 12 with patches of 5; a region that does not go round; 73 rows with poles; every forecast is finite.
  TestData region;
  region.latitudes = test::steps(30, 2.5, 7);
  region.longitudes = test::steps(-20, 2.5, 9);
  TestData poles;
  poles.latitudes = test::steps(-90, 2.5, 73);
  poles.longitudes = test::steps(20, 30, 12);
  poles.times = test::steps(0, 1, 60);
  TestData north_first;
  north_first.latitudes = test::steps(80, -20, 9);
  struct Named {
    const TestData* data;
    int64_t patch;
  };
  const TestData plain;
  for (const Named& n : {Named{&plain, 5}, Named{&region, 4}, Named{&poles, 4}, Named{&north_first, 4}}) {
    Trial s(
        *n.data,
        {fmt::format("model={{name: afno, width: 4, depth: 1, patch: {}, blocks: 2, sparsity_threshold: 0}}", n.patch),
         "model.target={residual: damped_global}", "data.train=[1980, 1982]", "data.validation=[1983, 1983]",
         "data.test=[1984, 1984]"});
    const Problem& p = s.problem;
    EXPECT_EQ(s.emulator->graph.type(s.emulator->graph.outputs()[0]), Type(DType::f32, {1, 2, p.rows(), p.columns()}));
    const Tensor fields = roll_out(*s.emulator, s.context, *s.records, 30, 2);
    for (float v : fields.as<float>()) ASSERT_TRUE(std::isfinite(v));
    // The compiled graph is the interpreted one.
    const Batch b = s.batch(1, 1);
    std::vector<Tensor> inputs{b.stack, b.base_last, Tensor::scalar(1.0F)};
    VariableValues parameters = s.emulator->parameters;
    const Tensor oracle = interpret(s.emulator->graph, inputs, &parameters)[0];
    EXPECT_LT(test::largest_difference(oracle.as<float>(), one_step(s, b, b.stack, 0).as<float>()), 1e-4);
  }
}

TEST(ForecastGraph, NamesWhatItCannotBuild) {
  Trial s({}, {});
  s.config.model.name = "unet";
  EXPECT_EQ(test::code_of([&] { forecast_graph(s.problem, s.config.model, 1); }), ErrorCode::usage);
}

}  // namespace
}  // namespace gregale::train
