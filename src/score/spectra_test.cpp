// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/spectra.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "gregale/random.hpp"

namespace gregale::score {
namespace {

constexpr double kPi = std::numbers::pi;

std::vector<double> random_row(size_t length) {
  std::vector<double> row(length);
  for (size_t i = 0; i < length; ++i) row[i] = random_normal({11}, i);
  return row;
}

TEST(Spectra, TransformEqualsItsDefinition) {
  for (size_t length : {1U, 2U, 3U, 4U, 7U, 12U, 30U, 49U, 97U, 144U}) {
    const auto row = random_row(length);
    const auto f = forward_dft(row);
    ASSERT_EQ(f.size(), length / 2 + 1);
    for (size_t k = 0; k < f.size(); ++k) {
      std::complex<double> expected = 0;
      for (size_t l = 0; l < length; ++l)
        expected += row[l] * std::polar(1.0, -2 * kPi * static_cast<double>(k * l) / static_cast<double>(length));
      EXPECT_LT(std::abs(f[k] - expected / static_cast<double>(length)), 1e-13) << length << " " << k;
    }
  }
}

TEST(Spectra, OneWaveHasItsPowerAtItsWavenumber) {
  // a cos(kx): |F[k]| = a / 2, so S[k] = 2 C (a / 2)^2 = C a^2 / 2.
  const size_t length = 144;
  std::vector<double> row(length);
  for (size_t l = 0; l < length; ++l) row[l] = 3 + 5 * std::cos(7 * 2 * kPi * static_cast<double>(l) / 144 + 0.4);
  const double circumference = 2 * kPi * 6367.5e3 * std::cos(60 * kPi / 180);
  const auto power = zonal_power(row, 60);
  for (size_t k = 0; k < power.size(); ++k) {
    const double expected = k == 0 ? 9 * circumference : k == 7 ? 12.5 * circumference : 0;
    EXPECT_NEAR(power[k], expected, 1e-9 * circumference) << k;
  }
}

TEST(Spectra, ParsevalWithTheZonalMeanSquare) {
  for (size_t length : {144U, 97U}) {
    const auto row = random_row(length);
    const auto power = zonal_power(row, -30);
    double sum = std::accumulate(power.begin(), power.end(), 0.0);
    if (length % 2 == 0) sum -= power.back() / 2;  // the highest wavenumber is counted twice
    const double mean_square =
        std::inner_product(row.begin(), row.end(), row.begin(), 0.0) / static_cast<double>(length);
    const double circumference = 2 * kPi * kEarthRadius * std::cos(30 * kPi / 180);
    EXPECT_NEAR(sum / (circumference * mean_square), 1, 1e-12);
  }
}

TEST(Spectra, PolesHaveNoCircumference) {
  for (double power : zonal_power(random_row(8), 90)) EXPECT_NEAR(power, 0, 1e-6);
}

TEST(Spectra, SmoothingShowsInTheRatio) {
  // Truth: waves 1 and 4 of amplitude 1. Forecast: wave 4 halved.
  const int64_t columns = 16;
  Tensor truth(DType::f32, {2, 1, 3, columns}), forecast(DType::f32, {2, 1, 3, columns});
  for (int64_t i = 0; i < truth.size(); ++i) {
    const double x = 2 * kPi * static_cast<double>(i % columns) / columns;
    truth.as<float>()[static_cast<size_t>(i)] = static_cast<float>(std::sin(x) + std::sin(4 * x));
    forecast.as<float>()[static_cast<size_t>(i)] = static_cast<float>(std::sin(x) + 0.5 * std::sin(4 * x));
  }
  // A missing value takes its row out of both spectra at that time.
  forecast.as<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<Tensor> both{truth, forecast};
  const std::vector<double> latitudes{-30, 0, 30}, weights{1, 2, 1};
  const auto pair = zonal_spectra(forecast, truth, ValidMask::common(both), 0, latitudes, weights);
  EXPECT_EQ(pair.rows, 5);
  EXPECT_NEAR(pair.ratio[1], 1, 1e-5);
  EXPECT_NEAR(pair.ratio[4], 0.25, 1e-5);
  const double c = 2 * kPi * kEarthRadius;
  const double mean = (3 * std::cos(30 * kPi / 180) + 2 * 2) / (3 + 2 * 2);  // three rows of weight 1, two of weight 2
  EXPECT_NEAR(pair.truth[4] / (c * mean * 0.5), 1, 1e-5);
}

TEST(Spectra, WithoutACompleteRowThereIsNone) {
  const Tensor truth = Tensor::full(DType::f32, {1, 1, 1, 4}, std::numeric_limits<double>::quiet_NaN());
  const std::vector<Tensor> one{truth};
  const auto pair =
      zonal_spectra(truth, truth, ValidMask::common(one), 0, std::vector<double>{0}, std::vector<double>{1});
  EXPECT_EQ(pair.rows, 0);
  EXPECT_TRUE(std::isnan(pair.truth[0]));
  EXPECT_TRUE(std::isnan(pair.ratio[1]));
}

TEST(Spectra, FullCircles) {
  const auto axis = [](double first, double step, int count) {
    std::vector<double> longitudes;
    for (int i = 0; i < count; ++i) longitudes.push_back(first + step * i);
    return longitudes;
  };
  EXPECT_TRUE(is_full_circle(axis(20, 2.5, 144)));
  EXPECT_TRUE(is_full_circle(axis(180, -2.5, 144)));
  EXPECT_FALSE(is_full_circle(axis(20, 2.5, 143)));
  EXPECT_FALSE(is_full_circle(axis(0, 2.5, 145)));  // the first repeated at 360
  auto uneven = axis(0, 2.5, 144);
  uneven[7] += 0.1;
  EXPECT_FALSE(is_full_circle(uneven));
  EXPECT_FALSE(is_full_circle(axis(0, 360, 1)));
}

}  // namespace
}  // namespace gregale::score
