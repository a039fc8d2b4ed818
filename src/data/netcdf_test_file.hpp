// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: small netCDF files, written with the library alone.
#pragma once

#include <netcdf.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"

namespace gregale::data::test {

/// A folder of its own, removed with everything in it at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gregale-data-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename().string());
    return names;
  }

 private:
  std::filesystem::path path_;
};

/// Writes a file in one go: dimensions, variables with attributes, then values. The file is closed by the destructor.
class TestFile {
 public:
  explicit TestFile(const std::string& path, int mode = 0) { check(nc_create(path.c_str(), NC_CLOBBER | mode, &id_)); }
  ~TestFile() { nc_close(id_); }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;

  void dim(const std::string& name, size_t size) {
    int dimension = -1;
    check(nc_def_dim(id_, name.c_str(), size, &dimension));
  }
  /// Later text() and number() calls describe this variable.
  void var(const std::string& name, nc_type type, const std::vector<std::string>& dims) {
    std::vector<int> ids(dims.size());
    for (size_t i = 0; i < dims.size(); ++i) check(nc_inq_dimid(id_, dims[i].c_str(), &ids[i]));
    check(nc_def_var(id_, name.c_str(), type, static_cast<int>(ids.size()), ids.data(), &last_));
  }
  void text(const std::string& name, const std::string& value) {
    check(nc_put_att_text(id_, last_, name.c_str(), value.size(), value.data()));
  }
  void number(const std::string& name, nc_type type, const std::vector<double>& values) {
    check(nc_put_att_double(id_, last_, name.c_str(), type, values.size(), values.data()));
  }
  void put(const std::string& name, const std::vector<double>& values) {
    if (defining_) check(nc_enddef(id_));
    defining_ = false;
    int variable = -1, rank = 0;
    check(nc_inq_varid(id_, name.c_str(), &variable));
    check(nc_inq_varndims(id_, variable, &rank));
    if (rank == 0) {
      check(nc_put_var_double(id_, variable, values.data()));
      return;
    }
    std::vector<int> ids(static_cast<size_t>(rank));
    check(nc_inq_vardimid(id_, variable, ids.data()));
    std::vector<size_t> start(ids.size(), 0), count(ids.size());
    size_t rest = 1;
    for (size_t i = ids.size(); i-- > 1;) {
      check(nc_inq_dimlen(id_, ids[i], &count[i]));
      rest *= count[i];
    }
    count[0] = values.size() / rest;  // an unlimited dimension grows
    check(nc_put_vara_double(id_, variable, start.data(), count.data(), values.data()));
  }
  int id() const { return id_; }

 private:
  static void check(int status) {
    if (status != NC_NOERR) throw std::runtime_error(nc_strerror(status));
  }
  int id_ = -1, last_ = NC_GLOBAL;
  bool defining_ = true;
};

inline std::vector<double> steps(double first, double step, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(first + step * i);
  return values;
}

template <class F>
ErrorCode code_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  throw std::runtime_error("no error");
}

/// A small data set: `records` months of U on 4 x 8, latitudes ascending, values record·1000 + row·10 + column.
inline void write_months(const std::string& path, int records, double first_month = 0,
                         const std::string& variable = "U", const std::vector<double>& longitudes = steps(0, 45, 8),
                         int mode = 0) {
  TestFile file(path, mode);
  file.dim("time", NC_UNLIMITED);
  file.dim("lat", 4);
  file.dim("lon", longitudes.size());
  file.var("time", NC_DOUBLE, {"time"});
  file.text("units", "months since 1990-01-16");
  file.var("lat", NC_DOUBLE, {"lat"});
  file.text("units", "degrees_north");
  file.var("lon", NC_DOUBLE, {"lon"});
  file.text("units", "degrees_east");
  file.var(variable, NC_FLOAT, {"time", "lat", "lon"});
  file.text("units", "m/s");
  file.put("time", steps(first_month, 1, records));
  file.put("lat", steps(-67.5, 45, 4));
  file.put("lon", longitudes);
  std::vector<double> values;
  for (int t = 0; t < records; ++t)
    for (int r = 0; r < 4; ++r)
      for (size_t c = 0; c < longitudes.size(); ++c)
        values.push_back((first_month + t) * 1000 + r * 10 + static_cast<double>(c));
  file.put(variable, values);
}

inline void truncate_copy(const std::string& from, const std::string& to, uintmax_t size) {
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(to, size);
}

}  // namespace gregale::data::test
