// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/baselines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gregale/random.hpp"
#include "score/series.hpp"

namespace gregale::score {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kPhases = 4;

std::vector<int64_t> cyclic_phase(int64_t records) {
  std::vector<int64_t> phase;
  for (int64_t t = 0; t < records; ++t) phase.push_back(t % kPhases);
  return phase;
}

/// x(t) = c(t mod 4) + a(t), a(t) = g a(t - 1) + noise, with g by variable and row. [time, 2, rows, columns]
Tensor ar1_series(int64_t records, int64_t rows, int64_t columns, double g[2][2]) {
  Tensor series(DType::f32, {records, 2, rows, columns});
  auto out = series.as<float>();
  const int64_t points = rows * columns;
  for (int64_t v = 0; v < 2; ++v) {
    for (int64_t i = 0; i < points; ++i) {
      const double damping = g[v][i / columns % 2];
      double a = 0;
      for (int64_t t = 0; t < records; ++t) {
        a = damping * a +
            random_normal({17, static_cast<uint32_t>(v), static_cast<uint32_t>(i)}, static_cast<uint64_t>(t));
        out[static_cast<size_t>((t * 2 + v) * points + i)] =
            static_cast<float>(10 * static_cast<double>(v) + 3 * static_cast<double>(t % kPhases) + a);
      }
    }
  }
  return series;
}

class Ar1 : public testing::Test {
 protected:
  static constexpr int64_t kRecords = 4000, kRows = 2, kColumns = 3;
  Ar1() {
    records_ = ar1_series(kRecords, kRows, kColumns, g_);
    phase_ = cyclic_phase(kRecords);
    model_ = BaselineModel::fit(records_, phase_, kPhases, 0, kRecords, weights_, leads_);
  }
  double g_[2][2] = {{0.3, 0.7}, {0.5, 0.5}};
  std::vector<double> weights_{1, 3};
  std::vector<int64_t> leads_{1, 2};
  Tensor records_;
  std::vector<int64_t> phase_;
  BaselineModel model_;
};

TEST_F(Ar1, LocalDampingRecoversTheCoefficient) {
  for (int64_t lead : leads_) {
    const auto local = model_.damping_local(lead);
    for (size_t v = 0; v < 2; ++v)
      for (size_t i = 0; i < 6; ++i)
        EXPECT_NEAR(local[v * 6 + i], std::pow(g_[v][i / 3], static_cast<double>(lead)), 0.05) << v << " " << i;
  }
}

TEST_F(Ar1, GlobalDampingPoolsByAreaAndVariance) {
  // The variance of an AR(1) anomaly is 1 / (1 - g^2), and the second row weighs three times as much.
  const double v0 = 1 / (1 - 0.3 * 0.3), v1 = 3 / (1 - 0.7 * 0.7);
  EXPECT_NEAR(model_.damping_global(1)[0], (0.3 * v0 + 0.7 * v1) / (v0 + v1), 0.02);
  EXPECT_NEAR(model_.damping_global(1)[1], 0.5, 0.02);
  EXPECT_NEAR(model_.damping_global(2)[1], 0.25, 0.02);
  EXPECT_EQ(model_.pairs(2), kRecords - 2);
}

TEST_F(Ar1, ForecastsFollowTheirFormulas) {
  const int64_t init = 101, lead = 2;
  const Tensor history = slice_records(records_, init - 29, 30);
  const auto phases = std::span<const int64_t>(phase_).subspan(init - 29, 30);
  const int64_t target_phase = (init + lead) % kPhases;
  const auto now = slice_records(records_, init, 1);
  const auto normal = model_.climatology_at(init % kPhases), target = model_.climatology_at(target_phase);
  const auto get = [&](Baseline baseline) { return model_.forecast(baseline, history, phases, target_phase, lead); };
  const Tensor persistence = get(Baseline::persistence), climatology = get(Baseline::climatology);
  const Tensor anomaly = get(Baseline::anomaly_persistence), global = get(Baseline::damped_global);
  const Tensor local = get(Baseline::damped_local), recentred = get(Baseline::recentred);
  for (size_t i = 0; i < 12; ++i) {
    const double x = now.as<float>()[i], c = target.as<float>()[i], a = x - normal.as<float>()[i];
    double mean = 0;  // of the last 24 of the 30
    for (int64_t t = init - 23; t <= init; ++t)
      mean += (slice_records(records_, t, 1).as<float>()[i] - model_.climatology_at(t % kPhases).as<float>()[i]) / 24.0;
    const double g = model_.damping_local(lead)[i];
    EXPECT_FLOAT_EQ(persistence.as<float>()[i], static_cast<float>(x));
    EXPECT_FLOAT_EQ(climatology.as<float>()[i], static_cast<float>(c));
    EXPECT_NEAR(anomaly.as<float>()[i], c + a, 1e-5);
    EXPECT_NEAR(global.as<float>()[i], c + model_.damping_global(lead)[i / 6] * a, 1e-5);
    EXPECT_NEAR(local.as<float>()[i], c + g * a, 1e-5);
    EXPECT_NEAR(recentred.as<float>()[i], c + mean + 0.6 * g * (a - mean), 1e-5);
  }
  EXPECT_TRUE(model_.anomaly(now.reshaped({2, kRows, kColumns}), init % kPhases).extents() == persistence.extents());
}

TEST_F(Ar1, ASeriesOfForecastsIsTheSingleOnes) {
  const std::vector<int64_t> inits{3, 40, 997};
  for (Baseline baseline : kBaselines) {
    const Tensor series = model_.forecast_series(baseline, records_, phase_, 0, inits, 1);
    ASSERT_EQ(series.extents(), (Extents{3, 2, kRows, kColumns}));
    for (size_t n = 0; n < inits.size(); ++n) {
      const int64_t init = inits[n];
      const Tensor one = model_.forecast(baseline, slice_records(records_, 0, init + 1),
                                         std::span<const int64_t>(phase_).first(static_cast<size_t>(init + 1)),
                                         (init + 1) % kPhases, 1);
      EXPECT_TRUE(slice_records(series, static_cast<int64_t>(n), 1).reshaped(one.extents()).identical(one))
          << to_string(baseline);
    }
  }
}

TEST_F(Ar1, RecentredUsesNoRecordBeforeTheTrainingStart) {
  const std::vector<int64_t> inits{105};
  const Tensor late = model_.forecast_series(Baseline::recentred, records_, phase_, 100, inits, 1);
  const Tensor six = model_.forecast(Baseline::recentred, slice_records(records_, 100, 6),
                                     std::span<const int64_t>(phase_).subspan(100, 6), 106 % kPhases, 1);
  EXPECT_TRUE(late.reshaped(six.extents()).identical(six));
  EXPECT_FALSE(late.identical(model_.forecast_series(Baseline::recentred, records_, phase_, 0, inits, 1)));
}

TEST_F(Ar1, NothingOutsideTheTrainingPeriodIsSeen) {
  // Records outside of [10, 200) are changed beyond recognition; the fit does not notice.
  const BaselineModel fitted = BaselineModel::fit(records_, phase_, kPhases, 10, 200, weights_, leads_);
  Tensor other = records_.clone();
  auto values = other.as<float>();
  for (size_t i = 0; i < values.size(); ++i)
    if (i < 10 * 12 || i >= 200 * 12) values[i] = 1e6F;
  const BaselineModel again = BaselineModel::fit(other, phase_, kPhases, 10, 200, weights_, leads_);
  const auto a = fitted.tensors(), b = again.tensors();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].second.identical(b[i].second)) << a[i].first;
  EXPECT_EQ(fitted.pairs(1), 189);
}

