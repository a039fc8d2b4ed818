// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "grid/insolation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gregale::grid {

SunPosition sun_position(double year_fraction) {
  const double g = 2 * std::numbers::pi * year_fraction;
  return {0.006918 - 0.399912 * std::cos(g) + 0.070257 * std::sin(g) - 0.006758 * std::cos(2 * g) +
              0.000907 * std::sin(2 * g) - 0.002697 * std::cos(3 * g) + 0.00148 * std::sin(3 * g),
          1.000110 + 0.034221 * std::cos(g) + 0.001280 * std::sin(g) + 0.000719 * std::cos(2 * g) +
              0.000077 * std::sin(2 * g)};
}

double daily_insolation(double latitude_degrees, double year_fraction) {
  const SunPosition sun = sun_position(year_fraction);
  const double phi = latitude_degrees * std::numbers::pi / 180;
  const double along = std::sin(phi) * std::sin(sun.declination);
  const double across = std::cos(phi) * std::cos(sun.declination);
  // cos h0 = −tanφ tanδ written without dividing by the cosine, which vanishes at the poles: beyond ±1 the sun does not
  // set (h0 = π) or does not rise (h0 = 0).
  double h0 = 0;
  if (along >= across)
    h0 = std::numbers::pi;
  else if (along > -across)
    h0 = std::acos(std::clamp(-along / across, -1.0, 1.0));
  const double mean = kSolarConstant / std::numbers::pi * sun.distance_factor * (h0 * along + across * std::sin(h0));
  return std::max(mean, 0.0);
}

double daily_insolation(double latitude_degrees, Calendar calendar, const DateTime& date) {
  return daily_insolation(latitude_degrees, year_fraction(calendar, date));
}

std::vector<float> row_insolation(const LatLonGrid& grid, Calendar calendar, const DateTime& date) {
  const double fraction = year_fraction(calendar, date);
  std::vector<float> result;
  result.reserve(static_cast<size_t>(grid.rows()));
  for (double latitude : grid.latitudes()) result.push_back(static_cast<float>(daily_insolation(latitude, fraction)));
  return result;
}

}  // namespace gregale::grid
