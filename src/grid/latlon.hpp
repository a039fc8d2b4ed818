// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gregale::grid {

/// Where a row of the padded grid takes its values from.
struct PoleRow {
  int64_t row = 0;           ///< row of the grid
  int64_t column_shift = 0;  ///< value at column c comes from column (c + column_shift) mod columns
  bool across = false;       ///< beyond the pole: vector components change sign
};

/// A grid of latitudes × longitudes in degrees, both strictly monotonic and kept in the order of the file.
class LatLonGrid {
 public:
  LatLonGrid() = default;
  /// Throws ErrorCode::invalid_argument where an axis is empty, not finite, not strictly monotonic, a latitude lies
  /// beyond ±90 (by more than 1e-3) or longitudes span more than a full circle.
  LatLonGrid(std::vector<double> latitudes, std::vector<double> longitudes);

  int64_t rows() const { return static_cast<int64_t>(latitudes_.size()); }
  int64_t columns() const { return static_cast<int64_t>(longitudes_.size()); }
  int64_t cells() const { return rows() * columns(); }
  const std::vector<double>& latitudes() const { return latitudes_; }
  const std::vector<double>& longitudes() const { return longitudes_; }
  bool descending() const { return rows() > 1 && latitudes_.front() > latitudes_.back(); }  ///< north first
  /// The longitudes go round the globe: the last is one step before the first.
  bool periodic() const { return periodic_; }
  bool global() const { return periodic_ && reaches_pole(false) && reaches_pole(true); }

  /// rows()+1 cell bounds at mid-points, in the order of the rows; an end cell that reaches or passes a pole ends
  /// there.
  const std::vector<double>& latitude_bounds() const { return latitude_bounds_; }
  const std::vector<double>& longitude_bounds() const { return longitude_bounds_; }  ///< columns()+1
  /// Area weights per row, sin(upper) − sin(lower) of the cell bounds, scaled to mean 1 over the rows (WeatherBench2).
  const std::vector<double>& row_weights() const { return row_weights_; }

  /// Whether the last cell towards that pole touches it.
  bool reaches_pole(bool north) const;
  /// Whether a row stands on the pole itself.
  bool has_pole_row(bool north) const;
  /// Rows beyond the poles exist where longitudes are evenly spaced, go round, are even in number, and the grid reaches
  /// that pole.
  bool can_cross_pole(bool north) const;
  /// The row at index `row`, which may lie up to rows()−1 outside [0, rows()): beyond the pole the rows come back 180°
  /// further along (a row on the pole is not repeated). Throws ErrorCode::unsupported where that cannot be.
  PoleRow across_pole(int64_t row) const;

  int64_t nearest_row(double latitude) const;
  int64_t nearest_column(double longitude) const;  ///< the nearest around the circle

  /// What differs ("73 latitudes against 72", "latitude 3: 10 against 10.5"), empty where the grids agree within
  /// `tolerance` degrees. Longitudes are compared modulo 360.
  std::string difference(const LatLonGrid& other, double tolerance = 1e-3) const;
  bool same_as(const LatLonGrid& other, double tolerance = 1e-3) const { return difference(other, tolerance).empty(); }
  /// "73 x 144, 90S to 90N, 20E to 377.5E (global)"
  std::string describe() const;

 private:
  std::vector<double> latitudes_, longitudes_, latitude_bounds_, longitude_bounds_, row_weights_;
  bool periodic_ = false;
  bool even_longitudes_ = false;
};

/// "30S", "0", "12.5N"; "20E", "177.5W".
std::string format_latitude(double degrees);
std::string format_longitude(double degrees);

}  // namespace gregale::grid
