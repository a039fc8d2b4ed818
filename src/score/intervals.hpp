// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gregale::score {

/// What an interval of RMSE(model) - RMSE(baseline) says.
enum class Verdict { better, indistinguishable, worse };
/// "better", "indistinguishable", "worse"
const char* to_string(Verdict verdict);

struct BootstrapOptions {
  int64_t resamples = 10000;
  /// Times drawn together, in circular moving blocks (Politis and Romano, "A circular block-resampling procedure for
  /// stationary data", 1992). 1 draws single times: right where successive errors are about independent, as monthly
  /// means nearly are; otherwise about the length over which they stay correlated.
  int64_t block = 1;
  double level = 0.95;
  uint64_t seed = 0;
};

/// Fewer verification times than this never give a verdict: five differences of one sign happen by chance in 1 of 16
/// cases, whatever a bootstrap of five numbers says.
inline constexpr int64_t kFewestTimes = 6;

struct PairedInterval {
  double difference = 0;         ///< RMSE(model) - RMSE(baseline): negative is better
  double low95 = 0, high95 = 0;  /// percentiles of the resampled differences (at `level`)
  int64_t times = 0;             ///< verification times with both errors
  int64_t block = 1;
  double lag1 = 0;  ///< autocorrelation, at one time step, of the difference of squared errors
  Verdict verdict = Verdict::indistinguishable;
};

/// Paired percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13) over
/// verification times: each resample draws times with replacement, the same ones for model and baseline, and takes the
/// root of each mean of squares. Arguments are the spatial mean squared errors of each time, in order of time
/// (ErrorSeries::squared); times where either is NaN are left out. Draws come from counter-based random numbers: equal
/// input gives equal bits, and every baseline is met by the same times. With fewer than two times the interval is NaN;
/// an infinite error decides the verdict by itself. Throws for a negative error, a block longer than the series, fewer
/// than 100 resamples.
PairedInterval paired_bootstrap(std::span<const double> squared_model, std::span<const double> squared_baseline,
                                const BootstrapOptions& options = {});

/// A sentence on how far the interval can be trusted, empty where nothing is to be said: too few times, or neighbouring
/// times correlated beyond chance (|lag1| > 2 / sqrt(times)) while the block length is 1.
std::string reliability_note(const PairedInterval& interval);

}  // namespace gregale::score
