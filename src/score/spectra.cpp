// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/spectra.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numbers>

namespace gregale::score {
namespace {

using Complex = std::complex<double>;

/// Cooley-Tukey over the smallest prime factor p of n: out[0..n) = the DFT of in[0], in[stride], ... roots[j] =
/// exp(-2 pi i j / total); total / n roots are one root of n.
void mixed_radix_dft(const Complex* in, Complex* out, int64_t n, int64_t stride, const std::vector<Complex>& roots) {
  if (n == 1) {
    out[0] = in[0];
    return;
  }
  int64_t p = 2;
  while (p * p <= n && n % p != 0) ++p;
  if (n % p != 0) p = n;
  const int64_t m = n / p;
  for (int64_t r = 0; r < p; ++r) mixed_radix_dft(in + r * stride, out + r * m, m, stride * p, roots);
  const int64_t step = static_cast<int64_t>(roots.size()) / n;
  std::vector<Complex> column(static_cast<size_t>(p));
  for (int64_t k = 0; k < m; ++k) {
    for (int64_t r = 0; r < p; ++r) column[static_cast<size_t>(r)] = out[r * m + k];
    for (int64_t q = 0; q < p; ++q) {
      Complex sum = column[0];
      for (int64_t r = 1; r < p; ++r)
        sum += column[static_cast<size_t>(r)] * roots[static_cast<size_t>(r * (k + q * m) % n * step)];
      out[q * m + k] = sum;
    }
  }
}

std::vector<Complex> unit_roots(size_t n) {
  std::vector<Complex> roots(n);
  for (size_t j = 0; j < n; ++j) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(n);
    roots[j] = {std::cos(angle), std::sin(angle)};
  }
  return roots;
}

/// What zonal_power computes, with the roots of the length at hand.
void add_zonal_power(std::span<const float> row, double circumference, double weight, const std::vector<Complex>& roots,
                     std::vector<Complex>& in, std::vector<Complex>& out, std::vector<double>& power) {
  const size_t n = row.size();
  for (size_t i = 0; i < n; ++i) in[i] = row[i];
  mixed_radix_dft(in.data(), out.data(), static_cast<int64_t>(n), 1, roots);
  for (size_t k = 0; k < power.size(); ++k)
    power[k] += weight * (k == 0 ? 1 : 2) * circumference * std::norm(out[k] / static_cast<double>(n));
}

double circumference_at(double latitude) {
  // cos(90 degrees) is 6e-17 in f64; a pole's circle has no length.
  return 2 * std::numbers::pi * kEarthRadius * std::max(0.0, std::cos(latitude * std::numbers::pi / 180));
}

}  // namespace

std::vector<std::complex<double>> forward_dft(std::span<const double> values) {
  const size_t n = values.size();
  GREGALE_CHECK(n > 0, shape, "[forward_dft] needs at least one value");
  const std::vector<Complex> in(values.begin(), values.end());
  std::vector<Complex> out(n);
  mixed_radix_dft(in.data(), out.data(), static_cast<int64_t>(n), 1, unit_roots(n));
  out.resize(n / 2 + 1);
  for (Complex& value : out) value /= static_cast<double>(n);
  return out;
}

std::vector<double> zonal_power(std::span<const double> values, double latitude) {
  const auto f = forward_dft(values);
  std::vector<double> power(f.size());
  for (size_t k = 0; k < f.size(); ++k) power[k] = (k == 0 ? 1 : 2) * circumference_at(latitude) * std::norm(f[k]);
  return power;
}

bool is_full_circle(std::span<const double> longitudes) {
  if (longitudes.size() < 2) return false;
  const auto n = static_cast<double>(longitudes.size());
  const double spacing = longitudes[1] - longitudes[0];
  for (size_t i = 1; i < longitudes.size(); ++i)
    if (!(std::abs(longitudes[i] - longitudes[i - 1] - spacing) <= 1e-3 * std::abs(spacing))) return false;
  return std::abs(std::abs(spacing) * n - 360) <= 1e-3 * std::abs(spacing);
}

SpectrumPair zonal_spectra(const Tensor& forecast, const Tensor& truth, const ValidMask& mask, int64_t variable,
                           std::span<const double> latitudes, std::span<const double> row_weights) {
  const SeriesShape shape = mask.shape();
  GREGALE_CHECK(series_shape(forecast, "zonal_spectra") == shape && series_shape(truth, "zonal_spectra") == shape,
                shape, "[zonal_spectra] {} and {} do not match the mask", to_string(forecast.extents()),
                to_string(truth.extents()));
  GREGALE_CHECK(variable >= 0 && variable < shape.variables, invalid_argument,
                "[zonal_spectra] variable {} is out of range for {}", variable, shape.variables);
  GREGALE_CHECK(static_cast<int64_t>(latitudes.size()) == shape.rows, shape, "[zonal_spectra] {} latitudes for {} rows",
                latitudes.size(), shape.rows);
  check_row_weights(row_weights, shape.rows, "zonal_spectra");
  GREGALE_CHECK(shape.columns > 0, shape, "[zonal_spectra] the rows are empty");
  const auto columns = static_cast<size_t>(shape.columns);
  const size_t wavenumbers = columns / 2 + 1;
  const std::vector<Complex> roots = unit_roots(columns);
  std::vector<Complex> in(columns), out(columns);
  SpectrumPair pair;
  pair.forecast.assign(wavenumbers, 0.0);
  pair.truth.assign(wavenumbers, 0.0);
  double weight = 0;
  for (int64_t t = 0; t < shape.times; ++t) {
    const auto valid = mask.field(t, variable);
    for (int64_t row = 0; row < shape.rows; ++row) {
      const double w = row_weights[static_cast<size_t>(row)];
      const auto flags = valid.subspan(static_cast<size_t>(row) * columns, columns);
      if (w == 0 || std::find(flags.begin(), flags.end(), uint8_t{0}) != flags.end()) continue;
      const auto offset = static_cast<size_t>((t * shape.variables + variable) * shape.points() + row * shape.columns);
      const double circumference = circumference_at(latitudes[static_cast<size_t>(row)]);
      add_zonal_power(forecast.as<float>().subspan(offset, columns), circumference, w, roots, in, out, pair.forecast);
      add_zonal_power(truth.as<float>().subspan(offset, columns), circumference, w, roots, in, out, pair.truth);
      weight += w;
      ++pair.rows;
    }
  }
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (size_t k = 0; k < wavenumbers; ++k) {
    pair.forecast[k] = weight > 0 ? pair.forecast[k] / weight : kNan;
    pair.truth[k] = weight > 0 ? pair.truth[k] / weight : kNan;
    pair.ratio.push_back(pair.truth[k] > 0 ? pair.forecast[k] / pair.truth[k] : kNan);
  }
  return pair;
}

}  // namespace gregale::score
