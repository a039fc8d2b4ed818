// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/features.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numbers>

#include "grid/insolation.hpp"
#include "train/data_for_tests.hpp"

namespace gregale::train {
namespace {

using test::TestData;
using testing::ElementsAre;

testing::Matcher<double> Near(double value) { return testing::DoubleNear(value, 1e-5); }

/// A state is its own step number: U = step, V = 1000 + step, everywhere.
TestData counting(std::vector<double> times = test::steps(0, 1, 72)) {
  TestData data;
  data.times = std::move(times);
  data.value = [](int64_t t, int64_t v, int64_t, int64_t) { return static_cast<double>(1000 * v + t); };
  return data;
}

struct Case {
  Case(const TestData& data, std::vector<std::string> overrides) {
    data.write(folder / "d.nc");
    overrides.emplace_back("model.target=state");
    config = test::test_config(folder / "d.nc", overrides);
    records = std::make_unique<Records>(data::FieldDataset::open(config.data.path, config.data.variables));
    problem = learn_problem(config, *records);
    // Plain numbers, so that values can be read off.
    for (size_t v = 0; v < 2; ++v) {
      problem.center.as<double>()[v] = 0;
      problem.scale.as<double>()[v] = 1;
    }
  }
  Batch fill(int64_t init, std::vector<int64_t> targets, int64_t rollout = 1) {
    Batch batch = Batch::allocate(problem, 2, rollout, !targets.empty());
    Features(problem, *records).fill(batch, 1, init, targets, problem.reference());
    return batch;
  }
  /// Channel means as the graph forms them: of U at the first cell, each mean at step r.
  std::vector<double> means(const Batch& b, int64_t r = 0) const {
    const int64_t window = problem.window(), count = static_cast<int64_t>(problem.mean_lengths().size());
    const int64_t rollout = b.windows.extent(1);
    std::vector<double> result;
    for (int64_t m = 0; m < count; ++m) {
      double sum = 0;
      for (int64_t k = 0; k < window; ++k)
        sum +=
            static_cast<double>(b.windows.as<float>()[static_cast<size_t>(((rollout + r) * count + m) * window + k)]) *
            stack(b, k);
      result.push_back(sum);
    }
    return result;
  }
  double stack(const Batch& b, int64_t k) const {
    return b.stack.as<float>()[static_cast<size_t>((problem.window() + k) * problem.field_size())];
  }
  test::TempFolder folder;
  RunConfig config;
  std::unique_ptr<Records> records;
  Problem problem;
};

TEST(Features, TheTargetIsLeadStepsAfterTheLastInput) {
  Case c(counting(), {"data.lead=3", "data.history=2"});
  const auto samples =
      data::make_samples(c.records->time(), data::records_in(c.records->time(), c.config.data.train), 3, 2, 2);
  for (const data::Sample& s : samples) {
    const Batch b = c.fill(s.inputs.back(), {s.targets[0]});
    const double at = static_cast<double>(s.inputs.back());
    EXPECT_EQ(c.stack(b, 0), at - 1);
    EXPECT_EQ(c.stack(b, 1), at);
    EXPECT_EQ(b.truth.as<float>()[static_cast<size_t>(c.problem.field_size())], at + 3);
    EXPECT_EQ(b.truth.as<float>()[static_cast<size_t>(2 * c.problem.field_size() - 1)], 1000 + at + 3);
    EXPECT_EQ(s.targets[1], s.inputs.back() + 6);
  }
  EXPECT_EQ(c.fill(5, {8}).stack.as<float>()[0], 0) << "place 0 of the batch is another sample's";
}

TEST(Features, MeansByHand) {
  Case c(counting(), {"data.means=[1, 3, 12]"});
  EXPECT_EQ(c.problem.window(), 12);
  EXPECT_THAT(c.means(c.fill(20, {21})), ElementsAre(Near(20), Near(19), Near(14.5)));
  EXPECT_THAT(c.means(c.fill(1, {2})), ElementsAre(Near(1), Near(0.5), Near(0.5)));
  EXPECT_THAT(c.means(c.fill(0, {1})), ElementsAre(0, 0, 0));
}

TEST(Features, MeansLeaveOutGaps) {
  std::vector<double> times;
  for (int t = 0; t < 72; ++t)
    if (t != 18 && t != 19) times.push_back(t);
  Case c(counting(times), {"data.means=[2, 3, 6]"});
  const int64_t init = 18;  // the record of step 20, just behind the gap
  EXPECT_THAT(c.means(c.fill(init, {init + 1})), ElementsAre(Near(20), Near(20), Near((15 + 16 + 17 + 20) / 4.0)));
  EXPECT_THAT(c.means(c.fill(init + 1, {init + 2})),
              ElementsAre(Near(20.5), Near(20.5), Near((16 + 17 + 20 + 21) / 4.0)));
  EXPECT_EQ(test::code_of([&] {
              Problem p = c.problem;
              p.history = 2;
              Batch b = Batch::allocate(p, 1, 1, false);
              Features(p, *c.records).fill(b, 0, init, {}, p.reference());
            }),
            ErrorCode::invalid_argument)
      << "the network's own history has to be whole";
}

TEST(Features, MeansDoNotReachBackBeforeTheTrainingPeriod) {
  Case c(counting(), {"data.train=[1981, 1983]", "data.means=[4]", "data.history=3"});
  EXPECT_THAT(c.means(c.fill(13, {14})), ElementsAre(Near(12.5)));
  EXPECT_THAT(c.means(c.fill(12, {13})), ElementsAre(Near(12)));
  EXPECT_THAT(c.means(c.fill(11, {12})), ElementsAre(Near(11))) << "the initial state itself always counts";
  const Batch b = c.fill(12, {13});
  EXPECT_EQ(c.stack(b, 3), 12);
  EXPECT_EQ(c.stack(b, 2), 11) << "history does: it is what a forecast would have too";
  EXPECT_EQ(c.stack(b, 1), 10);
  EXPECT_EQ(c.stack(b, 0), 0);
}

TEST(Features, MeansDuringARollout) {
  Case c(counting(), {"data.means=[3]"});
  const Batch b = c.fill(1, {2, 3, 4}, 3);
  const auto w = b.windows.as<float>().subspan(9);
  EXPECT_THAT(std::vector<float>(w.begin(), w.end()),
              ElementsAre(0, 0.5F, 0.5F, 1 / 3.0F, 1 / 3.0F, 1 / 3.0F, 1 / 3.0F, 1 / 3.0F, 1 / 3.0F));
  Case two(counting(), {"data.means=[5]", "data.lead=2"});  // what lies between two forecasts is not known
  const Batch d = two.fill(10, {12, 14}, 2);
  const auto x = d.windows.as<float>().subspan(10);
  EXPECT_THAT(std::vector<float>(x.begin(), x.end()),
              ElementsAre(0.2F, 0.2F, 0.2F, 0.2F, 0.2F, 0.25F, 0.25F, 0.25F, 0, 0.25F));
  Case none(counting(), {"data.history=2", "data.lead=2"});
  EXPECT_EQ(test::code_of([&] { rollout_shift(none.problem); }), ErrorCode::invalid_argument);
  EXPECT_EQ(rollout_shift(two.problem), 2);
  EXPECT_EQ(rollout_shift(c.problem), 1);
}

TEST(Features, SeasonAndInsolationAreOfTheTargetTime) {
  Case c(counting(), {"data.time_features=[season, insolation]", "data.lead=2"});
  ASSERT_EQ(c.problem.forcing_channels(), 3);
  const auto cells = static_cast<size_t>(c.problem.grid.cells());
  for (int64_t init : {3, 70}) {  // the second one's target lies beyond the file
    const Batch b = c.fill(init, {}, 2);
    for (int64_t r = 0; r < 2; ++r) {
      const auto f = b.forcing.as<float>().subspan(static_cast<size_t>(2 + r) * 3 * cells, 3 * cells);
      const int64_t month = init + 2 * (r + 1);
      const grid::DateTime date{1980 + month / 12, static_cast<int>(month % 12) + 1, 16};
      const double angle = 2 * std::numbers::pi * grid::year_fraction(c.problem.calendar, date);
      const auto sun = grid::row_insolation(c.problem.grid, c.problem.calendar, date);
      for (size_t i = 0; i < cells; ++i) {
        ASSERT_NEAR(f[i], std::sin(angle), 1e-6);
        ASSERT_NEAR(f[cells + i], std::cos(angle), 1e-6);
        ASSERT_NEAR(f[2 * cells + i], sun[i / 12] / (grid::kSolarConstant / 4) - 1, 1e-5);
      }
    }
  }
}

TEST(Features, MissingValuesAreZeroWithMaskAndValidity) {
  TestData data = counting();
  data.value = [](int64_t t, int64_t v, int64_t r, int64_t c) {
    const bool at_init = t == 20 && v == 1 && r == 1 && c == 2, at_target = t == 21 && v == 0 && r == 3 && c == 4;
    return at_init || at_target ? std::nan("") : static_cast<double>(1000 * v + t + 1);
  };
  Case c(data, {"data.missing=mask"});
  ASSERT_TRUE(c.problem.validity);
  const Batch b = c.fill(20, {21});
  const auto cells = static_cast<size_t>(c.problem.grid.cells()), size = 2 * cells;
  const size_t init = cells + 12 + 2, target = 3 * 12 + 4;
  for (size_t i = 0; i < size; ++i) {
    EXPECT_EQ(b.stack.as<float>()[size + i] == 0, i == init);
    EXPECT_EQ(b.mask.as<float>()[size + i], i == target ? 0 : 1);
    EXPECT_EQ(b.truth.as<float>()[size + i] == 0, i == target);
    EXPECT_FALSE(std::isnan(b.stack.as<float>()[size + i]) || std::isnan(b.truth.as<float>()[size + i]));
    if (i < cells) {
      EXPECT_EQ(b.forcing.as<float>()[cells + i], i == init - cells ? 0 : 1) << "valid where every variable is";
    }
  }
}

TEST(Features, NormaliseAndRestoreAreInverse) {
  test::TempFolder folder;
  TestData{}.write(folder / "d.nc");
  for (const std::string target : {"state", "anomaly", "{residual: persistence}"}) {
    const RunConfig config = test::test_config(folder / "d.nc", {"model.target=" + target});
    const Records records = test::open_records(config);
    const Problem p = learn_problem(config, records);
    const Reference reference = p.reference();
    std::vector<float> field(static_cast<size_t>(p.field_size())), original(field.size());
    records.copy(33, original.data());
    field = original;
    field[7] = std::nanf("");
    EXPECT_FALSE(Features(p, records).normalise(field.data(), records.time().seconds(33), reference));
    EXPECT_EQ(field[7], 0);
    field = original;
    EXPECT_TRUE(Features(p, records).normalise(field.data(), records.time().seconds(33), reference));
    const double center =
        target == "anomaly" ? p.climatology.mean.as<float>()[9 * field.size() + 5] : p.center.as<double>()[0];
    EXPECT_NEAR(field[5], (original[5] - center) / p.scale.as<double>()[0], 1e-5);
    Features(p, records).restore(field.data(), records.time().seconds(33), reference);
    EXPECT_LT(test::largest_difference(field, original), 1e-5);
  }
}

TEST(StaticChannels, AreStandardisedAndInOrder) {
  test::TempFolder folder;
  TestData data;
  data.mask_variable = true;
  data.write(folder / "d.nc");
  const RunConfig config = test::test_config(folder / "d.nc", {"data.static=[LAND]", "data.position=true"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  EXPECT_THAT(p.static_names, ElementsAre("LAND", "sin_lat", "cos_lat", "sin_lon", "cos_lon"));
  const auto cells = static_cast<size_t>(p.grid.cells());
  const auto s = p.static_channels.as<float>();
  double sum = 0, square = 0, weight = 0;
  for (size_t i = 0; i < cells; ++i) {
    const double w = p.grid.row_weights()[i / 12], latitude = p.grid.latitudes()[i / 12] * std::numbers::pi / 180,
                 longitude = p.grid.longitudes()[i % 12] * std::numbers::pi / 180;
    sum += w * s[i];
    square += w * s[i] * s[i];
    weight += w;
    EXPECT_EQ(s[i] > 0, i % 3 == 0);
    EXPECT_NEAR(s[cells + i], std::sin(latitude), 1e-6);
    EXPECT_NEAR(s[2 * cells + i], std::cos(latitude), 1e-6);
    EXPECT_NEAR(s[3 * cells + i], std::sin(longitude), 1e-6);
    EXPECT_NEAR(s[4 * cells + i], std::cos(longitude), 1e-6);
  }
  EXPECT_NEAR(sum / weight, 0, 1e-6);
  EXPECT_NEAR(square / weight, 1, 1e-6);
}

TEST(Records, AreTheSameInMemoryAndOnDisk) {
  test::TempFolder folder;
  TestData{}.write(folder / "d.nc");
  const Records held(data::FieldDataset::open({folder / "d.nc"})), read(data::FieldDataset::open({folder / "d.nc"}), 0);
  const std::vector<int64_t> some{5, 0, 71, 5};
  EXPECT_TRUE(held.read(some).identical(read.read(some)));
}

}  // namespace
}  // namespace gregale::train
