// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gregale/dtype.hpp"
#include "gregale/type.hpp"

namespace gregale::data {

/// netCDF and HDF5 are not thread-safe: whoever calls them holds this lock. Every function of this room takes it
/// itself.
std::recursive_mutex& netcdf_mutex();

struct NetcdfAttribute {
  std::string name;
  bool is_text = false;
  std::string text;             ///< where is_text; several strings are joined by blanks
  std::vector<double> numbers;  ///< where not
  bool is_floating = false;     ///< numbers stored as float or double
};

struct NetcdfDimension {
  std::string name;
  int64_t size = 0;
  bool unlimited = false;
};

struct NetcdfVariable {
  std::string name;
  int id = -1;
  int type = 0;                         ///< an nc_type
  std::vector<std::string> dimensions;  ///< names, slowest first
  Extents extents;
  std::vector<NetcdfAttribute> attributes;

  bool is_numeric() const;                                        ///< not char, string or a user-defined type
  const NetcdfAttribute* find(std::string_view attribute) const;  ///< names compared without case
  std::string text(std::string_view attribute, const std::string& fallback = "") const;
  std::optional<double> number(std::string_view attribute) const;
};

/// One netCDF file (classic, 64-bit offset, 64-bit data or netCDF-4) opened for reading. The root group is read; a file
/// whose variables all sit in groups is refused with their names. Opening checks the whole header: counts, products of
/// extents, and that a classic file is as long as its header promises (the library reads zeros past the end).
/// Safe to use from several threads.
class NetcdfFile {
 public:
  /// Throws ErrorCode::io ("no such file: winds.nc", "is a directory: data", "permission denied: x.nc") or
  /// ErrorCode::corrupt_data ("not a netCDF file: x.nc", "truncated: x.nc: variable UWND ends at byte 11104376 of
  /// 5000000", "damaged netCDF file: x.nc: ...").
  explicit NetcdfFile(const std::string& path);
  ~NetcdfFile();
  NetcdfFile(NetcdfFile&&) noexcept;
  NetcdfFile& operator=(NetcdfFile&&) noexcept;

  const std::string& path() const;
  const std::string& format()
      const;  ///< "classic", "64-bit offset", "64-bit data", "netCDF-4", "netCDF-4 classic model"
  const std::vector<NetcdfDimension>& dimensions() const;
  const std::vector<NetcdfVariable>& variables() const;
  const std::vector<NetcdfAttribute>& attributes() const;  ///< global ones
  std::string global_text(std::string_view attribute) const;

  const NetcdfVariable* find(std::string_view name) const;
  /// Throws ErrorCode::invalid_argument worded "no variable 'UWIND' in winds.nc (it has UWND, VWND)".
  const NetcdfVariable& variable(std::string_view name) const;

  /// A block of a numeric variable as physical values: scale_factor and add_offset applied (and _Unsigned), and NaN
  /// where the value is missing: _FillValue, missing_value (one or several), outside valid_min / valid_max /
  /// valid_range, the type's default fill value, or NaN itself. `start` and `count` have the rank of the variable; out
  /// is row-major.
  void read(const NetcdfVariable& variable, std::span<const int64_t> start, std::span<const int64_t> count,
            std::span<double> out) const;
  void read(const NetcdfVariable& variable, std::span<const int64_t> start, std::span<const int64_t> count,
            std::span<float> out) const;
  /// The whole variable.
  std::vector<double> read_all(const NetcdfVariable& variable) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Which numbers of a variable, as stored, are no data: those listed (_FillValue, missing_value, the type's default
/// fill value), those outside valid_min, valid_max and valid_range, and NaN.
struct NetcdfMissing {
  std::vector<double> values;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};
NetcdfMissing missing_of(const NetcdfVariable& variable);

/// Throws for what a netCDF function returned; hold the lock. `doing`: "cannot read UWND".
void check_netcdf(int status, const std::string& path, const std::string& doing);
/// All attributes of a variable, or with NC_GLOBAL of a group, of a file or group that is open; hold the lock.
std::vector<NetcdfAttribute> load_netcdf_attributes(int group, int variable, const std::string& path);

/// Throws the Error for a path that cannot be read as an ordinary file (missing, a directory, no permission).
void check_readable(const std::string& path);

}  // namespace gregale::data
