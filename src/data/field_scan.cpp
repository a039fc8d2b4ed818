// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/field_scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr int64_t kMaxCoordinates = int64_t{1} << 24;

std::string lower_trimmed(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

bool one_of(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return text == word; });
}

// By the name alone: a whole word, or one followed by digits or an underscore (lat2, lon_0, time_counter).
AxisKind kind_by_name(const std::string& name) {
  const std::string n = lower_trimmed(name);
  const size_t end = n.find_first_of("_0123456789");
  const std::string stem = end == 0 || end == std::string::npos ? n : n.substr(0, end);
  if (one_of(stem, {"lat", "latitude", "latitudes", "y", "nlat", "yaxis"})) return AxisKind::latitude;
  if (one_of(stem, {"lon", "long", "longitude", "longitudes", "x", "nlon", "xaxis"})) return AxisKind::longitude;
  if (one_of(stem, {"time", "t", "date"})) return AxisKind::time;
  if (one_of(stem,
             {"lev", "level", "levels", "plev", "pressure", "depth", "height", "z", "altitude", "isobaric", "zaxis"}))
    return AxisKind::level;
  return AxisKind::none;
}

}  // namespace

const char* to_string(AxisKind kind) {
  switch (kind) {
    case AxisKind::none:
      return "none";
    case AxisKind::time:
      return "time";
    case AxisKind::level:
      return "level";
    case AxisKind::latitude:
      return "latitude";
    case AxisKind::longitude:
      return "longitude";
  }
  return "none";
}

AxisKind classify_axis(const NetcdfVariable& variable) {
  const std::string units = variable.text("units"), u = lower_trimmed(units);
  const std::string standard = lower_trimmed(variable.text("standard_name"));
  std::string axis = lower_trimmed(variable.text("axis"));
  if (axis.empty()) axis = lower_trimmed(variable.text("cartesian_axis"));

  if (one_of(u, {"degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"}))
    return AxisKind::latitude;
  if (one_of(u, {"degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"}))
    return AxisKind::longitude;
  if (grid::is_time_units(units)) return AxisKind::time;
  if (standard == "latitude") return AxisKind::latitude;
  if (standard == "longitude") return AxisKind::longitude;
  if (standard == "time") return AxisKind::time;
  // A rotated pole or a projection: its X and Y are no longitude and latitude.
  if (standard.rfind("grid_", 0) == 0 || standard.rfind("projection_", 0) == 0) return AxisKind::none;
  if (one_of(standard, {"air_pressure", "height", "depth", "altitude", "model_level_number", "geopotential_height"}) ||
      standard.rfind("atmosphere_", 0) == 0 ||
      (standard.rfind("ocean_", 0) == 0 && standard.find("coordinate") != std::string::npos))
    return AxisKind::level;
  const bool degrees = u.empty() || u == "degrees" || u == "degree";
  if (axis == "t") return AxisKind::time;
  if (axis == "z") return AxisKind::level;
  if (axis == "y" && degrees) return AxisKind::latitude;
  if (axis == "x" && degrees) return AxisKind::longitude;
  const std::string positive = lower_trimmed(variable.text("positive"));
  if (positive == "up" || positive == "down") return AxisKind::level;
  if (one_of(u, {"hpa", "pa", "mb", "mbar", "millibar", "millibars", "level", "layer", "sigma_level", "sigma", "dbar"}))
    return AxisKind::level;
  const AxisKind by_name = kind_by_name(variable.name);
  if ((by_name == AxisKind::latitude || by_name == AxisKind::longitude) && !degrees) return AxisKind::none;
  // A time without "since" is still the time axis: TimeAxis says what is wrong with it.
  return by_name;
}

const ScannedField* ScannedFile::find(const std::string& name) const {
  for (const ScannedField& field : fields)
    if (field.name == name) return &field;
  return nullptr;
}

grid::LatLonGrid ScannedFile::grid_of(const ScannedField& field) const {
  try {
    return grid::LatLonGrid(axes[static_cast<size_t>(field.latitude_axis)].values,
                            axes[static_cast<size_t>(field.longitude_axis)].values);
  } catch (Error& error) {
    throw error.add_context(path);
  }
}