TEST_F(Ar1, TravelsAsNamedTensors) {
  std::map<std::string, Tensor> stored;
  for (const auto& [name, tensor] : model_.tensors()) stored.emplace(name, tensor);
  const BaselineModel back = BaselineModel::from_tensors(stored);
  EXPECT_EQ(back.leads(), leads_);
  EXPECT_EQ(back.pairs(2), model_.pairs(2));
  const std::vector<int64_t> inits{50};
  for (Baseline baseline : kBaselines)
    EXPECT_TRUE(back.forecast_series(baseline, records_, phase_, 0, inits, 2)
                    .identical(model_.forecast_series(baseline, records_, phase_, 0, inits, 2)));

  const auto refused = [&](const char* name, const Tensor& tensor) {
    auto changed = stored;
    changed[name] = tensor;
    try {
      BaselineModel::from_tensors(changed);
    } catch (const Error& error) {
      return error.code() == ErrorCode::corrupt_data;
    }
    return false;
  };
  EXPECT_TRUE(refused("climatology", Tensor(DType::f32, {kPhases, 2, kRows, 4})));
  EXPECT_TRUE(refused("climatology", Tensor(DType::f64, {kPhases, 2, kRows, kColumns})));
  EXPECT_TRUE(refused("damping_global", Tensor(DType::f64, {1, 2})));
  EXPECT_TRUE(refused("leads", Tensor::from<int64_t>({2, 1}, {2})));
  EXPECT_TRUE(refused("leads", Tensor::from<int64_t>({1}, {1})));
  EXPECT_TRUE(refused("pairs", Tensor::from<int64_t>({1}, {1})));
  stored.erase("damping_local");
  EXPECT_THROW(BaselineModel::from_tensors(stored), Error);
}

