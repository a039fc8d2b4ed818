// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "grid/calendar.hpp"
#include "grid/latlon.hpp"

namespace gregale::grid {

inline constexpr double kSolarConstant = 1361.0;  ///< W m-2 (Kopp and Lean 2011, doi:10.1029/2010GL045777)

/// Solar declination in radians and squared ratio of mean to actual distance of the Sun, by the Fourier series of
/// Spencer, J. W. (1971): Fourier series representation of the position of the sun. Search 2(5), 172. The day angle is
/// 2π times the fraction of the year, so that every calendar has a whole cycle a year.
struct SunPosition {
  double declination = 0;
  double distance_factor = 1;
};
SunPosition sun_position(double year_fraction);

/// Daily-mean insolation at the top of the atmosphere in W m-2: (S0/π) (d̄/d)² (h0 sinφ sinδ + cosφ cosδ sin h0), with
/// cos h0 = −tanφ tanδ; 0 in polar night (Hartmann, Global Physical Climatology, eq. 2.17).
double daily_insolation(double latitude_degrees, double year_fraction);
double daily_insolation(double latitude_degrees, Calendar calendar, const DateTime& date);

/// One value a row of the grid, W m-2.
std::vector<float> row_insolation(const LatLonGrid& grid, Calendar calendar, const DateTime& date);

}  // namespace gregale::grid
