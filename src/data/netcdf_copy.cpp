// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/netcdf_copy.hpp"

#include <fmt/format.h>
#include <netcdf.h>
#include <netcdf_filter.h>

#include <algorithm>
#include <cstring>

#include "data/chunk_grid.hpp"
#include "data/hdf5_file.hpp"
#include "data/netcdf_layout.hpp"
#include "gregale/error.hpp"
#include "hdf5/filter.hpp"

namespace gregale::data {
namespace {

constexpr int64_t kBoxBytes = 16 << 20;    // read and written at once
constexpr size_t kMostCache = 512U << 20;  // of one variable

std::vector<int> ids_of(int group, int (*list)(int, int*, int*), const std::string& path) {
  int count = 0;
  check_netcdf(list(group, &count, nullptr), path, "groups");
  std::vector<int> ids(static_cast<size_t>(count));
  if (count > 0) check_netcdf(list(group, &count, ids.data()), path, "groups");
  return ids;
}

std::vector<int> dimension_ids(int group, const std::string& path) {
  int count = 0;
  check_netcdf(nc_inq_dimids(group, &count, nullptr, 0), path, "dimensions");
  std::vector<int> ids(static_cast<size_t>(count));
  if (count > 0) check_netcdf(nc_inq_dimids(group, &count, ids.data(), 0), path, "dimensions");
  return ids;
}

std::vector<size_t> sizes(const Extents& extents) { return {extents.begin(), extents.end()}; }

}  // namespace

int64_t CopyVariable::values() const {
  int64_t values = 1;
  for (const int64_t e : description.extents) values *= e;
  return values;
}

NetcdfCopy::NetcdfCopy(const std::string& path) : path_(path) {
  check_netcdf_layout(path);
  std::lock_guard lock(netcdf_mutex());
  register_hdf5_filter();
  const int status = nc_open(path.c_str(), NC_NOWRITE, &source_);
  if (status != NC_NOERR) {
    source_ = -1;
    GREGALE_CHECK(status != NC_ENOTNC, corrupt_data, "not a netCDF file: {}", path);
    check_netcdf(status, path, "cannot open");
  }
  try {
    int format = 0;
    check_netcdf(nc_inq_format(source_, &format), path, "format");
    classic_ = format != NC_FORMAT_NETCDF4 && format != NC_FORMAT_NETCDF4_CLASSIC;
    attributes_ = load_netcdf_attributes(source_, NC_GLOBAL, path);
    scan(source_, "");
  } catch (...) {
    nc_close(source_);
    throw;
  }
}

NetcdfCopy::~NetcdfCopy() {
  std::lock_guard lock(netcdf_mutex());
  if (target_ >= 0) nc_close(target_);
  nc_close(source_);
}

void NetcdfCopy::scan(int group, const std::string& prefix) {
  const std::vector<int> growing = ids_of(group, nc_inq_unlimdims, path_);
  growing_.insert(growing.begin(), growing.end());
  for (const int id : ids_of(group, nc_inq_varids, path_)) {
    CopyVariable v;
    v.source_group = group;
    v.description.id = id;
    int rank = 0;
    check_netcdf(nc_inq_varndims(group, id, &rank), path_, "variable");
    v.dimensions.resize(static_cast<size_t>(rank));
    char name[NC_MAX_NAME + 1] = {};
    nc_type type = NC_NAT;
    check_netcdf(nc_inq_var(group, id, name, &type, nullptr, v.dimensions.data(), nullptr), path_, "variable");
    v.description.name = name;
    v.description.type = type;
    v.path = prefix.empty() ? name : prefix + "/" + name;
    size_t bytes = 0;
    check_netcdf(nc_inq_type(group, type, nullptr, &bytes), path_, v.path);
    v.element_bytes = static_cast<int64_t>(bytes);
    int64_t total = std::max<int64_t>(v.element_bytes, 1);
    for (const int dimension : v.dimensions) {
      size_t length = 0;
      v.can_grow |= growing_.count(dimension) != 0;
      check_netcdf(nc_inq_dim(group, dimension, name, &length), path_, v.path);
      v.description.dimensions.emplace_back(name);
      v.description.extents.push_back(static_cast<int64_t>(length));
      GREGALE_CHECK(length <= INT64_MAX &&
                        !__builtin_mul_overflow(total, std::max<int64_t>(static_cast<int64_t>(length), 1), &total),
                    corrupt_data, "damaged netCDF file: {}: variable {} is larger than any file", path_, v.path);
    }
    v.description.attributes = load_netcdf_attributes(group, id, path_);
    v.storage = storage_of(group, id, v);
    variables_.push_back(std::move(v));
  }
  for (const int child : ids_of(group, nc_inq_grps, path_)) {
    char name[NC_MAX_NAME + 1] = {};
    check_netcdf(nc_inq_grpname(child, name), path_, "group");
    scan(child, prefix + "/" + name);
  }
}

CopyStorage NetcdfCopy::storage_of(int group, int id, const CopyVariable& variable) const {
  CopyStorage storage;
  if (classic_ || variable.description.extents.empty()) return storage;
  int layout = NC_CONTIGUOUS;
  std::vector<size_t> chunk(variable.description.extents.size());
  check_netcdf(nc_inq_var_chunking(group, id, &layout, chunk.data()), path_, variable.path);
  if (layout != NC_CHUNKED) return storage;
  for (size_t d = 0; d < chunk.size(); ++d)
    storage.chunk.push_back(static_cast<int64_t>(std::max<size_t>(chunk[d], 1)));
  int shuffle = 0, deflate = 0, level = 0, checksum = 0;
  if (nc_inq_var_deflate(group, id, &shuffle, &deflate, &level) == NC_NOERR && deflate != 0) {
    storage.shuffle = shuffle != 0;
    storage.deflate = std::max(level, 1);
  }
  if (nc_inq_var_fletcher32(group, id, &checksum) == NC_NOERR) storage.fletcher32 = checksum == NC_FLETCHER32;
  return storage;
}

void NetcdfCopy::check_target(int status, const std::string& doing) const {
  if (status == NC_NOERR) return;
  const std::string why = hdf5::take_filter_error();
  throw_error(ErrorCode::io,
              fmt::format("cannot write {}: {}: {}", shown_, doing, why.empty() ? nc_strerror(status) : why));
}

void NetcdfCopy::create(const std::string& path, const std::string& shown, const std::string& history) {
  std::lock_guard lock(netcdf_mutex());
  shown_ = shown;
  int format = 0;
  check_netcdf(nc_inq_format(source_, &format), path_, "format");
  const int mode = NC_NETCDF4 | NC_CLOBBER | (format == NC_FORMAT_NETCDF4_CLASSIC ? NC_CLASSIC_MODEL : 0);
  check_target(nc_create(path.c_str(), mode, &target_), "creating it");
  make_groups(source_, target_);
  for (CopyVariable& v : variables_) make_variable(v);
  for (const auto& [source, target] : groups_) copy_attributes(source, NC_GLOBAL, target, NC_GLOBAL);
  append_history(history);
  check_target(nc_enddef(target_), "its header");
}

void NetcdfCopy::make_groups(int source, int target) {
  groups_[source] = target;
  for (const int dimension : dimension_ids(source, path_)) {
    char name[NC_MAX_NAME + 1] = {};
    size_t length = 0;
    check_netcdf(nc_inq_dim(source, dimension, name, &length), path_, "dimension");
    const size_t wanted = growing_.count(dimension) != 0 ? NC_UNLIMITED : length;
    check_target(nc_def_dim(target, name, wanted, &dimensions_[dimension]), name);
  }
  make_types(source, target);
  for (const int child : ids_of(source, nc_inq_grps, path_)) {
    char name[NC_MAX_NAME + 1] = {};
    check_netcdf(nc_inq_grpname(child, name), path_, "group");
    int made = -1;
    check_target(nc_def_grp(target, name, &made), name);
    make_groups(child, made);
  }
}

int NetcdfCopy::type_of(int source_type) const {
  const auto found = types_.find(source_type);
  return found != types_.end() ? found->second : source_type;
}

void NetcdfCopy::make_types(int source, int target) {
  for (const int type : ids_of(source, nc_inq_typeids, path_)) {
    char name[NC_MAX_NAME + 1] = {}, member[NC_MAX_NAME + 1] = {};
    size_t size = 0, fields = 0;
    nc_type base = NC_NAT;
    int kind = 0, made = -1;
    check_netcdf(nc_inq_user_type(source, type, name, &size, &base, &fields, &kind), path_, "type");
    if (kind == NC_OPAQUE) {
      check_target(nc_def_opaque(target, size, name, &made), name);
    } else if (kind == NC_VLEN) {
      check_target(nc_def_vlen(target, name, type_of(base), &made), name);
    } else if (kind == NC_ENUM) {
      check_target(nc_def_enum(target, type_of(base), name, &made), name);
      for (size_t i = 0; i < fields; ++i) {
        int64_t value = 0;  // as wide as any integer
        check_netcdf(nc_inq_enum_member(source, type, static_cast<int>(i), member, &value), path_, name);
        check_target(nc_insert_enum(target, made, member, &value), name);
      }
    } else {
      check_target(nc_def_compound(target, size, name, &made), name);
      for (size_t i = 0; i < fields; ++i) {
        size_t offset = 0;
        nc_type part = NC_NAT;
        int rank = 0, extents[NC_MAX_VAR_DIMS] = {};
        check_netcdf(nc_inq_compound_field(source, type, static_cast<int>(i), member, &offset, &part, &rank, extents),
                     path_, name);
        check_target(rank > 0 ? nc_insert_array_compound(target, made, member, offset, type_of(part), rank, extents)
                              : nc_insert_compound(target, made, member, offset, type_of(part)),
                     name);
      }
    }
    types_[type] = made;
  }
}

void NetcdfCopy::make_variable(CopyVariable& v) {
  v.target_group = groups_.at(v.source_group);
  std::vector<int> dimensions;
  for (const int d : v.dimensions) dimensions.push_back(dimensions_.at(d));
  const int group = v.target_group;
  check_target(nc_def_var(group, v.description.name.c_str(), type_of(v.description.type),
                          static_cast<int>(dimensions.size()), dimensions.data(), &v.target_id),
               v.path);
  const CopyStorage& s = v.storage;
  if (!dimensions.empty()) {
    const std::vector<size_t> chunk = sizes(s.chunk);
    if (!chunk.empty())
      check_target(nc_def_var_chunking(group, v.target_id, NC_CHUNKED, chunk.data()), v.path);
    else if (!v.can_grow)
      check_target(nc_def_var_chunking(group, v.target_id, NC_CONTIGUOUS, nullptr), v.path);
    if (s.deflate > 0) check_target(nc_def_var_deflate(group, v.target_id, s.shuffle ? 1 : 0, 1, s.deflate), v.path);
    if (s.fletcher32) check_target(nc_def_var_fletcher32(group, v.target_id, NC_FLETCHER32), v.path);
    if (!s.filter.empty())
      check_target(nc_def_var_filter(group, v.target_id, hdf5::kFilterId, s.filter.size(), s.filter.data()), v.path);
  }
  if (!classic_) {
    int none = 0, order = NC_ENDIAN_NATIVE;
    if (nc_inq_var_fill(v.source_group, v.description.id, &none, nullptr) == NC_NOERR && none != 0)
      check_target(nc_def_var_fill(group, v.target_id, NC_NOFILL, nullptr), v.path);
    // Streams hold values in this processor's order.
    if (s.filter.empty() && nc_inq_var_endian(v.source_group, v.description.id, &order) == NC_NOERR &&
        order != NC_ENDIAN_NATIVE)
      check_target(nc_def_var_endian(group, v.target_id, order), v.path);
  }
  copy_attributes(v.source_group, v.description.id, group, v.target_id);
}

void NetcdfCopy::copy_attributes(int source_group, int source_id, int target_group, int target_id) {
  int count = 0;
  check_netcdf(
      source_id == NC_GLOBAL ? nc_inq_natts(source_group, &count) : nc_inq_varnatts(source_group, source_id, &count),
      path_, "attributes");
  for (int i = 0; i < count; ++i) {
    char name[NC_MAX_NAME + 1] = {};
    check_netcdf(nc_inq_attname(source_group, source_id, i, name), path_, "attribute");
    nc_type type = NC_NAT, wanted = NC_NAT;
    size_t length = 0;
    check_netcdf(nc_inq_att(source_group, source_id, name, &type, &length), path_, name);
    if (source_id != NC_GLOBAL && std::strcmp(name, "_FillValue") == 0) {
      check_netcdf(nc_inq_vartype(source_group, source_id, &wanted), path_, name);
      // Old files may have it in another type, which netCDF-4 does not accept.
      if (type != wanted && length == 1 && type <= NC_UINT64 && type != NC_CHAR && wanted <= NC_UINT64 &&
          wanted != NC_CHAR) {
        double value = 0;
        check_netcdf(nc_get_att_double(source_group, source_id, name, &value), path_, name);
        check_target(nc_put_att_double(target_group, target_id, name, wanted, 1, &value), name);
        continue;
      }
    }
    check_target(nc_copy_att(source_group, source_id, name, target_group, target_id), name);
  }
}

void NetcdfCopy::append_history(const std::string& line) {
  std::string text;
  for (const NetcdfAttribute& a : attributes_)
    if (a.name == "history" && a.is_text && !a.text.empty()) text = a.text + (a.text.back() == '\n' ? "" : "\n");
  text += line;
  check_target(nc_put_att_text(target_, NC_GLOBAL, "history", text.size(), text.data()), "history");
}

void NetcdfCopy::read(const CopyVariable& v, const Extents& start, const Extents& count, void* values) const {
  std::lock_guard lock(netcdf_mutex());
  check_netcdf(nc_get_vara(v.source_group, v.description.id, sizes(start).data(), sizes(count).data(), values), path_,
               "cannot read " + v.path);
}

void NetcdfCopy::write(const CopyVariable& v, const Extents& start, const Extents& count, const void* values) const {
  std::lock_guard lock(netcdf_mutex());
  check_target(nc_put_vara(v.target_group, v.target_id, sizes(start).data(), sizes(count).data(), values), v.path);
}

void NetcdfCopy::copy_values(const CopyVariable& v, const Progress& progress) {
  const int64_t total = v.bytes();
  if (total == 0) return;
  const Extents& extents = v.description.extents;
  const Extents box = choose_box(extents, v.storage.chunk, v.element_bytes, kBoxBytes, false);
  expect_boxes(v, box);
  const ChunkGrid grid(extents, box);
  const bool owns_memory = v.description.type == NC_STRING || v.description.type > NC_MAX_ATOMIC_TYPE;
  std::vector<std::byte> values;
  for (int64_t i = 0; i < grid.size(); ++i) {
    const ChunkGrid::Box b = grid.box(i);
    values.assign(static_cast<size_t>(b.values * v.element_bytes), std::byte{0});
    read(v, b.start, b.extents, values.data());
    write(v, b.start, b.extents, values.data());
    if (owns_memory) {
      std::lock_guard lock(netcdf_mutex());
      nc_reclaim_data(v.source_group, v.description.type, values.data(), static_cast<size_t>(b.values));
    }
    progress(b.values * v.element_bytes);
  }
}

void NetcdfCopy::expect_boxes(const CopyVariable& v, const Extents& box) const {
  if (classic_ || box.empty()) return;
  std::lock_guard lock(netcdf_mutex());
  int layout = NC_CONTIGUOUS;
  std::vector<size_t> chunk(box.size());
  if (nc_inq_var_chunking(v.source_group, v.description.id, &layout, chunk.data()) != NC_NOERR || layout != NC_CHUNKED)
    return;
  // All chunks that a box touches, so that none is decompressed twice.
  double bytes = static_cast<double>(v.element_bytes);
  for (size_t d = 0; d < box.size(); ++d)
    bytes *= static_cast<double>((static_cast<size_t>(box[d]) / chunk[d] + 2) * chunk[d]);
  if (bytes < static_cast<double>(kMostCache))
    nc_set_var_chunk_cache(v.source_group, v.description.id, std::max<size_t>(static_cast<size_t>(bytes), 1U << 20),
                           4099, 0.75F);
}

void NetcdfCopy::close_target() {
  std::lock_guard lock(netcdf_mutex());
  const int id = target_;
  target_ = -1;
  check_target(nc_close(id), "closing it");
}

void put_text_attributes(const std::string& file, const std::string& shown, const std::string& attribute,
                         const std::vector<std::pair<std::string, std::string>>& values) {
  if (values.empty()) return;
  std::lock_guard lock(netcdf_mutex());
  int id = -1;
  const auto check = [&](int status, const std::string& doing) {
    if (status == NC_NOERR) return;
    if (id >= 0) nc_close(id);
    throw_error(ErrorCode::io, fmt::format("cannot write {}: {}: {}", shown, doing, nc_strerror(status)));
  };
  check(nc_open(file.c_str(), NC_WRITE, &id), "opening it again");
  nc_redef(id);  // asked for by the classic model, refused by the other
  for (const auto& [path, value] : values) {
    const size_t slash = path.rfind('/');
    int group = id, variable = -1;
    if (slash != std::string::npos && slash > 0)
      check(nc_inq_grp_full_ncid(id, path.substr(0, slash).c_str(), &group), path);
    check(nc_inq_varid(group, path.substr(slash == std::string::npos ? 0 : slash + 1).c_str(), &variable), path);
    check(nc_put_att_text(group, variable, attribute.c_str(), value.size(), value.data()), path);
  }
  const int done = id;
  id = -1;
  check(nc_close(done), "closing it");
}

}  // namespace gregale::data