TEST_F(Ar1, RefusesWhatItCannotForecast) {
  const Tensor history = slice_records(records_, 0, 2);
  const std::vector<int64_t> phases{0, 1};
  try {
    model_.forecast(Baseline::damped_local, history, phases, 0, 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[BaselineModel] lead 3 was not fitted (fitted: 1, 2)");
  }
  EXPECT_NO_THROW(model_.forecast(Baseline::persistence, history, phases, 0, 3));
  EXPECT_THROW(model_.forecast(Baseline::persistence, history, phases, 0, 0), Error);
  EXPECT_THROW(model_.forecast(Baseline::persistence, history, phases, 4, 1), Error);
  EXPECT_THROW(model_.forecast(Baseline::recentred, history, std::vector<int64_t>{0, 9}, 0, 1), Error);
  EXPECT_THROW(model_.forecast(Baseline::persistence, history, std::vector<int64_t>{0}, 0, 1), Error);
  EXPECT_THROW(BaselineModel().forecast(Baseline::climatology, history, phases, 0, 1), Error);
  EXPECT_THROW(
      model_.forecast_series(Baseline::persistence, records_, phase_, 0, std::vector<int64_t>{kRecords - 1}, 1), Error);
  EXPECT_THROW(model_.forecast_series(Baseline::persistence, records_, phase_, 5, std::vector<int64_t>{4}, 1), Error);
  EXPECT_THROW(BaselineModel::fit(records_, phase_, kPhases, 0, 10, weights_, std::vector<int64_t>{10}), Error);
  EXPECT_THROW(BaselineModel::fit(records_, phase_, kPhases, 0, 10, weights_, std::vector<int64_t>{0}), Error);
  EXPECT_THROW(BaselineModel::fit(records_, phase_, 3, 0, 10, weights_, leads_), Error);
  EXPECT_THROW(BaselineModel::fit(records_, phase_, kPhases, 0, kRecords + 1, weights_, leads_), Error);
  EXPECT_EQ(baseline_from_name("damped_local"), Baseline::damped_local);
  try {
    baseline_from_name("damped");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("damped_global, damped_local"));
  }
}

TEST(Baselines, MissingValuesAreLeftOut) {
  // Two points: the first misses a record, the second is land. One phase; values 1, 3, missing, 5: climatology 3.
  const Tensor records =
      Tensor::from<float>({1, kMissing, 3, kMissing, kMissing, kMissing, 5, kMissing, 3, kMissing}, {5, 1, 1, 2});
  const std::vector<int64_t> phase(5, 0), leads{1};
  const BaselineModel model = BaselineModel::fit(records, phase, 1, 0, 5, std::vector<double>{1}, leads);
  EXPECT_FLOAT_EQ(model.climatology().as<float>()[0], 3);
  EXPECT_TRUE(std::isnan(model.climatology().as<float>()[1]));
  // Anomalies -2, 0, -, 2, 0: pairs (-2, 0) and (2, 0).
  EXPECT_EQ(model.damping_local(1)[0], 0);
  EXPECT_EQ(model.damping_local(1)[1], 0);
  EXPECT_EQ(model.damping_global(1)[0], 0);
  const Tensor recentred =
      model.forecast(Baseline::recentred, slice_records(records, 0, 4), std::span<const int64_t>(phase).first(4), 0, 1);
  EXPECT_FLOAT_EQ(recentred.as<float>()[0], 3);  // the mean of the three anomalies there are is 0, and g is 0
  EXPECT_TRUE(std::isnan(recentred.as<float>()[1]));
  const Tensor unknown = model.forecast(Baseline::damped_local, slice_records(records, 0, 3),
                                        std::span<const int64_t>(phase).first(3), 0, 1);
  EXPECT_TRUE(std::isnan(unknown.as<float>()[0]));  // the initial value is missing
}

}  // namespace
}  // namespace gregale::score
