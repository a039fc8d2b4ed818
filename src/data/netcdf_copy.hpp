// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/netcdf_file.hpp"

namespace gregale::data {

/// How a variable is to be stored in the copy.
struct CopyStorage {
  Extents chunk;  ///< empty: contiguous, or the library's choice where a dimension can grow
  bool shuffle = false, fletcher32 = false;
  int deflate = 0;               ///< level; 0: none
  std::vector<unsigned> filter;  ///< parameters of our filter; empty: none
};

struct CopyVariable {
  std::string path;  ///< "temp", "/model/temp" in a group
  NetcdfVariable description;
  int64_t element_bytes = 0;
  bool can_grow = false;  ///< has an unlimited dimension
  CopyStorage storage;    ///< at first: as in the source, without filters that need a plugin
  int source_group = -1;  ///< with description.id
  int target_group = -1, target_id = -1;
  std::vector<int> dimensions;  ///< the source's ids

  std::string hdf5_path() const { return path[0] == '/' ? path : "/" + path; }
  int64_t values() const;
  int64_t bytes() const { return values() * element_bytes; }
};

/// One netCDF file made again as netCDF-4: groups, dimensions (those that grow too), types, variables and attributes in
/// their order. Values are copied by the caller, who may put others.
class NetcdfCopy {
 public:
  /// Told of bytes copied; may throw to stop.
  using Progress = std::function<void(int64_t bytes)>;

  /// Opens the source. Throws what NetcdfFile throws.
  explicit NetcdfCopy(const std::string& path);
  ~NetcdfCopy();
  NetcdfCopy(const NetcdfCopy&) = delete;
  NetcdfCopy& operator=(const NetcdfCopy&) = delete;

  std::vector<CopyVariable>& variables() { return variables_; }
  const std::vector<NetcdfAttribute>& attributes() const { return attributes_; }

  /// Writes everything but values, with a line added to the attribute `history`. `shown` is the path in messages.
  void create(const std::string& path, const std::string& shown, const std::string& history);
  /// Copies all values of a variable.
  void copy_values(const CopyVariable& variable, const Progress& progress);
  void read(const CopyVariable& variable, const Extents& start, const Extents& count, void* values) const;
  void write(const CopyVariable& variable, const Extents& start, const Extents& count, const void* values) const;
  /// Sizes the cache for reading or writing boxes of these extents.
  void expect_boxes(const CopyVariable& variable, const Extents& box) const;
  /// Ends writing.
  void close_target();

 private:
  void scan(int group, const std::string& prefix);
  CopyStorage storage_of(int group, int id, const CopyVariable& variable) const;
  void check_target(int status, const std::string& doing) const;
  void make_groups(int source, int target);
  void make_types(int source, int target);
  int type_of(int source_type) const;
  void make_variable(CopyVariable& variable);
  void copy_attributes(int source_group, int source_id, int target_group, int target_id);
  void append_history(const std::string& line);

  std::string path_, shown_;
  int source_ = -1, target_ = -1;
  bool classic_ = true;  ///< the source is of a classic format
  std::vector<CopyVariable> variables_;
  std::vector<NetcdfAttribute> attributes_;
  std::set<int> growing_;                           ///< unlimited dimensions
  std::map<int, int> groups_, dimensions_, types_;  ///< source to target
};

/// Adds or replaces a text attribute of variables in a file that exists: (path, value).
void put_text_attributes(const std::string& file, const std::string& shown, const std::string& attribute,
                         const std::vector<std::pair<std::string, std::string>>& values);

}  // namespace gregale::data
