// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "grid/latlon.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "gregale/error.hpp"

namespace gregale::grid {
namespace {

constexpr double kPoleTolerance = 1e-3;  // degrees: files round their latitudes to float
constexpr int64_t kMaxAxis = int64_t{1} << 24;

void check_axis(const std::vector<double>& values, const char* what) {
  GREGALE_CHECK(!values.empty(), invalid_argument, "the grid has no {}s", what);
  GREGALE_CHECK(static_cast<int64_t>(values.size()) <= kMaxAxis, invalid_argument, "{} {}s are too many", values.size(),
                what);
  for (size_t i = 0; i < values.size(); ++i)
    GREGALE_CHECK(std::isfinite(values[i]) && std::abs(values[i]) < 1e4, invalid_argument, "{} {} is {}", what, i,
                  values[i]);
  const bool up = values.size() > 1 && values[1] > values[0];
  for (size_t i = 1; i < values.size(); ++i)
    GREGALE_CHECK(up ? values[i] > values[i - 1] : values[i] < values[i - 1], invalid_argument,
                  "{}s are not in order: {} follows {} (number {})", what, values[i], values[i - 1], i);
}

// Mid-points, and half a step beyond both ends. A single cell is one degree wide.
std::vector<double> bounds_of(const std::vector<double>& values) {
  const size_t n = values.size();
  if (n == 1) return {values[0] - 0.5, values[0] + 0.5};
  std::vector<double> bounds(n + 1);
  for (size_t i = 1; i < n; ++i) bounds[i] = 0.5 * (values[i - 1] + values[i]);
  bounds[0] = values[0] - 0.5 * (values[1] - values[0]);
  bounds[n] = values[n - 1] + 0.5 * (values[n - 1] - values[n - 2]);
  return bounds;
}

// An end bound that reaches or passes the pole, or leaves less than half a row before it, lies on the pole.
double clamp_to_pole(double bound, double half_step) {
  if (std::abs(bound) > 90 - half_step * (1 - 1e-6)) return bound > 0 ? 90 : -90;
  return bound;
}

}  // namespace

LatLonGrid::LatLonGrid(std::vector<double> latitudes, std::vector<double> longitudes)
    : latitudes_(std::move(latitudes)), longitudes_(std::move(longitudes)) {
  check_axis(latitudes_, "latitude");
  for (double& latitude : latitudes_) {
    GREGALE_CHECK(std::abs(latitude) <= 90 + kPoleTolerance, invalid_argument, "latitude {} lies beyond the pole",
                  latitude);
    latitude = std::clamp(latitude, -90.0, 90.0);
  }
  check_axis(latitudes_, "latitude");

  // 0, 1, ..., 180, −179, ..., −1 is one circle written with a jump: undo it.
  const bool monotonic =
      std::adjacent_find(longitudes_.begin(), longitudes_.end(), std::less_equal<>()) == longitudes_.end() ||
      std::adjacent_find(longitudes_.begin(), longitudes_.end(), std::greater_equal<>()) == longitudes_.end();
  for (size_t i = 1; i < longitudes_.size() && !monotonic; ++i) {
    const double jump = longitudes_[i] - longitudes_[i - 1];
    if (std::abs(jump) > 180 && std::abs(jump) <= 360.5) {
      const double turn = jump < 0 ? 360 : -360;
      for (size_t j = i; j < longitudes_.size(); ++j) longitudes_[j] += turn;
    }
  }
  check_axis(longitudes_, "longitude");
  const double span = std::abs(longitudes_.back() - longitudes_.front());
  GREGALE_CHECK(span <= 360 + kPoleTolerance, invalid_argument, "longitudes span {} degrees, more than a circle", span);

  latitude_bounds_ = bounds_of(latitudes_);
  if (rows() > 1) {
    const auto n = latitudes_.size();
    latitude_bounds_[0] = clamp_to_pole(latitude_bounds_[0], 0.5 * std::abs(latitudes_[1] - latitudes_[0]));
    latitude_bounds_[n] = clamp_to_pole(latitude_bounds_[n], 0.5 * std::abs(latitudes_[n - 1] - latitudes_[n - 2]));
  } else {
    for (double& bound : latitude_bounds_) bound = std::clamp(bound, -90.0, 90.0);
  }
  longitude_bounds_ = bounds_of(longitudes_);
  if (columns() > 1) {
    const double step = span / static_cast<double>(columns() - 1);
    even_longitudes_ = true;
    for (size_t i = 1; i < longitudes_.size(); ++i)
      even_longitudes_ =
          even_longitudes_ && std::abs(std::abs(longitudes_[i] - longitudes_[i - 1]) - step) <= 0.01 * step;
    const double seam = 360 - span;
    periodic_ = std::abs(seam - step) <= (even_longitudes_ ? 0.05 : 0.5) * step;
  }

  constexpr double kRadians = std::numbers::pi / 180;
  double total = 0;
  for (size_t i = 0; i < latitudes_.size(); ++i) {
    row_weights_.push_back(
        std::abs(std::sin(latitude_bounds_[i + 1] * kRadians) - std::sin(latitude_bounds_[i] * kRadians)));
    total += row_weights_.back();
  }
  for (double& weight : row_weights_) weight *= static_cast<double>(rows()) / total;
}

bool LatLonGrid::reaches_pole(bool north) const {
  if (rows() == 0) return false;
  const double bound = north == descending() ? latitude_bounds_.front() : latitude_bounds_.back();
  return north ? bound > 90 - kPoleTolerance : bound < -90 + kPoleTolerance;
}

bool LatLonGrid::has_pole_row(bool north) const {
  if (rows() == 0) return false;
  const double latitude = north == descending() ? latitudes_.front() : latitudes_.back();
  return north ? latitude > 90 - kPoleTolerance : latitude < -90 + kPoleTolerance;
}

bool LatLonGrid::can_cross_pole(bool north) const {
  return rows() > 1 && periodic_ && even_longitudes_ && columns() % 2 == 0 && reaches_pole(north);
}

PoleRow LatLonGrid::across_pole(int64_t row) const {
  const int64_t n = rows();
  if (row >= 0 && row < n) return {row, 0, false};
  const bool front = row < 0;
  const bool north = front == descending();
  GREGALE_CHECK(
      can_cross_pole(north), unsupported,
      "the grid ({}) cannot be continued across the {} pole: that takes rows up to the pole and evenly spaced "
      "longitudes, even in number, all round",
      describe(), north ? "north" : "south");
  const int64_t beyond = front ? -row : row - (n - 1);  // 1, 2, ...
  const int64_t inside = has_pole_row(north) ? beyond : beyond - 1;
  GREGALE_CHECK(inside < n, invalid_argument, "row {} is too far beyond the pole for {} rows", row, n);
  return {front ? inside : n - 1 - inside, columns() / 2, true};
}

int64_t LatLonGrid::nearest_row(double latitude) const {
  int64_t best = 0;
  for (int64_t i = 1; i < rows(); ++i)
    if (std::abs(latitudes_[static_cast<size_t>(i)] - latitude) <
        std::abs(latitudes_[static_cast<size_t>(best)] - latitude))
      best = i;
  return best;
}

int64_t LatLonGrid::nearest_column(double longitude) const {
  auto distance = [&](int64_t i) {
    return std::abs(std::remainder(longitudes_[static_cast<size_t>(i)] - longitude, 360.0));
  };
  int64_t best = 0;
  for (int64_t i = 1; i < columns(); ++i)
    if (distance(i) < distance(best)) best = i;
  return best;
}

std::string LatLonGrid::difference(const LatLonGrid& other, double tolerance) const {
  if (rows() != other.rows()) return fmt::format("{} latitudes against {}", rows(), other.rows());
  if (columns() != other.columns()) return fmt::format("{} longitudes against {}", columns(), other.columns());
  for (size_t i = 0; i < latitudes_.size(); ++i)
    if (std::abs(latitudes_[i] - other.latitudes_[i]) > tolerance)
      return fmt::format("latitude {}: {:g} against {:g}", i, latitudes_[i], other.latitudes_[i]);
  for (size_t i = 0; i < longitudes_.size(); ++i)
    if (std::abs(std::remainder(longitudes_[i] - other.longitudes_[i], 360.0)) > tolerance)
      return fmt::format("longitude {}: {:g} against {:g}", i, longitudes_[i], other.longitudes_[i]);
  return "";
}

std::string LatLonGrid::describe() const {
  if (rows() == 0) return "no grid";
  return fmt::format("{} x {}, {} to {}, {:g}E to {:g}E ({})", rows(), columns(), format_latitude(latitudes_.front()),
                     format_latitude(latitudes_.back()), longitudes_.front(), longitudes_.back(),
                     global() ? "global" : (periodic_ ? "zonally periodic" : "regional"));
}

std::string format_latitude(double degrees) {
  if (degrees == 0) return "0";
  return fmt::format("{:g}{}", std::abs(degrees), degrees < 0 ? "S" : "N");
}

std::string format_longitude(double degrees) {
  const double wrapped = std::remainder(degrees, 360.0);
  if (wrapped == 0) return "0";
  if (std::abs(wrapped) == 180) return "180";
  return fmt::format("{:g}{}", std::abs(wrapped), wrapped < 0 ? "W" : "E");
}

}  // namespace gregale::grid
