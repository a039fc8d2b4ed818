// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/netcdf_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netcdf.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "data/hdf5_file.hpp"
#include "data/netcdf_layout.hpp"
#include "gregale/error.hpp"
#include "hdf5/filter.hpp"

namespace gregale::data {
namespace {

constexpr size_t kMaxAttributeLength = 1 << 22;
constexpr int64_t kMaxRead = int64_t{1} << 40;  // elements of one block: more is a mistake or an attack

struct TypeRange {
  double lowest, highest;
};
// The values an integer type holds.
std::optional<TypeRange> integer_range(int type) {
  switch (type) {
    case NC_BYTE:
      return TypeRange{-128, 127};
    case NC_UBYTE:
      return TypeRange{0, 255};
    case NC_SHORT:
      return TypeRange{-32768, 32767};
    case NC_USHORT:
      return TypeRange{0, 65535};
    case NC_INT:
      return TypeRange{-2147483648.0, 2147483647.0};
    case NC_UINT:
      return TypeRange{0, 4294967295.0};
    case NC_INT64:
      return TypeRange{-9223372036854775808.0, 9223372036854775807.0};
    case NC_UINT64:
      return TypeRange{0, 18446744073709551615.0};
    default:
      return std::nullopt;
  }
}

std::optional<double> default_fill(int type) {
  switch (type) {
    case NC_SHORT:
      return NC_FILL_SHORT;
    case NC_USHORT:
      return NC_FILL_USHORT;
    case NC_INT:
      return NC_FILL_INT;
    case NC_UINT:
      return NC_FILL_UINT;
    case NC_INT64:
      return static_cast<double>(NC_FILL_INT64);
    case NC_UINT64:
      return static_cast<double>(NC_FILL_UINT64);
    case NC_FLOAT:
      return static_cast<double>(NC_FILL_FLOAT);
    case NC_DOUBLE:
      return NC_FILL_DOUBLE;
    default:
      return std::nullopt;  // bytes use all their values
  }
}

// How raw numbers become physical values or NaN.
struct Decoding {
  double scale = 1, offset = 0;
  bool packed = false;
  double unsigned_wrap = 0;                                   // added to negative values
  std::vector<double> missing;                                // raw values
  double raw_low = -std::numeric_limits<double>::infinity();  // valid range of raw values
  double raw_high = std::numeric_limits<double>::infinity();
  double low = -std::numeric_limits<double>::infinity();  // valid range of physical values
  double high = std::numeric_limits<double>::infinity();

