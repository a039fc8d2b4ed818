// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/problem.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "score/series.hpp"
#include "train/data_for_tests.hpp"

namespace gregale::train {
namespace {

using test::TestData;

const char* const kTargets[] = {"persistence", "climatology", "damped_global", "damped_local", "recentred"};

/// The baseline by its own definition: from the records up to the initial one, laid out by time step.
Tensor baseline_forecast(const Problem& p, const Records& records, const Timeline& timeline, const std::string& name,
                         int64_t init) {
  const int64_t at = timeline.position_of(init);
  const int64_t first = std::max<int64_t>(std::min(timeline.training_start, at), at + 1 - score::kRecentredRecords);
  std::vector<int64_t> phase(timeline.phase.begin() + first, timeline.phase.begin() + at + 1);
  const int64_t target = p.climatology.bin_at(records.time().advance(records.time().seconds(init), p.lead));
  return p.baselines.forecast(score::baseline_from_name(name),
                              score::slice_records(timeline.fields, first, at + 1 - first), phase, target, p.lead);
}

void expect_baselines(const TestData& data, const std::vector<std::string>& overrides,
                      const std::vector<int64_t>& inits) {
  test::TempFolder folder;
  data.write(folder / "d.nc");
  ExecutionContext context;
  for (const std::string name : kTargets) {
    std::vector<std::string> all = overrides;
    all.push_back("model.target={residual: " + name + "}");
    const RunConfig config = test::test_config(folder / "d.nc", all);
    const Records records = test::open_records(config);
    const Problem p = learn_problem(config, records);
    const Timeline timeline = make_timeline(p, records);
    const auto emulator = test::drawn_emulator(p, config);
    for (int64_t init : inits) {
      const Tensor fields = roll_out(*emulator, context, records, init, 1, 0);
      const Tensor expected = baseline_forecast(p, records, timeline, name, init);
      const auto size = static_cast<size_t>(p.field_size());
      for (size_t i = 0; i < size; ++i) {
        const float is = fields.as<float>()[size + i], must = expected.as<float>()[i];
        ASSERT_NEAR(is, must, 1e-4 * std::max(1.0F, std::abs(must))) << name << " from record " << init << " at " << i;
      }
      // With its output the network changes the forecast: the comparison above is no accident.
      const Tensor with = roll_out(*emulator, context, records, init, 1, 1);
      ASSERT_GT(test::largest_difference(with.as<float>(), fields.as<float>()), 1e-2);
    }
  }
}

TEST(BaselineIdentity, Monthly) { expect_baselines({}, {}, {0, 1, 5, 22, 23, 24, 47, 60, 71}); }
TEST(BaselineIdentity, MonthlyLeadTwo) { expect_baselines({}, {"data.lead=2"}, {0, 1, 23, 30, 70, 71}); }
TEST(BaselineIdentity, NetworkSeesHistoryAndMeans) {
  expect_baselines({}, {"data.history=3", "data.means=[5, 30]", "data.train=[1981, 1983]"}, {2, 11, 12, 13, 35, 60});
}
TEST(BaselineIdentity, Gated) { expect_baselines({}, {"model.head=gated", "data.means=[3]"}, {0, 9, 40}); }
TEST(BaselineIdentity, TrainingStartsLate) {  // no mean reaches back before the training period
  expect_baselines({}, {"data.train=[1982, 1983]"}, {3, 24, 25, 30, 50});
}
TEST(BaselineIdentity, Gaps) {
  TestData data;
  data.times.clear();
  for (int t = 0; t < 72; ++t)
    if (t != 5 && t != 30 && t != 31 && t != 50) data.times.push_back(t);
  expect_baselines(data, {"data.means=[3, 12]"}, {4, 5, 20, 28, 29, 40, 46, 47});
}
TEST(BaselineIdentity, SixHourly) {
  expect_baselines(test::six_hourly(420),
                   {"data.train=[2001-01-01, 2001-11-30]", "data.validation=[2001-12-01, 2001-12-31]",
                    "data.test=[2002-01-01, 2002-01-31]"},
                   {0, 3, 22, 24, 700, 1500});
  expect_baselines(test::six_hourly(120),
                   {"data.lead=2", "data.train=[2001-01-01, 2001-02-28]", "data.validation=[2001-03-01, 2001-03-20]",
                    "data.test=[2001-04-01, 2001-04-20]"},
                   {1, 23, 200, 470});
}

TEST(BaselineIdentity, MissingPointsStayMissing) {
  test::TempFolder folder;
  TestData data;
  data.value = [](int64_t t, int64_t v, int64_t r, int64_t c) {
    return r == 2 && c < 3 ? std::nan("") : test::weather(static_cast<double>(t), 12, v, r, c);
  };
  data.write(folder / "d.nc");
  const RunConfig config =
      test::test_config(folder / "d.nc", {"data.missing=mask", "model.target={residual: recentred}"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  const Timeline timeline = make_timeline(p, records);
  ExecutionContext context;
  const auto emulator = test::drawn_emulator(p, config);
  const Tensor fields = roll_out(*emulator, context, records, 40, 2, 0);
  const Tensor expected = baseline_forecast(p, records, timeline, "recentred", 40);
  const auto size = static_cast<size_t>(p.field_size());
  for (size_t i = 0; i < size; ++i) {
    const size_t cell = i % static_cast<size_t>(p.grid.cells());
    const bool missing = cell / 12 == 2 && cell % 12 < 3;
    for (size_t s = 0; s < 3; ++s) ASSERT_EQ(std::isnan(fields.as<float>()[s * size + i]), missing) << s << " " << i;
    if (!missing) {
      ASSERT_NEAR(fields.as<float>()[size + i], expected.as<float>()[i], 1e-3);
    }
  }
  EXPECT_EQ(test::code_of([&] { learn_problem(test::test_config(folder / "d.nc"), records); }),
            ErrorCode::invalid_argument);
}

TEST(LearnProblem, ScalesAreDeviationsOfTheTrainingAnomalies) {
  test::TempFolder folder;
  TestData data;
  data.write(folder / "d.nc");
  const RunConfig config = test::test_config(folder / "d.nc", {"model.target={residual: damped_local}"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  EXPECT_EQ(p.training_start, records.time().seconds(0));
  EXPECT_EQ(p.climatology.bins(), 12);
  const auto size = static_cast<size_t>(p.field_size()), cells = static_cast<size_t>(p.grid.cells());
  std::vector<double> mean(12 * size, 0), scale(2, 0), output(2, 0), weight(2, 0), pairs(2, 0);
  const auto value = [&](int64_t t, size_t i) {
    return static_cast<double>(
        static_cast<float>(test::weather(static_cast<double>(t), 12, static_cast<int64_t>(i / cells),
                                         static_cast<int64_t>(i % cells / 12), static_cast<int64_t>(i % 12))));
  };
  for (int64_t t = 0; t < 48; ++t)
    for (size_t i = 0; i < size; ++i) mean[static_cast<size_t>(t % 12) * size + i] += value(t, i) / 4;
  const auto anomaly = [&](int64_t t, size_t i) { return value(t, i) - mean[static_cast<size_t>(t % 12) * size + i]; };
  for (size_t i = 0; i < size; ++i) {
    ASSERT_NEAR(p.climatology.mean.as<float>()[i], mean[i], 1e-5);
    const double w = p.grid.row_weights()[i % cells / 12];
    const double g = p.baselines.damping_local(1)[i];
    for (int64_t t = 0; t < 48; ++t) {
      scale[i / cells] += w * anomaly(t, i) * anomaly(t, i);
      weight[i / cells] += w;
      if (t == 0) continue;
      const double left = anomaly(t, i) - g * anomaly(t - 1, i);
      output[i / cells] += w * left * left;
      pairs[i / cells] += w;
    }
  }
  for (size_t v = 0; v < 2; ++v) {
    const double deviation = std::sqrt(scale[v] / weight[v]);
    EXPECT_NEAR(p.scale.as<double>()[v], deviation, 1e-5);
    EXPECT_NEAR(p.output_scale.as<double>()[v], std::sqrt(output[v] / pairs[v]) / deviation, 1e-5);
  }
}

TEST(LearnProblem, DampingPairsRecordsByTimeNotByPlace) {
  // Every second pair of neighbours lies three steps apart; an anomaly that alternates in time tells them from true
  // pairs.
  TestData data;
  data.times.clear();
  for (int t = 0; t < 72; ++t)
    if (t % 4 != 2) data.times.push_back(t);
  data.value = [](int64_t t, int64_t, int64_t, int64_t) {
    return (t % 2 ? -1.0 : 1.0) * (1 + static_cast<double>(t / 12));
  };
  test::TempFolder folder;
  data.write(folder / "d.nc");
  const RunConfig config = test::test_config(folder / "d.nc", {"model.target={residual: damped_global}"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  double product = 0, square = 0;
  const auto there = [](int t) { return t % 4 != 2; };
  const auto anomaly = [&](int t) { return (t % 2 ? -1.0 : 1.0) * (1 + t / 12 - 2.5); };
  for (int t = 0; t < 47; ++t)
    if (there(t) && there(t + 1)) {
      product += anomaly(t) * anomaly(t + 1);
      square += anomaly(t) * anomaly(t);
    }
  EXPECT_NEAR(p.baselines.damping_global(1)[0], product / square, 1e-5);
  EXPECT_LT(p.baselines.damping_global(1)[0], 0);
}

/// Values of the steps in `changed` replaced.
TestData changed_data(int64_t begin, int64_t end) {
  TestData data;
  data.value = [=](int64_t t, int64_t v, int64_t r, int64_t c) {
    return test::weather(static_cast<double>(t), 12, v, r, c) + (t >= begin && t < end ? 10.0 + 3 * ((t + c) % 3) : 0);
  };
  return data;
}

TEST(Leakage, ValidationAndTestValuesChangeNothing) {
  test::TempFolder folder;
  changed_data(0, 0).write(folder / "a.nc");
  changed_data(48, 72).write(folder / "b.nc");  // 1984 on
  for (const std::string target : {"state", "anomaly", "{residual: recentred}"}) {
    const std::vector<std::string> set{"model.target=" + target, "data.cross_fit=two_years", "data.means=[3]",
                                       "loss.weighting=residual"};
    const RunConfig config_a = test::test_config(folder / "a.nc", set),
                    config_b = test::test_config(folder / "b.nc", set);
    const Records a = test::open_records(config_a), b = test::open_records(config_b);
    ASSERT_GT(test::largest_difference(a.read(std::vector<int64_t>{50}).as<float>(),
                                       b.read(std::vector<int64_t>{50}).as<float>()),
              5);
    const Problem p = learn_problem(config_a, a), q = learn_problem(config_b, b);
    data::NamedTensors tensors_p, tensors_q;
    nlohmann::json json_p, json_q;
    p.to_parts(tensors_p, json_p);
    q.to_parts(tensors_q, json_q);
    ASSERT_EQ(tensors_p.size(), tensors_q.size());
    for (const auto& [name, tensor] : tensors_p) EXPECT_TRUE(tensor.identical(tensors_q.at(name))) << name;
    json_p.erase("fingerprint");
    json_q.erase("fingerprint");
    EXPECT_EQ(json_p, json_q);
    EXPECT_TRUE(loss_weights(config_a, p, a).identical(loss_weights(config_b, q, b)));

    const TrainingReferences of_a(config_a, p, a), of_b(config_b, q, b);
    const auto samples = data::make_samples(a.time(), data::records_in(a.time(), config_a.data.train), 1, 1);
    ASSERT_EQ(samples.size(), 47U);
    Batch x = Batch::allocate(p, 1, 1, true), y = Batch::allocate(q, 1, 1, true);
    for (size_t s = 0; s < samples.size(); ++s) {
      const auto draw = static_cast<int64_t>(s);
      Features(p, a).fill(x, 0, samples[s].inputs.back(), samples[s].targets, of_a.at(samples[s].targets[0], draw));
      Features(q, b).fill(y, 0, samples[s].inputs.back(), samples[s].targets, of_b.at(samples[s].targets[0], draw));
      const auto in_x = loss_inputs(p, x, true), in_y = loss_inputs(q, y, true);
      for (size_t i = 0; i < in_x.size(); ++i)
        ASSERT_TRUE(in_x[i].identical(in_y[i])) << target << " sample " << s << " input " << i;
    }
  }
}

bool same(const Reference& a, const Reference& b) {
  return a.climatology.identical(b.climatology) && a.base_last.identical(b.base_last) &&
         a.base_mean.identical(b.base_mean);
}

TEST(CrossFit, TheTargetsYearIsLeftOut) {
  test::TempFolder folder;
  changed_data(0, 0).write(folder / "a.nc");
  changed_data(24, 36).write(folder / "b.nc");  // 1982
  const std::vector<std::string> set{"model.target={residual: recentred}", "data.cross_fit=one_year"};
  const RunConfig config_a = test::test_config(folder / "a.nc", set),
                  config_b = test::test_config(folder / "b.nc", set);
  const Records a = test::open_records(config_a), b = test::open_records(config_b);
  const Problem p = learn_problem(config_a, a), q = learn_problem(config_b, b);
  EXPECT_FALSE(same(p.reference(), q.reference()));
  const TrainingReferences of_a(config_a, p, a), of_b(config_b, q, b);
  for (int64_t target = 1; target < 48; ++target)
    EXPECT_EQ(same(of_a.at(target, 3), of_b.at(target, 3)), target / 12 == 2) << target;

  // What it is: the climatology of the three other years, and damping from pairs within them.
  const Reference& r = of_a.at(30, 0);
  const auto value = [](int64_t t) {
    return static_cast<double>(static_cast<float>(test::weather(static_cast<double>(t), 12, 0, 0, 0)));
  };
  const auto mean = [&](int64_t t) { return (value(t % 12) + value(t % 12 + 12) + value(t % 12 + 36)) / 3; };
  double product = 0, square = 0;
  for (int64_t t = 0; t < 47; ++t) {
    if (t / 12 == 2 || (t + 1) / 12 == 2) continue;
    product += (value(t) - mean(t)) * (value(t + 1) - mean(t + 1));
    square += (value(t) - mean(t)) * (value(t) - mean(t));
  }
  EXPECT_NEAR(r.climatology.as<float>()[0], mean(0), 1e-5);
  EXPECT_NEAR(r.base_last.as<float>()[0], 0.6 * product / square, 1e-4);
  EXPECT_NEAR(r.base_mean.as<float>()[0], 1 - 0.6 * product / square, 1e-4);
  EXPECT_EQ(&of_a.at(30, 0), &of_a.at(35, 9));
  EXPECT_EQ(&of_a.at(50, 0), &of_a.at(60, 1)) << "validation: the reference of all training years";
  EXPECT_TRUE(same(of_a.at(50, 0), p.reference()));
}

TEST(CrossFit, TwoYearsDrawsAmongPairs) {
  test::TempFolder folder;
  TestData{}.write(folder / "d.nc");
  const RunConfig config =
      test::test_config(folder / "d.nc", {"model.target={residual: damped_global}", "data.cross_fit=two_years"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  const TrainingReferences one(config, p, records), two(config, p, records);
  std::set<const Reference*> seen, elsewhere;
  for (int64_t draw = 0; draw < 64; ++draw) {
    seen.insert(&one.at(20, draw));
    elsewhere.insert(&one.at(40, draw));
    EXPECT_TRUE(same(one.at(20, draw), two.at(20, draw)));
  }
  EXPECT_EQ(seen.size(), 4U) << "1981 alone, and with each of the three others";
  std::vector<const Reference*> both;
  std::set_intersection(seen.begin(), seen.end(), elsewhere.begin(), elsewhere.end(), std::back_inserter(both));
  EXPECT_EQ(both.size(), 1U) << "1981 with 1983";
  EXPECT_EQ(test::code_of([&] {
              const RunConfig few =
                  test::test_config(folder / "d.nc", {"data.train=[1981, 1983]", "data.cross_fit=two_years"});
              TrainingReferences(few, learn_problem(few, records), records);
            }),
            ErrorCode::invalid_argument);
}

TEST(CrossFit, DailyClimatologyIsSmoothedLikeTheProblems) {
  test::TempFolder folder;
  TestData data = test::six_hourly(1461);
  data.unit_steps = 72;  // a record each third day: most days of the year have one in some years only
  data.times = test::steps(0, 1, 487);
  data.steps_a_year = 121.75;
  data.write(folder / "d.nc");
  const RunConfig config =
      test::test_config(folder / "d.nc", {"data.train=[2001, 2003]", "data.validation=[2004-01-01, 2004-06-30]",
                                          "data.test=[2004-07-01, 2004-12-31]", "data.cross_fit=one_year"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  ASSERT_EQ(p.climatology.bins(), 366);
  const TrainingReferences references(config, p, records);
  Batch batch = Batch::allocate(p, 1, 1, true);
  const auto samples = data::make_samples(records.time(), data::records_in(records.time(), config.data.train), 1, 1);
  for (const data::Sample& s : samples) {
    Features(p, records).fill(batch, 0, s.inputs.back(), s.targets, references.at(s.targets[0], 0));
    for (float m : batch.mask.as<float>()) ASSERT_EQ(m, 1) << "a day without records of other years is not missing";
  }
  // Smooth: neighbouring days differ by little, though their records are of different years.
  const auto c = references.at(samples[200].targets[0], 0).climatology.as<float>();
  const auto size = static_cast<size_t>(p.field_size());
  for (size_t day = 1; day < 366; ++day) ASSERT_LT(std::abs(c[day * size] - c[(day - 1) * size]), 1.0) << day;
}

TEST(LossWeights, ByAreaAndByResidual) {
  test::TempFolder folder;
  TestData data;
  data.value = [](int64_t t, int64_t v, int64_t r, int64_t c) {  // storms in the south
    return (r < 4 ? 3.0 : 1.0) * test::weather(static_cast<double>(t), 12, v, r, c);
  };
  data.write(folder / "d.nc");
  RunConfig config = test::test_config(folder / "d.nc", {"model.target={residual: damped_local}"});
  const Records records = test::open_records(config);
  const Problem p = learn_problem(config, records);
  const auto cells = static_cast<size_t>(p.grid.cells());
  const Tensor area = loss_weights(config, p, records);
  EXPECT_EQ(area.extents(), (Extents{1, 2, 8, 12}));
  for (size_t i = 0; i < 2 * cells; ++i)
    EXPECT_FLOAT_EQ(area.as<float>()[i], static_cast<float>(p.grid.row_weights()[i % cells / 12]));

  config.loss.weighting = "residual";
  const Tensor residual = loss_weights(config, p, records);
  // The variance left over, by hand.
  const auto g = p.baselines.damping_local(1);
  const Reference reference = p.reference();
  std::vector<double> variance(2 * cells, 0);
  std::vector<float> x(2 * cells), y(2 * cells);
  for (int64_t t = 0; t < 47; ++t) {
    records.copy(t, x.data());
    records.copy(t + 1, y.data());
    Features(p, records).normalise(x.data(), records.time().seconds(t), reference);
    Features(p, records).normalise(y.data(), records.time().seconds(t + 1), reference);
    for (size_t i = 0; i < 2 * cells; ++i) variance[i] += std::pow(y[i] - g[i] * x[i], 2) / 47;
  }
  for (size_t v = 0; v < 2; ++v) {
    std::span<double> field(variance.data() + v * cells, cells);
    smooth_on_sphere(field, p.grid, kLossSmoothingDegrees);
    double sum = 0, total = 0;
    for (size_t i = 0; i < cells; ++i) {
      const double w = p.grid.row_weights()[i / 12];
      sum += residual.as<float>()[v * cells + i] * field[i];
      total += w;
      // weight / area goes as one over the deviation
      EXPECT_NEAR(residual.as<float>()[v * cells + i] / w * std::sqrt(field[i]),
                  residual.as<float>()[v * cells] / p.grid.row_weights()[0] * std::sqrt(field[0]), 1e-4);
    }
    EXPECT_NEAR(sum / total, 1, 1e-4);
    EXPECT_LT(residual.as<float>()[v * cells + 24] * 2, residual.as<float>()[v * cells + 60]) << "rows of equal area";
  }
  config.loss.name = "relative_l2";
  config.loss.weighting = "area";
  const Tensor ones = loss_weights(config, p, records);
  for (float w : ones.as<float>()) EXPECT_EQ(w, 1);
}

TEST(SmoothOnSphere, KeepsConstantsSpreadsPeaksAndLeavesOutGaps) {
  const grid::LatLonGrid grid(test::steps(-90, 10, 19), test::steps(5, 10, 36));
  std::vector<double> field(static_cast<size_t>(grid.cells()), 2.5);
  field[100] = std::nan("");
  smooth_on_sphere(field, grid, 12);
  for (size_t i = 0; i < field.size(); ++i) ASSERT_TRUE(i == 100 || std::abs(field[i] - 2.5) < 1e-12) << i;
  EXPECT_TRUE(std::isnan(field[100]));

  std::vector<double> peak(field.size(), 0.0);
  const size_t centre = 9 * 36;  // on the equator, first column: its neighbours lie on both edges
  peak[centre] = 1;
  smooth_on_sphere(peak, grid, 12);
  EXPECT_LT(peak[centre], 0.5);
  EXPECT_NEAR(peak[centre + 1], peak[centre + 35], 1e-12);
  EXPECT_NEAR(peak[centre + 1] / peak[centre], std::exp(-0.5 * 100 / 144), 1e-9);
  EXPECT_EQ(peak[centre + 4], 0) << "beyond three deviations";
}

}  // namespace
}  // namespace gregale::train
