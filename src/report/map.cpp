// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "report/page.hpp"
#include "report/png.hpp"

namespace gregale::report {
namespace {

double narrowest(const std::vector<double>& bounds) {
  double width = std::fabs(bounds.back() - bounds.front());
  for (size_t i = 1; i < bounds.size(); ++i) width = std::min(width, std::fabs(bounds[i] - bounds[i - 1]));
  return width;
}

/// The cell of a coordinate, bounds ascending or descending.
int64_t cell_of(const std::vector<double>& bounds, double at) {
  const bool ascending = bounds.back() > bounds.front();
  const auto after = ascending ? std::upper_bound(bounds.begin(), bounds.end(), at)
                               : std::upper_bound(bounds.begin(), bounds.end(), at, std::greater<>());
  return std::clamp<int64_t>(after - bounds.begin() - 1, 0, static_cast<int64_t>(bounds.size()) - 2);
}

int64_t pixels_for(double span, double cell, int64_t cells, int64_t most) {
  const double exact = cell > 0 ? span / cell : 0;  // at most four pixels for a cell of mean size
  return std::clamp<int64_t>(std::llround(std::min(exact, 4.0 * static_cast<double>(cells))), 1,
                             std::max<int64_t>(most, 1));
}

std::string tick(double value) { return fmt::format("{:g}", std::fabs(value) < 1e-12 ? 0.0 : value); }

}  // namespace

MapFrame map_frame(const grid::LatLonGrid& grid, int64_t most) {
  MapFrame frame;
  const std::vector<double>&lat = grid.latitude_bounds(), &lon = grid.longitude_bounds();
  frame.south = std::min(lat.front(), lat.back());
  frame.north = std::max(lat.front(), lat.back());
  double first = std::min(lon.front(), lon.back());
  if (grid.periodic()) {
    frame.west = -180;
    frame.east = 180;
  } else {
    frame.west = first;
    frame.east = std::max(lon.front(), lon.back());
    while (frame.west >= 180) {
      frame.west -= 360;
      frame.east -= 360;
    }
  }
  const int64_t height = pixels_for(frame.north - frame.south, narrowest(lat), grid.rows(), most);
  // A cell may straddle 180W: half cells show both halves.
  const int64_t columns = grid.periodic() ? 2 * grid.columns() : grid.columns();
  const int64_t width =
      grid.periodic() ? std::min(columns, most) : pixels_for(frame.east - frame.west, narrowest(lon), columns, most);
  for (int64_t y = 0; y < height; ++y) {
    const double at = (static_cast<double>(y) + 0.5) / static_cast<double>(height);
    frame.row_of.push_back(cell_of(lat, frame.north - at * (frame.north - frame.south)));
  }
  for (int64_t x = 0; x < width; ++x) {
    double at = frame.west + (static_cast<double>(x) + 0.5) / static_cast<double>(width) * (frame.east - frame.west);
    while (at < first) at += 360;
    while (at >= first + 360) at -= 360;
    frame.column_of.push_back(cell_of(lon, at));
  }
  return frame;
}

std::string map_png(const Tensor& field, const MapFrame& frame, const ColourScale& scale) {
  GREGALE_CHECK(field.rank() == 2, shape, "[map] a field has 2 dimensions, not {}", field.rank());
  const int64_t rows = field.extent(0), columns = field.extent(1);
  const auto values = field.as<float>();
  std::vector<uint8_t> indices;
  indices.reserve(static_cast<size_t>(frame.width() * frame.height()));
  for (int64_t row : frame.row_of) {
    for (int64_t column : frame.column_of) {
      GREGALE_CHECK(row < rows && column < columns, shape, "[map] a field of {} x {} does not fill the grid", rows,
                    columns);
      const double value = values[static_cast<size_t>(row * columns + column)];
      indices.push_back(static_cast<uint8_t>(palette_index(scale, value)));
    }
  }
  return encode_png(indices, frame.width(), frame.height(), palette(scale.map));
}

std::string map_overlay(const MapFrame& frame) {
  std::string lines;
  for (int lon = -150; lon <= 330; lon += 30)
    if (lon > frame.west && lon < frame.east) lines += fmt::format("M{} {:g}V{:g}", lon, -frame.north, -frame.south);
  for (int lat = -60; lat <= 60; lat += 30)
    if (lat > frame.south && lat < frame.north) lines += fmt::format("M{:g} {}H{:g}", frame.west, -lat, frame.east);
  std::string out = fmt::format("<path class=\"graticule\" d=\"{}\"/>", lines);
  for (int turn = -360; turn <= 360; turn += 360)
    if (turn - 180 < frame.east && turn + 180 > frame.west)
      out += fmt::format("<use href=\"#coast\" transform=\"translate({} 0) scale(0.1)\"/>", turn);
  return out;
}

std::string colour_bar(const ColourScale& scale, const std::string& units) {
  std::string stops;
  for (int i = 0; i <= 16; ++i) stops += (i ? "," : "") + to_hex(colour_at(scale.map, i / 16.0));
  const double middle = (scale.low + scale.high) / 2;
  return fmt::format(
      "<div class=\"bar\"><div class=\"ramp\" style=\"background:linear-gradient(to right,{})\"></div>"
      "<div class=\"ends\"><span>&le; {}</span><span>{} {}</span><span>&ge; {}</span></div></div>",
      stops, tick(scale.low), tick(middle), escape_html(units), tick(scale.high));
}

std::string map_figure(const Tensor& field, const MapFrame& frame, const ColourScale& scale, const std::string& units,
                       const std::string& caption, const std::string& alt) {
  const double width = frame.east - frame.west, height = frame.north - frame.south;
  return fmt::format(
      "<figure class=\"map\"><figcaption>{}</figcaption>"
      "<svg role=\"img\" aria-label=\"{}\" viewBox=\"{:g} {:g} {:g} {:g}\">"
      "<image href=\"{}\" x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\" preserveAspectRatio=\"none\"/>{}</svg>"
      "{}</figure>\n",
      escape_html(caption), escape_html(alt), frame.west, -frame.north, width, height,
      png_data_uri(map_png(field, frame, scale)), frame.west, -frame.north, width, height, map_overlay(frame),
      colour_bar(scale, units));
}

Tensor difference(const Tensor& a, const Tensor& b) {
  Tensor out = a.clone();
  auto values = out.as<float>();
  const auto other = b.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] -= other[i];
  return out;
}

}  // namespace gregale::report
