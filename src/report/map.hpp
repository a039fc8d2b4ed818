// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/tensor.hpp"
#include "grid/latlon.hpp"
#include "report/colour.hpp"

namespace gregale::report {

/// The plate carrée picture of a grid: north up, the globe from 180W to 180E, a region as its cells lie. Pixel (x, y)
/// shows the cell that its centre is in, so cells keep their bounds whatever the order of latitudes and wherever
/// longitudes begin.
struct MapFrame {
  double west = -180, east = 180, south = -90, north = 90;
  std::vector<int64_t> row_of;     ///< of each line of pixels, from the top
  std::vector<int64_t> column_of;  ///< of each column of pixels, from the west
  int64_t width() const { return static_cast<int64_t>(column_of.size()); }
  int64_t height() const { return static_cast<int64_t>(row_of.size()); }
};
/// Enough pixels to tell all cells apart, as far as `most` a side allows.
MapFrame map_frame(const grid::LatLonGrid& grid, int64_t most = 1440);

/// A PNG of the field, f32 [lat, lon] of the frame's grid; NaN is grey.
std::string map_png(const Tensor& field, const MapFrame& frame, const ColourScale& scale);

/// A map as a <figure>: picture, coastline (page.hpp defines the path it refers to), 30 degree lines, colour bar with
/// numbers and units, caption. `alt` says in words what is to be seen.
std::string map_figure(const Tensor& field, const MapFrame& frame, const ColourScale& scale, const std::string& units,
                       const std::string& caption, const std::string& alt);
/// The lines over a map, SVG elements in degrees (y = -latitude).
std::string map_overlay(const MapFrame& frame);
/// The bar alone, with the numbers at both ends and in the middle.
std::string colour_bar(const ColourScale& scale, const std::string& units);

/// a - b of two f32 fields of one shape, for maps of errors.
Tensor difference(const Tensor& a, const Tensor& b);

}  // namespace gregale::report
