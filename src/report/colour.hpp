// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace gregale::report {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(Rgb, Rgb) = default;
};
/// "#rrggbb"
std::string to_hex(Rgb colour);

/// Two colour maps, laid out in OKLab (Ottosson 2020) so that equal steps of the value look like equal steps:
///   diverging   blue, near white, red; lightness falls equally to both ends: for signed quantities, 0 in the middle
///   sequential  dark violet, green, pale yellow, lightness rising throughout: for quantities without a middle
enum class ColourMap : uint8_t { diverging, sequential };
/// t in [0, 1], clamped.
Rgb colour_at(ColourMap map, double t);
/// What missing values are drawn in.
inline constexpr Rgb kMissing{160, 160, 160};

/// The values that the two ends of a colour map stand for. Values beyond an end have its colour.
struct ColourScale {
  ColourMap map = ColourMap::diverging;
  double low = -1, high = 1;
  double position(double value) const { return (value - low) / (high - low); }
  Rgb at(double value) const;  ///< kMissing where the value is not finite
};

/// Palette entries 0 to 254 are the map, 255 is kMissing.
inline constexpr int kPaletteSize = 256, kMissingIndex = 255;
std::array<Rgb, kPaletteSize> palette(ColourMap map);
int palette_index(const ColourScale& scale, double value);

/// A round number at least as large as `value`: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten; 1 where
/// the value is not positive and finite.
double round_up(double value);
/// Symmetric about 0 with room for all but the `beyond` share of the largest magnitudes.
ColourScale symmetric_scale(std::span<const float> values, double beyond = 0.002);
/// What suits a state: symmetric where both signs matter, otherwise sequential between round numbers.
ColourScale state_scale(std::span<const float> values, double beyond = 0.002);
/// The symmetric scale that holds both.
ColourScale widest(const ColourScale& a, const ColourScale& b);

}  // namespace gregale::report
