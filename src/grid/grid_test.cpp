// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"
#include "grid/insolation.hpp"
#include "grid/latlon.hpp"

namespace gregale::grid {
namespace {

std::vector<double> steps(double first, double step, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(first + step * i);
  return values;
}

LatLonGrid navy() { return {steps(-90, 2.5, 73), steps(20, 2.5, 144)}; }

TEST(LatLon, WeightsOfTheGridWithPoleRows) {
  const LatLonGrid grid = navy();
  const auto& w = grid.row_weights();
  EXPECT_NEAR(std::accumulate(w.begin(), w.end(), 0.0) / 73, 1, 1e-12);
  // The pole rows are caps of 1.25 degrees; the equator's cell is 2.5 degrees wide.
  const double rad = std::numbers::pi / 180;
  EXPECT_NEAR(w[0] / w[36], (1 - std::sin(88.75 * rad)) / (2 * std::sin(1.25 * rad)), 1e-12);
  EXPECT_NEAR(w[0], w[72], 1e-12);
  // Unscaled weights cover the sphere: 2 = sum of sin differences.
  EXPECT_NEAR(w[36] * 2 / 73, 2 * std::sin(1.25 * rad), 1e-12);
  EXPECT_EQ(grid.latitude_bounds().front(), -90);
  EXPECT_EQ(grid.latitude_bounds().back(), 90);
  EXPECT_TRUE(grid.periodic());
  EXPECT_TRUE(grid.global());
  EXPECT_TRUE(grid.has_pole_row(true));
  EXPECT_EQ(grid.describe(), "73 x 144, 90S to 90N, 20E to 377.5E (global)");
}

TEST(LatLon, DescendingKeepsItsOrder) {
  auto latitudes = steps(-90, 2.5, 73);
  std::reverse(latitudes.begin(), latitudes.end());
  const LatLonGrid grid(latitudes, steps(0, 2.5, 144));
  EXPECT_TRUE(grid.descending());
  EXPECT_EQ(grid.latitudes().front(), 90);
  EXPECT_EQ(grid.latitude_bounds().front(), 90);
  EXPECT_EQ(grid.latitude_bounds().back(), -90);
  EXPECT_NEAR(grid.row_weights()[0], navy().row_weights()[0], 1e-12);
  EXPECT_EQ(grid.across_pole(-1).row, 1);
  EXPECT_TRUE(grid.reaches_pole(true));
}

TEST(LatLon, RegionalAndGaussian) {
  const LatLonGrid regional(steps(20, 1, 41), steps(-140, 2.5, 36));
  EXPECT_FALSE(regional.periodic());
  EXPECT_FALSE(regional.reaches_pole(true));
  EXPECT_DOUBLE_EQ(regional.latitude_bounds().front(), 19.5);
  EXPECT_THAT(message_of([&] { regional.across_pole(-1); }),
              testing::HasSubstr("cannot be continued across the south pole"));
  // The last row of a Gaussian grid leaves 0.75 degrees, less than half a row: its cell goes to the pole.
  const LatLonGrid gaussian({-87.8638, -85.0965, 0, 85.0965, 87.8638}, steps(0, 5.625, 64));
  EXPECT_TRUE(gaussian.global());
  EXPECT_FALSE(gaussian.has_pole_row(true));
  // One row less: the cell ends where the pole's own row would begin.
  EXPECT_DOUBLE_EQ(LatLonGrid(steps(-87.5, 2.5, 71), steps(0, 2.5, 144)).latitude_bounds().front(), -88.75);
}

TEST(LatLon, AcrossThePole) {
  const LatLonGrid with_rows = navy();
  const PoleRow inside = with_rows.across_pole(5);
  EXPECT_EQ(inside.row, 5);
  EXPECT_EQ(inside.column_shift, 0);
  EXPECT_FALSE(inside.across);
  const PoleRow north = with_rows.across_pole(73);  // the row on the pole (72) is not repeated
  EXPECT_EQ(north.row, 71);
  EXPECT_EQ(north.column_shift, 72);
  EXPECT_TRUE(north.across);
  EXPECT_EQ(with_rows.across_pole(-2).row, 2);
  const LatLonGrid without(steps(-88.75, 2.5, 72), steps(0, 2.5, 144));
  EXPECT_EQ(without.across_pole(72).row, 71);
  EXPECT_EQ(without.across_pole(-1).row, 0);
  EXPECT_FALSE(LatLonGrid(steps(-90, 2.5, 73), steps(0, 8, 45)).can_cross_pole(true));  // odd number of columns
  EXPECT_THAT(message_of([&] { with_rows.across_pole(200); }), testing::HasSubstr("too far beyond the pole"));
}

TEST(LatLon, DifferencesAreReadable) {
  const LatLonGrid grid = navy();
  EXPECT_TRUE(grid.same_as(LatLonGrid(steps(-90, 2.5, 73), steps(-340, 2.5, 144))));  // the same circle
  EXPECT_EQ(grid.difference(LatLonGrid(steps(-90, 2.5, 72), steps(20, 2.5, 144))), "73 latitudes against 72");
  EXPECT_EQ(grid.difference(LatLonGrid(steps(-90, 2.5, 73), steps(22.5, 2.5, 144))), "longitude 0: 20 against 22.5");
}

TEST(LatLon, JumpAtTheDateLineIsOneCircle) {
  std::vector<double> longitudes;
  for (int i = 0; i < 36; ++i) longitudes.push_back(i * 10 <= 180 ? i * 10 : i * 10 - 360);
  const LatLonGrid grid(steps(-85, 10, 18), longitudes);
  EXPECT_TRUE(grid.periodic());
  EXPECT_DOUBLE_EQ(grid.longitudes().back(), 350);
  EXPECT_EQ(grid.nearest_column(-9), 35);
  EXPECT_EQ(grid.nearest_row(50), 13);
}

TEST(LatLon, RefusesWhatIsNoGrid) {
  EXPECT_THAT(message_of([] { LatLonGrid({}, {0}); }), testing::HasSubstr("no latitudes"));
  EXPECT_THAT(message_of([] { LatLonGrid({0, 100}, {0}); }), testing::HasSubstr("beyond the pole"));
  EXPECT_THAT(message_of([] { LatLonGrid({0, 10, 5}, {0}); }), testing::HasSubstr("not in order"));
  EXPECT_THAT(message_of([] { LatLonGrid({0, NAN}, {0}); }), testing::HasSubstr("nan"));
  EXPECT_THAT(message_of([] { LatLonGrid({0}, steps(0, 10, 40)); }), testing::HasSubstr("more than a circle"));
}

TEST(LatLon, Names) {
  EXPECT_EQ(format_latitude(-12.5), "12.5S");
  EXPECT_EQ(format_longitude(377.5), "17.5E");
  EXPECT_EQ(format_longitude(182.5), "177.5W");
}

TEST(Insolation, SeasonsAndPoles) {
  const Calendar calendar = Calendar::standard;
  auto at = [&](double latitude, int month, int day) {
    return daily_insolation(latitude, calendar, {1990, month, day, 12, 0, 0});
  };
  // Equinox: S0/π at the equator, next to nothing at the poles. The sun is at (d̄/d)² = 1.01 in March.
  EXPECT_NEAR(at(0, 3, 21), kSolarConstant / std::numbers::pi, 6);
  EXPECT_LT(at(90, 3, 20), 6);
  // Solstice: the pole gets more than the equator; S0 sin(23.44°) × 0.967 = 523.5.
  EXPECT_NEAR(at(90, 6, 21), 523.5, 2);
  EXPECT_GT(at(90, 6, 21), at(0, 6, 21));
  // The southern summer is the stronger one: the Earth is nearest to the Sun in January.
  EXPECT_NEAR(at(-90, 12, 22), 1361 * std::sin(23.44 * std::numbers::pi / 180) * 1.0335, 2.5);
  // Polar night and midnight sun.
  EXPECT_EQ(at(-80, 6, 21), 0);
  EXPECT_EQ(at(75, 12, 22), 0);
  EXPECT_GT(at(66, 12, 22), 0);
  // The mean over the year and the sphere is S0/4.
  double total = 0, weights = 0;
  const LatLonGrid grid(steps(-89, 2, 90), {0});
  for (int day = 0; day < 365; ++day)
    for (size_t i = 0; i < 90; ++i) {
      total += grid.row_weights()[i] * daily_insolation(grid.latitudes()[i], (day + 0.5) / 365);
      weights += grid.row_weights()[i];
    }
  EXPECT_NEAR(total / weights, kSolarConstant / 4, 0.3);
  const auto rows = row_insolation(grid, Calendar::day360, {1990, 6, 21});
  EXPECT_EQ(rows.size(), 90u);
  EXPECT_GT(rows.back(), rows.front());
}

}  // namespace
}  // namespace gregale::grid
