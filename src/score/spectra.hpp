// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <optional>
#include <span>
#include <vector>

#include "score/series.hpp"

namespace gregale::score {

/// The earth's radius as WeatherBench 2 has it, in metres.
inline constexpr double kEarthRadius = 6367.5e3;

/// The discrete Fourier transform (1/L) sum_l f[l] exp(-2 pi i k l / L), k = 0 .. L/2, in f64. Any L; the cost is
/// L times the sum of L's prime factors. What to measure spectra with, not to train with.
std::vector<std::complex<double>> forward_dft(std::span<const double> values);

/// Zonal power of one full circle of latitude, WeatherBench 2's ZonalEnergySpectrum: with F = forward_dft,
/// C = 2 pi R cos(lat), S[0] = C |F[0]|^2 and S[k] = 2 C |F[k]|^2, in metres times the variable's unit squared. As
/// there, k = L/2 of an even L is doubled as well, although it has no negative twin: sum(S) - S[L/2]/2 is exactly C
/// times the zonal mean of squares (without that term for an odd L).
std::vector<double> zonal_power(std::span<const double> values, double latitude);

/// Whether longitudes in degrees, ascending or descending, are evenly spaced and close the circle.
bool is_full_circle(std::span<const double> longitudes);

/// Zonal power averaged over the rows of a region, weighed by its row weights, and over times. Index = zonal
/// wavenumber. A row counts at a time when none of its points is masked, so both spectra see the same rows.
struct SpectrumPair {
  std::vector<double> forecast, truth;
  std::vector<double> ratio;  ///< forecast / truth: below 1 the forecast is too smooth; NaN where truth has no power
  int64_t rows = 0;           ///< circles averaged, over all times; 0 leaves the spectra NaN
};
/// The caller sees to it that rows are full circles (is_full_circle).
SpectrumPair zonal_spectra(const Tensor& forecast, const Tensor& truth, const ValidMask& mask, int64_t variable,
                           std::span<const double> latitudes, std::span<const double> row_weights);

}  // namespace gregale::score
