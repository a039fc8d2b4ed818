// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/metrics.hpp"

#include <fmt/format.h>

#include <limits>
#include <numeric>

namespace gregale::score {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SeriesShape check_series(std::string_view who, const ValidMask& mask, int64_t variable,
                         std::initializer_list<const Tensor*> series) {
  for (const Tensor* one : series) {
    GREGALE_CHECK(series_shape(*one, who) == mask.shape(), shape, "[{}] a series of {} does not match the mask", who,
                  to_string(one->extents()));
  }
  GREGALE_CHECK(variable >= 0 && variable < mask.shape().variables, invalid_argument,
                "[{}] variable {} is out of range for {}", who, variable, mask.shape().variables);
  return mask.shape();
}

const float* field_of(const Tensor& series, const SeriesShape& shape, int64_t time, int64_t variable) {
  return series.as<float>().data() + (time * shape.variables + variable) * shape.points();
}

/// Mean over time of body(forecast, truth) at each point.
template <class Body>
Tensor point_means(std::string_view who, const Tensor& forecast, const Tensor& truth, const ValidMask& mask,
                   Body&& body) {
  const SeriesShape shape = mask.shape();
  if (shape.variables > 0) check_series(who, mask, 0, {&forecast, &truth});
  Tensor map(DType::f32, {shape.variables, shape.rows, shape.columns});
  auto out = map.as<float>();
  const auto points = static_cast<size_t>(shape.points());
  std::vector<double> sum(points);
  std::vector<int64_t> count(points);
  for (int64_t v = 0; v < shape.variables; ++v) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(count.begin(), count.end(), 0);
    for (int64_t t = 0; t < shape.times; ++t) {
      const float* f = field_of(forecast, shape, t, v);
      const float* o = field_of(truth, shape, t, v);
      const auto valid = mask.field(t, v);
      for (size_t i = 0; i < points; ++i) {
        if (!valid[i]) continue;
        sum[i] += body(static_cast<double>(f[i]) - o[i]);
        ++count[i];
      }
    }
    for (size_t i = 0; i < points; ++i)
      out[static_cast<size_t>(v) * points + i] =
          count[i] > 0 ? static_cast<float>(sum[i] / static_cast<double>(count[i])) : std::nanf("");
  }
  return map;
}

}  // namespace

ErrorSeries error_series(const Tensor& forecast, const Tensor& truth, const ValidMask& mask, int64_t variable,
                         std::span<const double> row_weights) {
  const SeriesShape shape = check_series("error_series", mask, variable, {&forecast, &truth});
  check_row_weights(row_weights, shape.rows, "error_series");
  const double whole =
      std::accumulate(row_weights.begin(), row_weights.end(), 0.0) * static_cast<double>(shape.columns);
  ErrorSeries series;
  for (int64_t t = 0; t < shape.times; ++t) {
    const float* f = field_of(forecast, shape, t, variable);
    const float* o = field_of(truth, shape, t, variable);
    const auto valid = mask.field(t, variable);
    double weight = 0, squared = 0, absolute = 0, error = 0;
    for (int64_t row = 0; row < shape.rows; ++row) {
      const double w = row_weights[static_cast<size_t>(row)];
      if (w == 0) continue;
      double n = 0, s2 = 0, s1 = 0, s = 0;
      for (int64_t i = row * shape.columns; i < (row + 1) * shape.columns; ++i) {
        if (!valid[static_cast<size_t>(i)]) continue;
        const double e = static_cast<double>(f[i]) - o[i];
        n += 1;
        s2 += e * e;
        s1 += std::abs(e);
        s += e;
      }
      weight += w * n;
      squared += w * s2;
      absolute += w * s1;
      error += w * s;
    }
    const bool any = weight > 0;
    series.weight.push_back(any ? weight / whole : 0);
    series.squared.push_back(any ? squared / weight : kNan);
    series.absolute.push_back(any ? absolute / weight : kNan);
    series.error.push_back(any ? error / weight : kNan);
  }
  return series;
}

ErrorSummary summarize(const ErrorSeries& series, std::span<const uint8_t> keep) {
  GREGALE_CHECK(keep.size() == series.weight.size(), shape, "[summarize] {} flags for {} times", keep.size(),
                series.weight.size());
  ErrorSummary summary;
  double squared = 0, absolute = 0, error = 0;
  for (size_t t = 0; t < keep.size(); ++t) {
    if (!keep[t] || !(series.weight[t] > 0)) continue;
    squared += series.squared[t];
    absolute += series.absolute[t];
    error += series.error[t];
    ++summary.times;
  }
  const double n = summary.times > 0 ? static_cast<double>(summary.times) : kNan;
  summary.rmse = std::sqrt(squared / n);
  summary.mae = absolute / n;
  summary.bias = error / n;
  return summary;
}

