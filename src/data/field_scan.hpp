// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/netcdf_file.hpp"
#include "grid/latlon.hpp"
#include "grid/time_axis.hpp"

namespace gregale::data {

enum class AxisKind : uint8_t { none, time, level, latitude, longitude };
const char* to_string(AxisKind kind);

/// What a coordinate variable measures, by units, standard_name, axis (or cartesian_axis), positive and, last, its
/// name.
AxisKind classify_axis(const NetcdfVariable& variable);

/// A recognised dimension with its coordinates.
struct ScannedAxis {
  AxisKind kind = AxisKind::none;
  std::string dimension;   ///< empty for a scalar time
  std::string coordinate;  ///< name of the variable that holds the coordinates
  std::string units;
  std::vector<double> values;  ///< of latitude, longitude and level
  grid::TimeAxis time;         ///< of time
};

/// A variable that can be a field: it has latitude and longitude. Indices of dimensions are −1 where there are none;
/// `axis` indices point into ScannedFile::axes.
struct ScannedField {
  std::string name;
  int time_dim = -1, level_dim = -1, latitude_dim = -1, longitude_dim = -1;
  int time_axis = -1, level_axis = -1, latitude_axis = -1, longitude_axis = -1;
  std::string refusal;  ///< why it cannot be used ("has a dimension 'member' of 10 ..."), empty where it can
  int64_t levels(const std::vector<ScannedAxis>& axes) const {
    return level_axis < 0 ? 1 : static_cast<int64_t>(axes[static_cast<size_t>(level_axis)].values.size());
  }
};

/// The axes and fields of one file.
struct ScannedFile {
  std::string path;
  std::vector<ScannedAxis> axes;
  std::vector<ScannedField> fields;
  std::vector<std::string> others;  ///< numeric variables that are no fields and no coordinates

  const ScannedField* find(const std::string& name) const;
  grid::LatLonGrid grid_of(const ScannedField& field) const;
};

/// Throws as NetcdfFile does, and what TimeAxis says about bad times, with the file and the variable.
ScannedFile scan_fields(const NetcdfFile& file);

/// One (time, level) slice as [lat, lon] in the order of the file's coordinates, whatever the order of the dimensions.
void read_slice(const NetcdfFile& file, const ScannedField& field, int64_t time, int64_t level, std::span<float> out);

}  // namespace gregale::data
