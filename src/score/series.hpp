// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gregale/tensor.hpp"

namespace gregale::score {

using gregale::to_string;  // of extents, beside this room's own

/// A field series is f32 [time, variable, lat, lon], NaN where a value is missing. Row weights are double[lat], cell
/// areas sin(upper) - sin(lower) or anything proportional to them.
struct SeriesShape {
  int64_t times = 0, variables = 0, rows = 0, columns = 0;
  int64_t points() const { return rows * columns; }
  int64_t record() const { return variables * points(); }  ///< elements of one time
  friend bool operator==(const SeriesShape&, const SeriesShape&) = default;
};

/// The shape of a series; throws ErrorCode::shape or dtype, naming `who`, where it is none.
SeriesShape series_shape(const Tensor& series, std::string_view who);

/// Records [begin, begin + count) of a series: a view that keeps the series' buffer alive.
Tensor slice_records(const Tensor& series, int64_t begin, int64_t count);

/// Which points count: 1 where every series given has a value (not NaN; an infinity is a value, and a bad one).
/// All of them must have one shape. A forecast and everything it is compared with share one mask.
class ValidMask {
 public:
  static ValidMask common(std::span<const Tensor> series);
  const SeriesShape& shape() const { return shape_; }
  /// Flags of one time and variable, [lat, lon].
  std::span<const uint8_t> field(int64_t time, int64_t variable) const;
  bool all() const { return all_; }

 private:
  SeriesShape shape_;
  std::vector<uint8_t> flags_;
  bool all_ = true;
};

/// A set of rows with their weights: the globe, a latitude band. Rows outside weigh 0.
struct Region {
  std::string name;
  std::vector<double> row_weights;
};

/// Checks that weights are finite, not negative, one a row and not all zero.
void check_row_weights(std::span<const double> weights, int64_t rows, std::string_view who);

/// The five bands 90S-60S, 60S-30S, 30S-30N, 30N-60N, 60N-90N of a grid, latitudes in degrees north in either order. A
/// cell that straddles a border is split in proportion to its area, so that the bands add up to the row weights.
/// Bands the grid does not reach are left out.
std::vector<Region> latitude_bands(std::span<const double> latitudes, std::span<const double> row_weights);

}  // namespace gregale::score
