// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "score/series.hpp"

namespace gregale::score {

/// Error measures on a latitude-longitude grid, as WeatherBench 2 defines them (Rasp et al., "WeatherBench 2", JAMES
/// 2024; its metrics.py): every spatial mean weighs cells by their area and, where points are missing, divides by the
/// weight of the valid ones. docs/scores.md has the formulas. Units are those of the variable.
///
/// A mask says which points count. Build one mask from the forecast, the truth, the climatology and all baselines, so
/// that each of them is measured on the same points.

/// Spatial means of one variable at each time. A time without a valid point has weight 0 and NaN means.
struct ErrorSeries {
  std::vector<double> weight;    ///< share of the region's area that is valid, 0 to 1
  std::vector<double> squared;   ///< mean of (forecast - truth)^2
  std::vector<double> absolute;  ///< mean of |forecast - truth|
  std::vector<double> error;     ///< mean of forecast - truth
};
ErrorSeries error_series(const Tensor& forecast, const Tensor& truth, const ValidMask& mask, int64_t variable,
                         std::span<const double> row_weights);

/// Means over the times that have a valid point; NaN when there is none.
struct ErrorSummary {
  double rmse = 0;  ///< the root of the mean over space *and* time of squares ("root last"), not the mean of roots
  double mae = 0;
  double bias = 0;
  int64_t times = 0;
};
ErrorSummary summarize(const ErrorSeries& series);
/// The same over the times chosen (`keep[t]` not 0), e.g. one calendar month.
ErrorSummary summarize(const ErrorSeries& series, std::span<const uint8_t> keep);
/// By calendar month: month[t] in 0..11; twelve summaries, with times == 0 and NaN where a month does not occur.
std::vector<ErrorSummary> summarize_by_month(const ErrorSeries& series, std::span<const int> month);

/// Anomaly correlation at each time: sum(w f' o') / sqrt(sum(w f'^2) sum(w o'^2)) with anomalies from `climatology`
/// (the series of its values at the same times); no spatial mean is removed. NaN where an anomaly is zero everywhere.
std::vector<double> anomaly_correlation_series(const Tensor& forecast, const Tensor& truth, const Tensor& climatology,
                                               const ValidMask& mask, int64_t variable,
                                               std::span<const double> row_weights);
/// Mean of the values that are not NaN; NaN when there is none. ACC is this mean over times.
double mean_of_valid(std::span<const double> values);

/// RMSE over time at each point: f32 [variable, lat, lon], NaN where no time is valid.
Tensor rmse_map(const Tensor& forecast, const Tensor& truth, const ValidMask& mask);
/// Mean error over time at each point: f32 [variable, lat, lon].
Tensor bias_map(const Tensor& forecast, const Tensor& truth, const ValidMask& mask);
/// rmse_map(forecast) - rmse_map(baseline): negative where the forecast is better.
Tensor skill_difference_map(const Tensor& forecast, const Tensor& baseline, const Tensor& truth, const ValidMask& mask);

/// The area-weighted share of points where the truth has a value and the forecast has none, averaged over times: a
/// forecast must not look better by leaving out what it cannot do, so scores report this number.
double missing_share(const Tensor& forecast, const Tensor& truth, int64_t variable,
                     std::span<const double> row_weights);

}  // namespace gregale::score