ErrorSummary summarize(const ErrorSeries& series) {
  return summarize(series, std::vector<uint8_t>(series.weight.size(), 1));
}

std::vector<ErrorSummary> summarize_by_month(const ErrorSeries& series, std::span<const int> month) {
  GREGALE_CHECK(month.size() == series.weight.size(), shape, "[summarize_by_month] {} months for {} times",
                month.size(), series.weight.size());
  std::vector<ErrorSummary> months;
  std::vector<uint8_t> keep(month.size());
  for (int m = 0; m < 12; ++m) {
    for (size_t t = 0; t < month.size(); ++t) {
      GREGALE_CHECK(month[t] >= 0 && month[t] < 12, invalid_argument, "[summarize_by_month] month {} is not 0 to 11",
                    month[t]);
      keep[t] = month[t] == m;
    }
    months.push_back(summarize(series, keep));
  }
  return months;
}

std::vector<double> anomaly_correlation_series(const Tensor& forecast, const Tensor& truth, const Tensor& climatology,
                                               const ValidMask& mask, int64_t variable,
                                               std::span<const double> row_weights) {
  const SeriesShape shape = check_series("anomaly_correlation", mask, variable, {&forecast, &truth, &climatology});
  check_row_weights(row_weights, shape.rows, "anomaly_correlation");
  std::vector<double> correlations;
  for (int64_t t = 0; t < shape.times; ++t) {
    const float* f = field_of(forecast, shape, t, variable);
    const float* o = field_of(truth, shape, t, variable);
    const float* c = field_of(climatology, shape, t, variable);
    const auto valid = mask.field(t, variable);
    double fo = 0, ff = 0, oo = 0;
    for (int64_t row = 0; row < shape.rows; ++row) {
      const double w = row_weights[static_cast<size_t>(row)];
      for (int64_t i = row * shape.columns; i < (row + 1) * shape.columns; ++i) {
        if (!valid[static_cast<size_t>(i)]) continue;
        // A point that is not valid may lack its climatology too: nothing is read from it.
        const double a = static_cast<double>(f[i]) - c[i];
        const double b = static_cast<double>(o[i]) - c[i];
        fo += w * a * b;
        ff += w * a * a;
        oo += w * b * b;
      }
    }
    correlations.push_back(ff > 0 && oo > 0 ? fo / (std::sqrt(ff) * std::sqrt(oo)) : kNan);
  }
  return correlations;
}

double mean_of_valid(std::span<const double> values) {
  double sum = 0;
  int64_t count = 0;
  for (double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : kNan;
}

Tensor rmse_map(const Tensor& forecast, const Tensor& truth, const ValidMask& mask) {
  Tensor map = point_means("rmse_map", forecast, truth, mask, [](double e) { return e * e; });
  for (float& value : map.as<float>()) value = std::sqrt(value);
  return map;
}

Tensor bias_map(const Tensor& forecast, const Tensor& truth, const ValidMask& mask) {
  return point_means("bias_map", forecast, truth, mask, [](double e) { return e; });
}

Tensor skill_difference_map(const Tensor& forecast, const Tensor& baseline, const Tensor& truth,
                            const ValidMask& mask) {
  Tensor map = rmse_map(forecast, truth, mask);
  const Tensor other = rmse_map(baseline, truth, mask);
  auto out = map.as<float>();
  const auto subtract = other.as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] -= subtract[i];
  return map;
}

double missing_share(const Tensor& forecast, const Tensor& truth, int64_t variable,
                     std::span<const double> row_weights) {
  const SeriesShape shape = series_shape(truth, "missing_share");
  GREGALE_CHECK(series_shape(forecast, "missing_share") == shape, shape, "[missing_share] {} and {} do not match",
                to_string(forecast.extents()), to_string(truth.extents()));
  GREGALE_CHECK(variable >= 0 && variable < shape.variables, invalid_argument,
                "[missing_share] variable {} is out of range for {}", variable, shape.variables);
  check_row_weights(row_weights, shape.rows, "missing_share");
  double missing = 0, present = 0;
  for (int64_t t = 0; t < shape.times; ++t) {
    const float* f = field_of(forecast, shape, t, variable);
    const float* o = field_of(truth, shape, t, variable);
    for (int64_t i = 0; i < shape.points(); ++i) {
      if (std::isnan(o[i])) continue;
      const double w = row_weights[static_cast<size_t>(i / shape.columns)];
      present += w;
      if (std::isnan(f[i])) missing += w;
    }
  }
  return present > 0 ? missing / present : 0;
}

}  // namespace gregale::score
