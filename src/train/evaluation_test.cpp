// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/evaluation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/data_for_tests.hpp"
#include "train/validation.hpp"

namespace gregale::train {
namespace {

using test::TestData;
using testing::ElementsAre;

struct Evaluated {
  explicit Evaluated(const TestData& data, std::vector<std::string> overrides = {}) {
    data.write(folder / "d.nc");
    overrides.emplace_back("model.target={residual: damped_local}");
    config = test::test_config(folder / "d.nc", overrides);
    records = std::make_unique<Records>(data::FieldDataset::open(config.data.path, config.data.variables));
    problem = learn_problem(config, *records);
    emulator = test::drawn_emulator(problem, config);
  }
  test::TempFolder folder;
  RunConfig config;
  std::unique_ptr<Records> records;
  Problem problem;
  std::unique_ptr<Emulator::State> emulator;
  ExecutionContext context;
};

TestData with_gaps() {
  TestData data;
  data.times.clear();
  for (int t = 0; t < 72; ++t)
    if (t != 10 && t != 49 && t != 50) data.times.push_back(t);
  return data;
}

TEST(Timeline, LaysRecordsOutByTime) {
  const Evaluated s(with_gaps(), {"data.train=[1981, 1983]"});
  const Timeline t = make_timeline(s.problem, *s.records);
  ASSERT_EQ(t.fields.extent(0), 72);
  const auto size = static_cast<size_t>(s.problem.field_size());
  std::vector<float> field(size);
  int64_t record = 0;
  for (size_t i = 0; i < 72; ++i) {
    EXPECT_EQ(t.phase[i], static_cast<int64_t>(i % 12));
    EXPECT_EQ(t.month[i], static_cast<int>(i % 12));
    const auto values = t.fields.as<float>().subspan(i * size, size);
    if (i == 10 || i == 49 || i == 50) {
      EXPECT_EQ(t.record[i], -1);
      for (float v : values) ASSERT_TRUE(std::isnan(v));
    } else {
      EXPECT_EQ(t.record[i], record);
      EXPECT_EQ(t.position_of(record), static_cast<int64_t>(i));
      s.records->copy(record++, field.data());
      ASSERT_EQ(test::largest_difference(values, field), 0);
    }
  }
  EXPECT_EQ(t.training_start, 12);
}

TEST(InitsFor, NeedTheirHistory) {
  const Evaluated s(with_gaps(), {"data.history=2"});
  const grid::TimeAxis& time = s.records->time();
  const auto targets = data::records_in(time, s.config.data.validation);  // steps 48, 51 ... 59: records 47, 48 ...
  ASSERT_EQ(targets.size(), 10U);
  EXPECT_THAT(inits_for(s.problem, time, targets, 1), ElementsAre(46, 49, 50, 51, 52, 53, 54, 55))
      << "51 has no record before it, 52 would start from one whose history is missing";
  EXPECT_THAT(inits_for(s.problem, time, targets, 3), ElementsAre(44, 47, 49, 50, 51, 52, 53));
}

TEST(MakeCase, TruthAndBaselinesAreOfTheTarget) {
  const Evaluated s({}, {"data.lead=2"});
  const Timeline t = make_timeline(s.problem, *s.records);
  const std::vector<int64_t> inits{30, 47, 55};
  for (int64_t step : {1, 2, 7}) {
    const score::LeadCase c = make_case(s.problem, t, inits, step, kScoredBaselines);
    EXPECT_EQ(c.lead, step);
    EXPECT_EQ(c.baselines.size(), step <= kFittedLeads ? 5U : 2U) << "damping is fitted for some leads";
    const auto size = static_cast<size_t>(s.problem.field_size());
    std::vector<float> truth(size), start(size);
    if (step == 7) continue;
    for (size_t i = 0; i < inits.size(); ++i) {
      s.records->copy(inits[i] + 2 * step, truth.data());
      s.records->copy(inits[i], start.data());
      EXPECT_EQ(test::largest_difference(c.truth.as<float>().subspan(i * size, size), truth), 0);
      EXPECT_EQ(test::largest_difference(
                    score::find_named(c.baselines, "persistence")->as<float>().subspan(i * size, size), start),
                0);
      EXPECT_EQ(c.month[i], (inits[i] + 2 * step) % 12);
      EXPECT_EQ(test::largest_difference(c.climatology.as<float>().subspan(i * size, size),
                                         s.problem.baselines.climatology_at((inits[i] + 2 * step) % 12).as<float>()),
                0);
    }
  }
}

TEST(MakeCase, StartsBeforeTheTrainingPeriodToo) {
  const Evaluated s({}, {"data.train=[1982, 1985]", "data.validation=[1980-02, 1982-01]", "data.test=[1981, 1981]"});
  const Timeline t = make_timeline(s.problem, *s.records);
  ASSERT_EQ(t.training_start, 24);
  const std::vector<int64_t> inits{0, 20, 24, 30};
  const score::LeadCase c = make_case(s.problem, t, inits, 1, kScoredBaselines);
  const auto size = static_cast<size_t>(s.problem.field_size());
  ASSERT_EQ(c.truth.extent(0), 4);
  EXPECT_THAT(c.month, ElementsAre(1, 9, 1, 7));
  for (size_t i = 0; i < inits.size(); ++i) {  // each as in a case of its own
    const score::LeadCase alone = make_case(s.problem, t, std::span(inits).subspan(i, 1), 1, kScoredBaselines);
    for (size_t b = 0; b < 5; ++b)
      EXPECT_EQ(test::largest_difference(c.baselines[b].second.as<float>().subspan(i * size, size),
                                         alone.baselines[b].second.as<float>()),
                0);
    EXPECT_EQ(test::largest_difference(c.truth.as<float>().subspan(i * size, size), alone.truth.as<float>()), 0);
    // The emulator's own baseline is this one.
    const Tensor fields = roll_out(*s.emulator, const_cast<ExecutionContext&>(s.context), *s.records, inits[i], 1, 0);
    EXPECT_LT(test::largest_difference(fields.as<float>().subspan(size),
                                       score::find_named(alone.baselines, "damped_local")->as<float>()),
              1e-4);
  }
}

TEST(ForecastCases, AreRollouts) {
  Evaluated s({});
  const std::vector<int64_t> inits{40, 41}, leads{1, 3};
  const auto cases = forecast_cases(*s.emulator, s.context, *s.records, inits, leads);
  ASSERT_EQ(cases.size(), 2U);
  const auto size = static_cast<size_t>(s.problem.field_size());
  for (size_t i = 0; i < 2; ++i) {
    const Tensor fields = roll_out(*s.emulator, s.context, *s.records, inits[i], 3);
    for (int64_t lead : leads)
      EXPECT_EQ(test::largest_difference(cases.at(lead).as<float>().subspan(i * size, size),
                                         fields.as<float>().subspan(static_cast<size_t>(lead) * size, size)),
                0);
  }
}

TEST(Validator, ScoresLikeTheScorecard) {
  for (const TestData& data : {TestData{}, with_gaps()}) {
    Evaluated s(data);
    Validator validator(s.problem, s.config, *s.records);
    const Timeline t = make_timeline(s.problem, *s.records);
    const auto inits =
        inits_for(s.problem, s.records->time(), data::records_in(s.records->time(), s.config.data.validation), 1);
    score::ScoreRequest request;
    request.variables = s.problem.variable_names();
    request.latitudes = s.problem.grid.latitudes();
    request.row_weights = s.problem.grid.row_weights();
    request.cases = {make_case(s.problem, t, inits, 1, kScoredBaselines)};
    const int64_t one = 1;
    request.cases[0].forecast = forecast_cases(*s.emulator, s.context, *s.records, inits, {&one, 1}).at(1);
    const score::Scorecard card = score::make_scorecard(request);
    const ValidationPoint point = validator.measure(s.context, s.emulator->parameters);
    double ratio = 0;
    for (const std::string& v : s.problem.variable_names()) {
      const score::VariableScore& at = card.at(v, 1);
      ASSERT_EQ(at.baselines.size(), 5U);
      for (const auto& [name, scored] : at.baselines)
        EXPECT_NEAR(validator.baselines().at(name).at(v), scored.global.rmse, 1e-9) << name;
      EXPECT_NEAR(point.rmse.at(v), at.model.global.rmse, 1e-9);
      ratio += point.rmse.at(v) / validator.baselines().at("climatology").at(v) / 2;
    }
    EXPECT_NEAR(point.mean_ratio, ratio, 1e-12);
  }
}

TEST(Validator, NeedsAForecastToScore) {
  TestData data;
  data.times = test::steps(0, 1, 72);
  Evaluated s(data, {"data.history=13"});
  s.config.data.validation = {"1980-05", "1980-07"};
  EXPECT_EQ(test::code_of([&] { Validator(s.problem, s.config, *s.records); }), ErrorCode::usage);
}

}  // namespace
}  // namespace gregale::train
