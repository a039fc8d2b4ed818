// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/colour.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace gregale::report {
namespace {

/// Lightness, chroma and hue (degrees) of OKLab to sRGB, cut to what a screen can show.
Rgb from_oklch(double lightness, double chroma, double hue) {
  const double a = chroma * std::cos(hue * std::numbers::pi / 180), b = chroma * std::sin(hue * std::numbers::pi / 180);
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  const auto gamma = [](double linear) {
    const double x = std::clamp(linear, 0.0, 1.0);
    const double encoded = x <= 0.0031308 ? 12.92 * x : 1.055 * std::pow(x, 1 / 2.4) - 0.055;
    return static_cast<uint8_t>(std::lround(255 * encoded));
  };
  return {gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          gamma(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

/// Finite values in ascending order, thinned to about a million: scales need no more.
std::vector<float> sorted_sample(std::span<const float> values) {
  const size_t stride = std::max<size_t>(1, values.size() / 1'000'000);
  std::vector<float> sample;
  for (size_t i = 0; i < values.size(); i += stride)
    if (std::isfinite(values[i])) sample.push_back(values[i]);
  std::sort(sample.begin(), sample.end());
  return sample;
}

double quantile(const std::vector<float>& sorted, double q) {
  return static_cast<double>(sorted[static_cast<size_t>(std::lround(q * static_cast<double>(sorted.size() - 1)))]);
}

}  // namespace

std::string to_hex(Rgb colour) { return fmt::format("#{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b); }

Rgb colour_at(ColourMap map, double t) {
  t = std::clamp(t, 0.0, 1.0);
  if (map == ColourMap::sequential) {
    const double chroma = 0.10 + 0.05 * std::sin(std::numbers::pi * t);
    return from_oklch(0.26 + 0.68 * t, chroma, 300 - 195 * t);
  }
  const double s = std::fabs(2 * t - 1);
  const double chroma = 0.165 * std::sin(std::numbers::pi * std::min(1.0, 0.12 + 0.68 * s)) * std::min(1.0, 6 * s);
  return from_oklch(0.97 - 0.60 * s, chroma, t < 0.5 ? 252 + 8 * s : 40 - 15 * s);
}

Rgb ColourScale::at(double value) const { return std::isfinite(value) ? colour_at(map, position(value)) : kMissing; }

std::array<Rgb, kPaletteSize> palette(ColourMap map) {
  std::array<Rgb, kPaletteSize> out;
  for (int i = 0; i < kMissingIndex; ++i) out[static_cast<size_t>(i)] = colour_at(map, i / 254.0);
  out[kMissingIndex] = kMissing;
  return out;
}

int palette_index(const ColourScale& scale, double value) {
  if (!std::isfinite(value)) return kMissingIndex;
  return static_cast<int>(std::lround(254 * std::clamp(scale.position(value), 0.0, 1.0)));
}

double round_up(double value) {
  if (!(value > 0) || !std::isfinite(value)) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (double step : {1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0})
    if (value <= step * power * (1 + 1e-9)) return step * power;
  return 10 * power;
}

ColourScale symmetric_scale(std::span<const float> values, double beyond) {
  const std::vector<float> sorted = sorted_sample(values);
  if (sorted.empty()) return {};
  const double limit =
      round_up(std::max(std::fabs(quantile(sorted, beyond / 2)), std::fabs(quantile(sorted, 1 - beyond / 2))));
  return {ColourMap::diverging, -limit, limit};
}

ColourScale state_scale(std::span<const float> values, double beyond) {
  const std::vector<float> sorted = sorted_sample(values);
  if (sorted.empty()) return {};
  const double low = quantile(sorted, beyond / 2), high = quantile(sorted, 1 - beyond / 2);
  if (low < 0 && high > 0 && std::min(-low, high) > 0.15 * std::max(-low, high)) return symmetric_scale(values, beyond);
  if (!(high > low)) return {ColourMap::sequential, low - 0.5, high + 0.5};
  const double step = round_up((high - low) / 10);
  return {ColourMap::sequential, std::floor(low / step) * step, std::ceil(high / step) * step};
}

ColourScale widest(const ColourScale& a, const ColourScale& b) { return a.high >= b.high ? a : b; }

}  // namespace gregale::report
