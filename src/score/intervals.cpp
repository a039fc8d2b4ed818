// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/intervals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gregale/error.hpp"
#include "gregale/random.hpp"

namespace gregale::score {
namespace {

/// Linear interpolation between order statistics of sorted values.
double quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double lag1_autocorrelation(const std::vector<double>& values) {
  const size_t n = values.size();
  double mean = 0, variance = 0, covariance = 0;
  for (double value : values) mean += value / static_cast<double>(n);
  for (double value : values) variance += (value - mean) * (value - mean);
  for (size_t i = 1; i < n; ++i) covariance += (values[i] - mean) * (values[i - 1] - mean);
  return variance > 0 ? covariance / variance : 0;
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::indistinguishable:
      break;
  }
  return "indistinguishable";
}

PairedInterval paired_bootstrap(std::span<const double> squared_model, std::span<const double> squared_baseline,
                                const BootstrapOptions& options) {
  GREGALE_CHECK(squared_model.size() == squared_baseline.size(), shape,
                "[paired_bootstrap] {} times of the model and {} of the baseline", squared_model.size(),
                squared_baseline.size());
  GREGALE_CHECK(options.resamples >= 100, invalid_argument, "[paired_bootstrap] {} resamples are fewer than 100",
                options.resamples);
  GREGALE_CHECK(options.level > 0 && options.level < 1, invalid_argument,
                "[paired_bootstrap] level {} is not in (0, 1)", options.level);
  std::vector<double> model, baseline, difference;
  for (size_t t = 0; t < squared_model.size(); ++t) {
    if (std::isnan(squared_model[t]) || std::isnan(squared_baseline[t])) continue;
    GREGALE_CHECK(squared_model[t] >= 0 && squared_baseline[t] >= 0, invalid_argument,
                  "[paired_bootstrap] the squared errors of time {} are {} and {}", t, squared_model[t],
                  squared_baseline[t]);
    model.push_back(squared_model[t]);
    baseline.push_back(squared_baseline[t]);
    difference.push_back(squared_model[t] - squared_baseline[t]);
  }
  const auto n = static_cast<int64_t>(model.size());
  PairedInterval interval;
  interval.times = n;
  interval.block = options.block;
  if (n < 2) {
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    interval.difference = n == 1 ? std::sqrt(model[0]) - std::sqrt(baseline[0]) : kNan;
    interval.low95 = interval.high95 = kNan;
    return interval;
  }
  GREGALE_CHECK(options.block >= 1 && options.block <= n, invalid_argument,
                "[paired_bootstrap] a block of {} does not fit {} times", options.block, n);
  double model_mean = 0, baseline_mean = 0;
  for (int64_t t = 0; t < n; ++t) {
    model_mean += model[static_cast<size_t>(t)];
    baseline_mean += baseline[static_cast<size_t>(t)];
  }
  const auto count = static_cast<double>(n);
  interval.difference = std::sqrt(model_mean / count) - std::sqrt(baseline_mean / count);
  if (!std::isfinite(model_mean) || !std::isfinite(baseline_mean)) {
    // A forecast that blew up needs no interval, and would leave NaN in the
    // resamples.
    interval.low95 = interval.high95 = interval.difference;
    if (n >= kFewestTimes && !std::isnan(interval.difference))
      interval.verdict = interval.difference > 0 ? Verdict::worse : Verdict::better;
    return interval;
  }
  interval.lag1 = lag1_autocorrelation(difference);

  const RandomKey key{options.seed, 0, stream_of("score/paired_bootstrap")};
  const int64_t blocks = (n + options.block - 1) / options.block;
  std::vector<double> resampled(static_cast<size_t>(options.resamples));
  for (int64_t b = 0; b < options.resamples; ++b) {
    double m = 0, r = 0;
    int64_t drawn = 0;
    for (int64_t j = 0; j < blocks; ++j) {
      const uint64_t start = random_below(key, static_cast<uint64_t>(b * blocks + j), static_cast<uint64_t>(n));
      for (int64_t i = 0; i < options.block && drawn < n; ++i, ++drawn) {
        const size_t t = (start + static_cast<uint64_t>(i)) % static_cast<uint64_t>(n);
        m += model[t];
        r += baseline[t];
      }
    }
    resampled[static_cast<size_t>(b)] = std::sqrt(m / count) - std::sqrt(r / count);
  }
  std::sort(resampled.begin(), resampled.end());
  interval.low95 = quantile(resampled, (1 - options.level) / 2);
  interval.high95 = quantile(resampled, (1 + options.level) / 2);
  if (n >= kFewestTimes) {
    if (interval.high95 < 0) interval.verdict = Verdict::better;
    if (interval.low95 > 0) interval.verdict = Verdict::worse;
  }
  return interval;
}

std::string reliability_note(const PairedInterval& interval) {
  if (interval.times < kFewestTimes)
    return fmt::format("{} verification times are too few for a verdict.", interval.times);
  const auto count = static_cast<double>(interval.times);
  if (interval.block == 1 && std::abs(interval.lag1) > 2 / std::sqrt(count)) {
    if (interval.lag1 < 0)
      return fmt::format(
          "Errors of neighbouring times alternate ({:+.2f}): "
          "the interval is probably too wide.",
          interval.lag1);
    // Times of an AR(1) series with this autocorrelation carry as much as so
    // many independent ones.
    const double worth = std::max(1.0, count * (1 - interval.lag1) / (1 + interval.lag1));
    return fmt::format(
        "Errors of neighbouring times are alike ({:+.2f}): {} of them tell as "
        "much as {:.0f} independent ones, and the "
        "interval is too narrow.",
        interval.lag1, interval.times, worth);
  }
  return "";
}

}  // namespace gregale::score