ScannedFile scan_fields(const NetcdfFile& file) {
  ScannedFile result;
  result.path = file.path();

  // For every dimension the variable that holds its coordinates: the one of its own name, else (x with lon(x)) another
  // one-dimensional variable along it that says what it is.
  std::map<std::string, int> axis_of;  // dimension -> index into axes
  std::set<std::string> helpers;       // coordinates, bounds, edges: no fields
  for (const NetcdfVariable& v : file.variables())
    for (const char* attribute : {"bounds", "edges", "climatology", "formula_terms", "grid_mapping"})
      if (const std::string name = v.text(attribute); !name.empty()) helpers.insert(name);

  auto add_axis = [&](const std::string& dimension, const NetcdfVariable& variable, AxisKind kind) {
    ScannedAxis axis;
    axis.kind = kind;
    axis.dimension = dimension;
    axis.coordinate = variable.name;
    axis.units = variable.text("units");
    GREGALE_CHECK(variable.extents.empty() || variable.extents[0] <= kMaxCoordinates, corrupt_data,
                  "damaged netCDF file: {}: {} has {} coordinates", file.path(), variable.name, variable.extents[0]);
    std::vector<double> values = file.read_all(variable);
    if (kind == AxisKind::time) {
      try {
        axis.time =
            grid::TimeAxis::from_values(values, axis.units, variable.text("calendar"),
                                        variable.find("climatology") != nullptr || variable.find("modulo") != nullptr);
      } catch (Error& error) {
        throw error.add_context(variable.name).add_context(file.path());
      }
    } else {
      axis.values = std::move(values);
    }
    helpers.insert(variable.name);
    result.axes.push_back(std::move(axis));
    return static_cast<int>(result.axes.size()) - 1;
  };

  for (const NetcdfDimension& dimension : file.dimensions()) {
    const NetcdfVariable* best = nullptr;
    AxisKind kind = AxisKind::none;
    if (const NetcdfVariable* own = file.find(dimension.name);
        own != nullptr && own->is_numeric() && own->dimensions == std::vector<std::string>{dimension.name}) {
      best = own;
      kind = classify_axis(*own);
      helpers.insert(own->name);
    }
    for (const NetcdfVariable& v : file.variables()) {
      if (kind != AxisKind::none) break;
      if (!v.is_numeric() || v.dimensions != std::vector<std::string>{dimension.name} || helpers.count(v.name) != 0)
        continue;
      const AxisKind found = classify_axis(v);
      // A series of heights or dates along a dimension is data, unless the units say more than the name.
      if (found == AxisKind::latitude || found == AxisKind::longitude ||
          (found == AxisKind::time && grid::is_time_units(v.text("units")))) {
        best = &v;
        kind = found;
      }
    }
    if (kind != AxisKind::none) axis_of[dimension.name] = add_axis(dimension.name, *best, kind);
  }
  // A single time without a dimension, as converters of one-record files write it.
  int scalar_time = -1;
  for (const NetcdfVariable& v : file.variables())
    if (scalar_time < 0 && v.is_numeric() && v.dimensions.empty() && grid::is_time_units(v.text("units")) &&
        lower_trimmed(v.text("standard_name")) != "forecast_reference_time")
      scalar_time = add_axis("", v, AxisKind::time);

  for (const NetcdfVariable& v : file.variables()) {
    if (!v.is_numeric() || helpers.count(v.name) != 0) continue;
    ScannedField field;
    field.name = v.name;
    for (size_t d = 0; d < v.dimensions.size(); ++d) {
      const auto found = axis_of.find(v.dimensions[d]);
      const AxisKind kind =
          found == axis_of.end() ? AxisKind::none : result.axes[static_cast<size_t>(found->second)].kind;
      auto place = [&](int& dim, int& axis) {
        if (dim >= 0) field.refusal = fmt::format("has two {} dimensions", to_string(kind));
        dim = static_cast<int>(d);
        axis = found->second;
      };
      switch (kind) {
        case AxisKind::time:
          place(field.time_dim, field.time_axis);
          break;
        case AxisKind::level:
          place(field.level_dim, field.level_axis);
          break;
        case AxisKind::latitude:
          place(field.latitude_dim, field.latitude_axis);
          break;
        case AxisKind::longitude:
          place(field.longitude_dim, field.longitude_axis);
          break;
        case AxisKind::none:
          if (v.extents[d] != 1)
            field.refusal = fmt::format("has a dimension '{}' of {} that is not time, level, latitude or longitude",
                                        v.dimensions[d], v.extents[d]);
      }
    }
    if (field.latitude_dim < 0 || field.longitude_dim < 0) {
      result.others.push_back(v.name);
      continue;
    }
    if (field.time_axis < 0) field.time_axis = scalar_time;
    result.fields.push_back(std::move(field));
  }
  return result;
}

void read_slice(const NetcdfFile& file, const ScannedField& field, int64_t time, int64_t level, std::span<float> out) {
  const NetcdfVariable& variable = file.variable(field.name);
  std::vector<int64_t> start(variable.extents.size(), 0), count(variable.extents.size(), 1);
  if (field.time_dim >= 0) start[static_cast<size_t>(field.time_dim)] = time;
  if (field.level_dim >= 0) start[static_cast<size_t>(field.level_dim)] = level;
  const int64_t rows = variable.extents[static_cast<size_t>(field.latitude_dim)];
  const int64_t columns = variable.extents[static_cast<size_t>(field.longitude_dim)];
  count[static_cast<size_t>(field.latitude_dim)] = rows;
  count[static_cast<size_t>(field.longitude_dim)] = columns;
  if (field.latitude_dim < field.longitude_dim) {
    file.read(variable, start, count, out);
    return;
  }
  std::vector<float> turned(out.size());
  file.read(variable, start, count, std::span<float>(turned));
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r)
      out[static_cast<size_t>(r * columns + c)] = turned[static_cast<size_t>(c * rows + r)];
}

}  // namespace gregale::data
