// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "gregale/random.hpp"

namespace gregale::score {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor random_series(const Extents& extents, uint64_t seed) {
  Tensor series(DType::f32, extents);
  auto values = series.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = random_normal({seed}, i);
  return series;
}

/// forecast = truth * factor + offset
Tensor affine(const Tensor& series, float factor, float offset) {
  Tensor result = series.clone();
  for (float& value : result.as<float>()) value = factor * value + offset;
  return result;
}

ValidMask mask_of(std::vector<Tensor> series) { return ValidMask::common(series); }

TEST(Metrics, ConstantErrorIsTheSameInEveryMeasure) {
  const Tensor truth = random_series({3, 2, 4, 5}, 1);
  const Tensor forecast = affine(truth, 1, -0.5F);
  const std::vector<double> weights{0.1, 0.9, 0.9, 0.1};
  for (int64_t v = 0; v < 2; ++v) {
    const ErrorSeries series = error_series(forecast, truth, mask_of({forecast, truth}), v, weights);
    const ErrorSummary summary = summarize(series);
    EXPECT_NEAR(summary.rmse, 0.5, 1e-6);
    EXPECT_NEAR(summary.mae, 0.5, 1e-6);
    EXPECT_NEAR(summary.bias, -0.5, 1e-6);
    EXPECT_EQ(summary.times, 3);
    EXPECT_DOUBLE_EQ(series.weight[2], 1);
  }
}

TEST(Metrics, RootComesAfterTheMeanOverTime) {
  // Squared errors of 1 and 49 on the whole field: sqrt(25) = 5, not (1 + 7) / 2 = 4.
  const Tensor truth(DType::f32, {2, 1, 2, 2});
  const Tensor forecast = Tensor::from<float>({1, 1, 1, 1, 7, 7, 7, 7}, {2, 1, 2, 2});
  const ErrorSummary summary =
      summarize(error_series(forecast, truth, mask_of({forecast, truth}), 0, std::vector<double>{1, 1}));
  EXPECT_DOUBLE_EQ(summary.rmse, 5);
  EXPECT_DOUBLE_EQ(summary.mae, 4);
}

TEST(Metrics, RowsAreWeighted) {
  // Error 2 on a row of weight 1, error 4 on a row of weight 3.
  const Tensor truth(DType::f32, {1, 1, 2, 2});
  const Tensor forecast = Tensor::from<float>({2, -2, 4, 4}, {1, 1, 2, 2});
  const ErrorSummary summary =
      summarize(error_series(forecast, truth, mask_of({forecast, truth}), 0, std::vector<double>{1, 3}));
  EXPECT_DOUBLE_EQ(summary.rmse, std::sqrt((1 * 4 + 3 * 16) / 4.0));
  EXPECT_DOUBLE_EQ(summary.mae, (2 + 3 * 4) / 4.0);
  EXPECT_DOUBLE_EQ(summary.bias, (0 + 3 * 4) / 4.0);
}

TEST(Metrics, MissingPointsLeaveTheWeightToTheOthers) {
  // The point missing in a third series (a baseline) is left out for the forecast as well.
  const Tensor truth = Tensor::from<float>({0, 0, 0, kNaN}, {1, 1, 2, 2});
  const Tensor forecast = Tensor::from<float>({2, 100, 4, 5}, {1, 1, 2, 2});
  const Tensor baseline = Tensor::from<float>({1, kNaN, 1, 1}, {1, 1, 2, 2});
  const ValidMask mask = mask_of({truth, forecast, baseline});
  EXPECT_FALSE(mask.all());
  const std::vector<double> weights{1, 3};
  const ErrorSeries series = error_series(forecast, truth, mask, 0, weights);
  EXPECT_DOUBLE_EQ(series.squared[0], (1 * 4 + 3 * 16) / 4.0);
  EXPECT_DOUBLE_EQ(series.weight[0], 0.5);
  EXPECT_DOUBLE_EQ(summarize(error_series(baseline, truth, mask, 0, weights)).rmse, 1);
}

TEST(Metrics, TimesWithoutAValidPointAreSkipped) {
  const Tensor truth = Tensor::from<float>({kNaN, kNaN, 1, 1}, {2, 1, 1, 2});
  const Tensor forecast = Tensor::from<float>({9, 9, 3, 3}, {2, 1, 1, 2});
  const ErrorSeries series = error_series(forecast, truth, mask_of({truth, forecast}), 0, std::vector<double>{1});
  EXPECT_EQ(series.weight[0], 0);
  EXPECT_TRUE(std::isnan(series.squared[0]));
  EXPECT_EQ(summarize(series).times, 1);
  EXPECT_DOUBLE_EQ(summarize(series).rmse, 2);
  EXPECT_TRUE(std::isnan(summarize(series, std::vector<uint8_t>{1, 0}).rmse));
}

TEST(Metrics, MonthsAreSeparated) {
  const Tensor truth(DType::f32, {3, 1, 1, 1});
  const Tensor forecast = Tensor::from<float>({1, 2, 5}, {3, 1, 1, 1});
  const ErrorSeries series = error_series(forecast, truth, mask_of({truth, forecast}), 0, std::vector<double>{1});
  const auto months = summarize_by_month(series, std::vector<int>{0, 11, 0});
  ASSERT_EQ(months.size(), 12U);
  EXPECT_DOUBLE_EQ(months[0].rmse, std::sqrt(13));
  EXPECT_EQ(months[0].times, 2);
  EXPECT_DOUBLE_EQ(months[11].rmse, 2);
  EXPECT_EQ(months[5].times, 0);
  EXPECT_TRUE(std::isnan(months[5].rmse));
  EXPECT_THROW(summarize_by_month(series, std::vector<int>{0, 12, 0}), Error);
}

TEST(Metrics, AnomalyCorrelation) {
  const Tensor climatology = affine(random_series({4, 1, 3, 6}, 2), 5, 10);
  const Tensor anomaly = random_series({4, 1, 3, 6}, 3);
  const auto plus = [&](float factor) {
    Tensor sum = climatology.clone();
    for (size_t i = 0; i < sum.as<float>().size(); ++i) sum.as<float>()[i] += factor * anomaly.as<float>()[i];
    return sum;
  };
  const Tensor truth = plus(1);
  const std::vector<double> weights{0.2, 1, 0.2};
  const auto acc = [&](const Tensor& forecast) {
    return mean_of_valid(
        anomaly_correlation_series(forecast, truth, climatology, mask_of({truth, forecast}), 0, weights));
  };
  EXPECT_NEAR(acc(truth), 1, 1e-12);
  EXPECT_NEAR(acc(plus(0.25F)), 1, 1e-6);  // amplitude does not matter
  EXPECT_NEAR(acc(plus(-2)), -1, 1e-6);
  EXPECT_TRUE(std::isnan(acc(climatology)));
  EXPECT_LT(std::abs(acc(affine(random_series({4, 1, 3, 6}, 4), 1, 10))), 0.9);
}

TEST(Metrics, AnomalyCorrelationKeepsTheSpatialMean) {
  // Both anomalies are positive everywhere and opposed in their pattern: with means removed it would be -1.
  const Tensor climatology(DType::f32, {1, 1, 1, 2});
  const Tensor truth = Tensor::from<float>({1, 2}, {1, 1, 1, 2});
  const Tensor forecast = Tensor::from<float>({2, 1}, {1, 1, 1, 2});
  const auto acc =
      anomaly_correlation_series(forecast, truth, climatology, mask_of({truth}), 0, std::vector<double>{1});
  EXPECT_DOUBLE_EQ(acc[0], 4.0 / 5);
}

TEST(Metrics, MapsAreMeansOverTimeAtEachPoint) {
  const Tensor truth = Tensor::from<float>({0, 0, kNaN, 0, kNaN, kNaN}, {2, 1, 1, 3});
  const Tensor forecast = Tensor::from<float>({3, -1, 1, 4, 1, 1}, {2, 1, 1, 3});
  const ValidMask mask = mask_of({truth, forecast});
  const Tensor rmse = rmse_map(forecast, truth, mask);
  EXPECT_EQ(rmse.extents(), (Extents{1, 1, 3}));
  EXPECT_FLOAT_EQ(rmse.as<float>()[0], std::sqrt(12.5F));
  EXPECT_FLOAT_EQ(rmse.as<float>()[1], 1);
  EXPECT_TRUE(std::isnan(rmse.as<float>()[2]));
  EXPECT_FLOAT_EQ(bias_map(forecast, truth, mask).as<float>()[0], 3.5F);
  EXPECT_FLOAT_EQ(bias_map(forecast, truth, mask).as<float>()[1], -1);
  const Tensor baseline = Tensor::from<float>({4, 0, 0, 3, 0, 0}, {2, 1, 1, 3});
  EXPECT_FLOAT_EQ(skill_difference_map(forecast, baseline, truth, mask).as<float>()[1], 1);
  EXPECT_FLOAT_EQ(skill_difference_map(forecast, baseline, truth, mask).as<float>()[0], 0);
}

TEST(Metrics, MissingForecastsAreCounted) {
  const Tensor truth = Tensor::from<float>({0, 0, 0, kNaN}, {1, 1, 2, 2});
  const Tensor forecast = Tensor::from<float>({0, 0, kNaN, kNaN}, {1, 1, 2, 2});
  EXPECT_DOUBLE_EQ(missing_share(forecast, truth, 0, std::vector<double>{1, 3}), 3.0 / 5);
  EXPECT_DOUBLE_EQ(missing_share(truth, truth, 0, std::vector<double>{1, 3}), 0);
}

TEST(Metrics, AnInfiniteForecastIsNotMissing) {
  const Tensor truth(DType::f32, {1, 1, 1, 2});
  const Tensor forecast = Tensor::from<float>({0, std::numeric_limits<float>::infinity()}, {1, 1, 1, 2});
  const auto series = error_series(forecast, truth, mask_of({truth, forecast}), 0, std::vector<double>{1});
  EXPECT_TRUE(std::isinf(summarize(series).rmse));
}

TEST(Metrics, RefusesWhatDoesNotFit) {
  const Tensor truth(DType::f32, {2, 1, 2, 2});
  const ValidMask mask = mask_of({truth});
  const std::vector<double> weights{1, 1};
  EXPECT_THROW(error_series(Tensor(DType::f32, {2, 1, 2, 3}), truth, mask, 0, weights), Error);
  EXPECT_THROW(error_series(Tensor(DType::f64, {2, 1, 2, 2}), truth, mask, 0, weights), Error);
  EXPECT_THROW(error_series(truth, truth, mask, 1, weights), Error);
  EXPECT_THROW(error_series(truth, truth, mask, 0, std::vector<double>{1}), Error);
  EXPECT_THROW(error_series(truth, truth, mask, 0, std::vector<double>{1, -1}), Error);
  EXPECT_THROW(error_series(truth, truth, mask, 0, std::vector<double>{0, 0}), Error);
  EXPECT_THROW(mask_of({truth, Tensor(DType::f32, {1, 1, 2, 2})}), Error);
  EXPECT_THROW(slice_records(truth, 1, 2), Error);
  EXPECT_THROW(slice_records(truth, -1, 1), Error);
}

TEST(Metrics, SlicesKeepTheirBufferAlive) {
  Tensor slice;
  {
    const Tensor series = random_series({3, 1, 1, 2}, 7);
    slice = slice_records(series, 1, 2);
  }
  EXPECT_EQ(slice.extents(), (Extents{2, 1, 1, 2}));
  EXPECT_FLOAT_EQ(slice.as<float>()[0], random_normal({7}, 2));
}

TEST(LatitudeBands, SplitStraddlingCellsByArea) {
  // Rows at 30N and 30S reach over the border by half their height in degrees.
  std::vector<double> latitudes, weights;
  for (int i = 0; i < 37; ++i) latitudes.push_back(90 - 5.0 * i);  // descending
  const double radians = std::acos(-1.0) / 180;
  for (double latitude : latitudes)
    weights.push_back(std::sin(std::min(90.0, latitude + 2.5) * radians) -
                      std::sin(std::max(-90.0, latitude - 2.5) * radians));
  const auto bands = latitude_bands(latitudes, weights);
  ASSERT_EQ(bands.size(), 5U);
  const auto area = [](const Region& region) {
    return std::accumulate(region.row_weights.begin(), region.row_weights.end(), 0.0);
  };
  EXPECT_EQ(bands[2].name, "30S-30N");
  EXPECT_NEAR(area(bands[2]), 1, 1e-12);  // 2 sin 30
  EXPECT_NEAR(area(bands[0]), 1 - std::sin(60 * radians), 1e-12);
  EXPECT_NEAR(area(bands[4]), area(bands[0]), 1e-12);
  EXPECT_GT(bands[4].row_weights[0], 0);
  EXPECT_EQ(bands[0].row_weights[0], 0);
}

TEST(LatitudeBands, LeaveOutWhatTheGridDoesNotReach) {
  const auto bands = latitude_bands(std::vector<double>{35, 40, 45}, std::vector<double>{1, 1, 1});
  ASSERT_EQ(bands.size(), 1U);
  EXPECT_EQ(bands[0].name, "30N-60N");
  EXPECT_NEAR(bands[0].row_weights[0], 1, 1e-12);
  EXPECT_EQ(latitude_bands(std::vector<double>{-30}, std::vector<double>{2}).at(0).name, "30S-30N");
  EXPECT_THROW(latitude_bands(std::vector<double>{95}, std::vector<double>{1}), Error);
}

}  // namespace
}  // namespace gregale::score
