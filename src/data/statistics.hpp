// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.hpp"

namespace gregale::data {

/// Of the valid values of one variable over some records, area-weighted (rows weighted by their cells' area).
struct VariableStatistics {
  double mean = 0;
  double std = 1;  ///< root of the weighted mean square deviation; 1 where the variable is constant
  double min = 0, max = 0;
  int64_t valid = 0, missing = 0;
};

/// One entry a variable. Missing values are skipped; throws ErrorCode::invalid_argument when a variable has no valid
/// value or an infinite one. Reads one field at a time.
std::vector<VariableStatistics> compute_statistics(const FieldDataset& dataset, std::span<const int64_t> records);
/// The same of a tensor [record, variable, lat, lon].
std::vector<VariableStatistics> compute_statistics(const Tensor& fields, const grid::LatLonGrid& grid);

/// The mean year at every grid point.
struct Climatology {
  enum class Kind : uint8_t {
    month,       ///< 12 bins: means over calendar months (steps of 28 days or more)
    day_of_year  ///< 366 × slots_per_day bins: means over a window of days around each day, at the same time of the day
  };
  Kind kind = Kind::month;
  int slots_per_day = 1;
  int window_days = 1;  ///< odd: the day itself and (window_days−1)/2 days either side
  grid::Calendar calendar = grid::Calendar::standard;
  Tensor mean;                  ///< f32 [bins, variable, lat, lon]
  std::vector<int64_t> counts;  ///< records in each bin (before the window)

  int64_t bins() const { return static_cast<int64_t>(counts.size()); }
  /// The bin of a date, 0-based: month−1, or (day of year−1)·slots + slot. Years of 365 days skip bin 60 (29 February).
  int64_t bin(const grid::DateTime& date) const;
  int64_t bin_at(int64_t seconds) const { return bin(grid::from_seconds(calendar, seconds)); }
  /// f32 [times.size(), variable, lat, lon]: the climatology at each time.
  Tensor at(std::span<const int64_t> seconds) const;
};

struct ClimatologyOptions {
  int window_days = 31;  ///< for Kind::day_of_year
};

/// Climatology of the records given (the training records alone, so that nothing of the test period leaks). A bin with
/// no valid value at a point takes the point's mean over all records; a point never valid stays NaN.
Climatology compute_climatology(const FieldDataset& dataset, std::span<const int64_t> records,
                                const ClimatologyOptions& options = {});

/// fields [record, variable, lat, lon] at `seconds`, minus the climatology there. NaN where either is missing.
Tensor anomalies(const Tensor& fields, const Climatology& climatology, std::span<const int64_t> seconds);

}  // namespace gregale::data