  double operator()(double raw) const {
    if (unsigned_wrap != 0 && raw < 0) raw += unsigned_wrap;
    for (double m : missing)
      if (raw == m) return std::numeric_limits<double>::quiet_NaN();
    if (!(raw >= raw_low && raw <= raw_high)) return std::numeric_limits<double>::quiet_NaN();
    const double value = packed ? raw * scale + offset : raw;
    return value >= low && value <= high ? value : std::numeric_limits<double>::quiet_NaN();
  }
};

// Numbers of an attribute; text that is a number ("-999.") counts, as some archives write it.
std::vector<double> numbers_of(const NetcdfVariable& variable, const char* name) {
  const NetcdfAttribute* attribute = variable.find(name);
  if (attribute == nullptr) return {};
  if (!attribute->is_text) return attribute->numbers;
  char* end = nullptr;
  const double value = std::strtod(attribute->text.c_str(), &end);
  if (end == attribute->text.c_str()) return {};
  while (*end == ' ') ++end;
  return *end == '\0' ? std::vector<double>{value} : std::vector<double>{};
}

Decoding decoding_of(const NetcdfVariable& variable) {
  Decoding d;
  const std::vector<double> scale = numbers_of(variable, "scale_factor"), offset = numbers_of(variable, "add_offset");
  if (!scale.empty() && std::isfinite(scale[0]) && scale[0] != 0) d.scale = scale[0];
  if (!offset.empty() && std::isfinite(offset[0])) d.offset = offset[0];
  d.packed = d.scale != 1 || d.offset != 0;
  std::optional<TypeRange> range = integer_range(variable.type);
  const std::string is_unsigned = variable.text("_Unsigned");
  if (range && range->lowest < 0 && (is_unsigned == "true" || is_unsigned == "TRUE")) {
    d.unsigned_wrap = range->highest - range->lowest + 1;
    range = TypeRange{0, d.unsigned_wrap - 1};
  }
  // An attribute's number as a raw value. Of a packed integer variable, a number that the type cannot hold was meant as
  // a physical value.
  auto raw_of = [&](double value) {
    if (variable.type == NC_FLOAT) return static_cast<double>(static_cast<float>(value));
    if (!range) return value;
    if (d.unsigned_wrap != 0 && value < 0) return value + d.unsigned_wrap;
    const bool holds = value == std::floor(value) && value >= range->lowest && value <= range->highest;
    if (holds || !d.packed) return value;
    return std::round((value - d.offset) / d.scale);
  };
  for (const char* name : {"_FillValue", "missing_value"})
    for (double value : numbers_of(variable, name))
      if (!std::isnan(value)) d.missing.push_back(raw_of(value));
  if (variable.find("_FillValue") == nullptr)
    if (const auto fill = default_fill(variable.type)) d.missing.push_back(*fill);

  auto limit = [&](const char* name, double value, bool upper) {
    if (std::isnan(value)) return;
    const NetcdfAttribute* attribute = variable.find(name);
    // CF 2.5.1: in the type of the packed data, unless it is of the unpacked type.
    const bool physical = d.packed && range && attribute->is_floating;
    if (!physical && d.unsigned_wrap != 0 && value < 0) value += d.unsigned_wrap;
    if (variable.type == NC_FLOAT) value = static_cast<double>(static_cast<float>(value));
    double& bound = physical ? (upper ? d.high : d.low) : (upper ? d.raw_high : d.raw_low);
    bound = upper ? std::min(bound, value) : std::max(bound, value);
  };
  if (const auto valid = numbers_of(variable, "valid_range"); valid.size() == 2) {
    limit("valid_range", std::min(valid[0], valid[1]), false);
    limit("valid_range", std::max(valid[0], valid[1]), true);
  }
  if (const auto valid = numbers_of(variable, "valid_min"); !valid.empty()) limit("valid_min", valid[0], false);
  if (const auto valid = numbers_of(variable, "valid_max"); !valid.empty()) limit("valid_max", valid[0], true);
  return d;
}

NetcdfAttribute load_attribute(int id, int variable, int index, const std::string& path) {
  char name[NC_MAX_NAME + 1] = {};
  check_netcdf(nc_inq_attname(id, variable, index, name), path, "attribute name");
  NetcdfAttribute attribute;
  attribute.name = name;
  nc_type type = NC_NAT;
  size_t length = 0;
  check_netcdf(nc_inq_att(id, variable, name, &type, &length), path, attribute.name);
  GREGALE_CHECK(length <= kMaxAttributeLength, corrupt_data, "damaged netCDF file: {}: attribute {} has {} values",
                path, name, length);
  if (type == NC_CHAR) {
    attribute.is_text = true;
    attribute.text.resize(length);
    if (length > 0) check_netcdf(nc_get_att_text(id, variable, name, attribute.text.data()), path, attribute.name);
    while (!attribute.text.empty() && attribute.text.back() == '\0') attribute.text.pop_back();
  } else if (type == NC_STRING) {
    attribute.is_text = true;
    std::vector<char*> strings(length, nullptr);
    if (length > 0) check_netcdf(nc_get_att_string(id, variable, name, strings.data()), path, attribute.name);
    for (size_t i = 0; i < length; ++i) {
      if (i > 0) attribute.text += ' ';
      if (strings[i] != nullptr) attribute.text += strings[i];
    }
    if (length > 0) nc_free_string(length, strings.data());
  } else if (type >= NC_BYTE && type <= NC_UINT64) {
    attribute.is_floating = type == NC_FLOAT || type == NC_DOUBLE;
    attribute.numbers.resize(length);
    if (length > 0) check_netcdf(nc_get_att_double(id, variable, name, attribute.numbers.data()), path, attribute.name);
  }
  return attribute;
}

}  // namespace

void check_netcdf(int status, const std::string& path, const std::string& doing) {
  if (status == NC_NOERR) return;
  // The filter of compressed variables knows block and byte, the library only that it failed.
  if (const std::string why = hdf5::take_filter_error(); !why.empty())
    throw_error(ErrorCode::corrupt_data, fmt::format("damaged netCDF file: {}: {}: {}", path, doing, why));
  const ErrorCode code = status > 0 ? ErrorCode::io : ErrorCode::corrupt_data;
  const std::string kind = status > 0 ? "cannot read" : "damaged netCDF file:";
  throw_error(code, fmt::format("{} {}: {}: {}", kind, path, doing, nc_strerror(status)));
}

std::vector<NetcdfAttribute> load_netcdf_attributes(int group, int variable, const std::string& path) {
  int count = 0;
  check_netcdf(variable == NC_GLOBAL ? nc_inq_natts(group, &count) : nc_inq_varnatts(group, variable, &count), path,
               "attributes");
  std::vector<NetcdfAttribute> result;
  for (int i = 0; i < count; ++i) result.push_back(load_attribute(group, variable, i, path));
  return result;
}

NetcdfMissing missing_of(const NetcdfVariable& variable) {
  const Decoding d = decoding_of(variable);
  return {d.missing, d.raw_low, d.raw_high};
}

std::recursive_mutex& netcdf_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

void check_readable(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    GREGALE_CHECK(errno != ENOENT && errno != ENOTDIR, io, "no such file: {}", path);
    throw_error(ErrorCode::io, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  GREGALE_CHECK(!S_ISDIR(info.st_mode), io, "is a directory: {}", path);
  GREGALE_CHECK(S_ISREG(info.st_mode), io, "is not an ordinary file: {}", path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    GREGALE_CHECK(errno != EACCES && errno != EPERM, io, "permission denied: {}", path);
    throw_error(ErrorCode::io, fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  ::close(descriptor);
}

bool NetcdfVariable::is_numeric() const { return type >= NC_BYTE && type <= NC_UINT64 && type != NC_CHAR; }

const NetcdfAttribute* NetcdfVariable::find(std::string_view attribute) const {
  for (const NetcdfAttribute& a : attributes)
    if (a.name == attribute) return &a;
  for (const NetcdfAttribute& a : attributes)
    if (a.name.size() == attribute.size() && ::strncasecmp(a.name.data(), attribute.data(), attribute.size()) == 0)
      return &a;
  return nullptr;
}

std::string NetcdfVariable::text(std::string_view attribute, const std::string& fallback) const {
  const NetcdfAttribute* found = find(attribute);
  return found != nullptr && found->is_text ? found->text : fallback;
}

std::optional<double> NetcdfVariable::number(std::string_view attribute) const {
  const NetcdfAttribute* found = find(attribute);
  if (found == nullptr || found->is_text || found->numbers.empty()) return std::nullopt;
  return found->numbers.front();
}

struct NetcdfFile::State {
  std::string path, format;
  int id = -1;
  std::vector<NetcdfDimension> dimensions;
  std::vector<NetcdfVariable> variables;
  std::vector<NetcdfAttribute> attributes;

  ~State() {
    if (id >= 0) {
      std::lock_guard lock(netcdf_mutex());
      nc_close(id);
    }
  }
  void load();
};

void NetcdfFile::State::load() {
  int kind = 0;
  check_netcdf(nc_inq_format(id, &kind), path, "format");
  switch (kind) {
    case NC_FORMAT_CLASSIC:
      format = "classic";
      break;
    case NC_FORMAT_64BIT_OFFSET:
      format = "64-bit offset";
      break;
    case NC_FORMAT_64BIT_DATA:
      format = "64-bit data";
      break;
    case NC_FORMAT_NETCDF4:
      format = "netCDF-4";
      break;
    case NC_FORMAT_NETCDF4_CLASSIC:
      format = "netCDF-4 classic model";
      break;
    default:
      format = "unknown";
  }
  int dimension_count = 0, variable_count = 0, unlimited_count = 0;
  check_netcdf(nc_inq(id, &dimension_count, &variable_count, nullptr, nullptr), path, "header");
  std::vector<int> dimension_ids(static_cast<size_t>(dimension_count)), unlimited;
  check_netcdf(nc_inq_dimids(id, &dimension_count, dimension_ids.data(), 0), path, "dimensions");
  check_netcdf(nc_inq_unlimdims(id, &unlimited_count, nullptr), path, "dimensions");
  unlimited.resize(static_cast<size_t>(unlimited_count));
  if (unlimited_count > 0) check_netcdf(nc_inq_unlimdims(id, &unlimited_count, unlimited.data()), path, "dimensions");

  auto dimension_of = [&](int dimension) {
    char name[NC_MAX_NAME + 1] = {};
    size_t size = 0;
    check_netcdf(nc_inq_dim(id, dimension, name, &size), path, "dimension");
    GREGALE_CHECK(size <= static_cast<size_t>(INT64_MAX), corrupt_data,
                  "damaged netCDF file: {}: dimension {} is too long", path, name);
    return NetcdfDimension{name, static_cast<int64_t>(size),
                           std::find(unlimited.begin(), unlimited.end(), dimension) != unlimited.end()};
  };
  for (int dimension : dimension_ids) dimensions.push_back(dimension_of(dimension));

  attributes = load_netcdf_attributes(id, NC_GLOBAL, path);
  for (int v = 0; v < variable_count; ++v) {
    NetcdfVariable variable;
    variable.id = v;
    int rank = 0;
    check_netcdf(nc_inq_varndims(id, v, &rank), path, "variable");
    std::vector<int> ids(static_cast<size_t>(rank));
    char name[NC_MAX_NAME + 1] = {};
    nc_type type = NC_NAT;
    check_netcdf(nc_inq_var(id, v, name, &type, nullptr, ids.data(), nullptr), path, "variable");
    variable.name = name;
    variable.type = type;
    int64_t elements = 1;
    for (int dimension : ids) {
      const NetcdfDimension d = dimension_of(dimension);
      GREGALE_CHECK(!__builtin_mul_overflow(elements, std::max<int64_t>(d.size, 1), &elements), corrupt_data,
                    "damaged netCDF file: {}: variable {} is larger than any file", path, name);
      variable.dimensions.push_back(d.name);
      variable.extents.push_back(d.size);
    }
    variable.attributes = load_netcdf_attributes(id, v, path);
    variables.push_back(std::move(variable));
  }
  if (variables.empty()) {
    int groups = 0;
    if (nc_inq_grps(id, &groups, nullptr) == NC_NOERR && groups > 0) {
      std::vector<int> ids(static_cast<size_t>(groups));
      check_netcdf(nc_inq_grps(id, &groups, ids.data()), path, "groups");
      std::string names;
      for (size_t i = 0; i < ids.size() && i < 8; ++i) {
        char name[NC_MAX_NAME + 1] = {};
        check_netcdf(nc_inq_grpname(ids[i], name), path, "group");
        names += (i > 0 ? ", " : "") + std::string(name);
      }
      throw_error(
          ErrorCode::unsupported,
          fmt::format("the variables of {} are in groups ({}): copy one of them to a file of its own", path, names));
    }
  }
}

NetcdfFile::NetcdfFile(const std::string& path) : state_(std::make_unique<State>()) {
  check_netcdf_layout(path);
  std::lock_guard lock(netcdf_mutex());
  register_hdf5_filter();
  state_->path = path;
  const int status = nc_open(path.c_str(), NC_NOWRITE, &state_->id);
  if (status != NC_NOERR) {
    state_->id = -1;
    GREGALE_CHECK(status != NC_ENOTNC, corrupt_data, "not a netCDF file: {}", path);
    check_netcdf(status, path, "cannot open");
  }
  state_->load();
}

NetcdfFile::~NetcdfFile() = default;
NetcdfFile::NetcdfFile(NetcdfFile&&) noexcept = default;
NetcdfFile& NetcdfFile::operator=(NetcdfFile&&) noexcept = default;

const std::string& NetcdfFile::path() const { return state_->path; }
const std::string& NetcdfFile::format() const { return state_->format; }
const std::vector<NetcdfDimension>& NetcdfFile::dimensions() const { return state_->dimensions; }
const std::vector<NetcdfVariable>& NetcdfFile::variables() const { return state_->variables; }
const std::vector<NetcdfAttribute>& NetcdfFile::attributes() const { return state_->attributes; }

std::string NetcdfFile::global_text(std::string_view attribute) const {
  for (const NetcdfAttribute& a : state_->attributes)
    if (a.name == attribute && a.is_text) return a.text;
  return "";
}

const NetcdfVariable* NetcdfFile::find(std::string_view name) const {
  for (const NetcdfVariable& v : state_->variables)
    if (v.name == name) return &v;
  return nullptr;
}

const NetcdfVariable& NetcdfFile::variable(std::string_view name) const {
  if (const NetcdfVariable* found = find(name)) return *found;
  std::string names;
  for (const NetcdfVariable& v : state_->variables) names += (names.empty() ? "" : ", ") + v.name;
  throw_error(ErrorCode::invalid_argument,
              fmt::format("no variable '{}' in {} (it has {})", name, state_->path, names.empty() ? "none" : names));
}

namespace {

// Bounds of a block; returns its number of elements.
int64_t check_block(const NetcdfVariable& variable, std::span<const int64_t> start, std::span<const int64_t> count,
                    size_t out_size) {
  GREGALE_ASSERT(start.size() == variable.extents.size() && count.size() == variable.extents.size());
  GREGALE_CHECK(variable.is_numeric(), unsupported, "variable {} is not numeric", variable.name);
  int64_t elements = 1;
  for (size_t i = 0; i < start.size(); ++i) {
    GREGALE_CHECK(
        start[i] >= 0 && count[i] >= 0 && start[i] <= variable.extents[i] && count[i] <= variable.extents[i] - start[i],
        invalid_argument, "{} values from {} of dimension {} of {} are outside its {}", count[i], start[i],
        variable.dimensions[i], variable.name, variable.extents[i]);
    GREGALE_CHECK(!__builtin_mul_overflow(elements, count[i], &elements) && elements <= kMaxRead, corrupt_data,
                  "a block of variable {} is too large", variable.name);
  }
  GREGALE_ASSERT(static_cast<size_t>(elements) == out_size);
  return elements;
}

}  // namespace

void NetcdfFile::read(const NetcdfVariable& variable, std::span<const int64_t> start, std::span<const int64_t> count,
                      std::span<double> out) const {
  if (check_block(variable, start, count, out.size()) == 0) return;
  const std::vector<size_t> from(start.begin(), start.end()), number(count.begin(), count.end());
  {
    std::lock_guard lock(netcdf_mutex());
    check_netcdf(nc_get_vara_double(state_->id, variable.id, from.data(), number.data(), out.data()), state_->path,
                 fmt::format("cannot read {}", variable.name));
  }
  const Decoding decode = decoding_of(variable);
  for (double& value : out) value = decode(value);
}

void NetcdfFile::read(const NetcdfVariable& variable, std::span<const int64_t> start, std::span<const int64_t> count,
                      std::span<float> out) const {
  if (variable.type == NC_FLOAT) {  // no conversion: read in place
    if (check_block(variable, start, count, out.size()) == 0) return;
    const std::vector<size_t> from(start.begin(), start.end()), number(count.begin(), count.end());
    {
      std::lock_guard lock(netcdf_mutex());
      check_netcdf(nc_get_vara_float(state_->id, variable.id, from.data(), number.data(), out.data()), state_->path,
                   fmt::format("cannot read {}", variable.name));
    }
    const Decoding decode = decoding_of(variable);
    for (float& value : out) value = static_cast<float>(decode(static_cast<double>(value)));
    return;
  }
  std::vector<double> wide(out.size());
  read(variable, start, count, std::span<double>(wide));
  // Beyond the range of float: infinity, as the conversion of the IEEE standard gives (the cast alone is undefined).
  for (size_t i = 0; i < wide.size(); ++i) {
    const double limit = static_cast<double>(std::numeric_limits<float>::max());
    out[i] = std::abs(wide[i]) > limit
                 ? std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(wide[i] > 0 ? 1 : -1))
                 : static_cast<float>(wide[i]);
  }
}

std::vector<double> NetcdfFile::read_all(const NetcdfVariable& variable) const {
  const std::vector<int64_t> start(variable.extents.size(), 0);
  int64_t elements = 1;
  for (int64_t extent : variable.extents)
    GREGALE_CHECK(!__builtin_mul_overflow(elements, extent, &elements) && elements <= (int64_t{1} << 31), corrupt_data,
                  "variable {} of {} is too large to be read at once", variable.name, state_->path);
  std::vector<double> values(static_cast<size_t>(elements));
  read(variable, start, variable.extents, std::span<double>(values));
  return values;
}

}  // namespace gregale::data
