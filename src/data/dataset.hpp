// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gregale/tensor.hpp"
#include "grid/latlon.hpp"
#include "grid/time_axis.hpp"

namespace gregale::data {

/// Horizontal components change sign where a field is continued across a pole.
enum class VectorComponent : uint8_t { none, eastward, northward };
const char* to_string(VectorComponent component);
VectorComponent vector_component_from_name(std::string_view name);  ///< the inverse

/// Guesses from standard_name ("eastward_wind"), long_name ("ZONAL WIND"), name (U, UWND, u10, uas, ...) in that order.
/// A name alone counts only where the units are a speed, a stress or a transport.
VectorComponent recognise_component(const std::string& name, const std::string& standard_name,
                                    const std::string& long_name, const std::string& units);

/// One field of a data set: a variable, at one level where it has levels.
struct FieldVariable {
  std::string name;  ///< "UWND", or "T@500" for one level of T: what run.yaml, model files and tables call it
  std::string units, long_name, standard_name;  ///< as written in the file
  std::optional<double> level;
  std::string level_units;
  VectorComponent component = VectorComponent::none;
};

/// An axis as recognised, for reports.
struct AxisInfo {
  std::string kind;  ///< "time", "level", "latitude", "longitude"
  std::string name;  ///< what the file calls it
  std::string units;
  int64_t size = 0;
  std::string first, last;  ///< formatted
};

/// Fields on one latitude-longitude grid and one time axis, from one netCDF file or many.
///
/// Axes are recognised by units, standard_name, axis, positive and cartesian_axis, then by name; a variable's
/// dimensions may be in any order, and read() returns [record, variable, lat, lon] with latitude in the order of the
/// file. Files holding the same variables are joined in time, files holding different ones side by side (their times
/// must agree). Safe to use from several threads.
class FieldDataset {
 public:
  /// `paths`: files or globs ("winds_*.nc"; a glob expands in alphabetical order and must match). `variables`: names as
  /// in the file, `VAR@500` for a level (the nearest number within 1e-3 relative; required where a variable has
  /// several). No names: every numeric variable that has time, latitude and longitude and at most one level. Throws
  /// ErrorCode::io and corrupt_data as NetcdfFile does, ErrorCode::invalid_argument for an unknown variable (the
  /// message lists those present), a missing axis, or grids that differ (the message names both files and the
  /// difference).
  static FieldDataset open(const std::vector<std::string>& paths, const std::vector<std::string>& variables = {});

  const grid::LatLonGrid& grid() const;
  const grid::TimeAxis& time() const;
  const std::vector<FieldVariable>& variables() const;
  const std::vector<std::string>& files() const;
  const std::vector<AxisInfo>& axes() const;
  int64_t records() const { return time().size(); }
  /// Index in variables(); throws ErrorCode::invalid_argument listing those present.
  int64_t variable_index(const std::string& name) const;

  /// f32 [records.size(), variables().size(), rows, columns]; NaN where missing. Records may repeat, in any order.
  Tensor read(std::span<const int64_t> records) const;
  /// The same for some of the variables (indices into variables()).
  Tensor read(std::span<const int64_t> records, std::span<const int64_t> variables) const;
  Tensor read_all() const;
  /// One record of one variable into `out` (rows × columns values): no allocation but the file library's.
  void read_field(int64_t record, int64_t variable, std::span<float> out) const;

  /// 16 hexadecimal digits of an FNV-1a hash over grid, times, variable names and every value: the same data in another
  /// file, format or place has the same fingerprint. Reads everything the first time, then remembers.
  std::string fingerprint() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Files named by paths and globs (`*`, `?`, `[...]`); a path without these characters stands for itself. Throws
/// ErrorCode::io "no file matches 'winds_*.nc'".
std::vector<std::string> expand_paths(const std::vector<std::string>& paths);

/// boolean tensor of the same extents: true where the value is not NaN.
Tensor valid_mask(const Tensor& fields);
/// Number of NaN elements of an f32 tensor.
int64_t count_missing(const Tensor& fields);

}  // namespace gregale::data
