// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/tensor.hpp"
#include "grid/latlon.hpp"

namespace gregale::data {

enum class Regrid : uint8_t {
  nearest,   ///< the value of the nearest cell centre
  area_mean  ///< the mean over the target cell, weighted by overlapping area; missing source cells are left out
};

/// Fields [..., lat, lon] (f32) from one grid to another; NaN where the source has nothing. A target cell that contains
/// no part of a valid source cell is NaN. Throws ErrorCode::shape where the last two extents are not the grid's.
Tensor regrid(const Tensor& fields, const grid::LatLonGrid& from, const grid::LatLonGrid& to, Regrid method);

/// A field without time, on some grid.
struct StaticField {
  std::string name, units, long_name;
  grid::LatLonGrid grid;
  Tensor values;  ///< f32 [lat, lon]
};

/// Every variable of a file with latitude and longitude and no other dimension longer than 1 (a single time is
/// dropped), or the one named. Throws as FieldDataset::open does.
std::vector<StaticField> read_static_fields(const std::string& path, const std::string& variable = "");

/// Static channels for a model on `grid`. A `source` is FILE or FILE:VARIABLE, with `#orography` or `#land` after it to
/// derive from a relief in metres (negative under water) the mean height of land (sea counts 0) and the fraction of
/// land. A source without `#` gives its field as it is, except that a relief (units of length, values below −100 and
/// above 100) gives both derived channels. Area means where the source is finer than the grid, else nearest.
std::vector<StaticField> read_static_channels(const std::vector<std::string>& sources, const grid::LatLonGrid& grid);

}  // namespace gregale::data
