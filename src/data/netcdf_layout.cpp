// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/netcdf_layout.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <vector>

#include "data/netcdf_file.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr std::array<unsigned char, 8> kHdf5Signature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

// Reads a file from the left and never past its end.
class ByteReader {
 public:
  ByteReader(std::ifstream& file, uint64_t size, const std::string& path) : file_(file), size_(size), path_(path) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return size_ - position_; }

  void seek(uint64_t position) {
    position_ = position;
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(position));
  }
  void bytes(void* out, uint64_t count) {
    need(count);
    file_.read(static_cast<char*>(out), static_cast<std::streamsize>(count));
    GREGALE_CHECK(file_.gcount() == static_cast<std::streamsize>(count), io, "cannot read {}", path_);
    position_ += count;
  }
  uint64_t big_endian(int count) {
    std::array<unsigned char, 8> raw{};
    bytes(raw.data(), static_cast<uint64_t>(count));
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | raw[static_cast<size_t>(i)];
    return value;
  }
  uint64_t little_endian(int count) {
    std::array<unsigned char, 8> raw{};
    bytes(raw.data(), static_cast<uint64_t>(count));
    uint64_t value = 0;
    for (int i = count; i-- > 0;) value = value << 8 | raw[static_cast<size_t>(i)];
    return value;
  }
  void skip(uint64_t count) {
    need(count);
    seek(position_ + count);
  }
  void need(uint64_t count) const {
    if (count > remaining())
      throw_error(ErrorCode::corrupt_data,
                  fmt::format("truncated: {}: its header goes past the end at byte {}", path_, size_));
  }

 private:
  std::ifstream& file_;
  uint64_t size_;
  const std::string& path_;
  uint64_t position_ = 0;
};

[[noreturn]] void damaged(const std::string& path, const std::string& what) {
  throw_error(ErrorCode::corrupt_data, fmt::format("damaged netCDF file: {}: {}", path, what));
}

uint64_t checked_product(uint64_t a, uint64_t b, const std::string& path, const std::string& name) {
  uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) || result > static_cast<uint64_t>(INT64_MAX))
    damaged(path, fmt::format("variable {} is larger than any file", name));
  return result;
}

uint64_t round_up(uint64_t bytes) { return (bytes + 3) / 4 * 4; }

class ClassicHeader {
 public:
  ClassicHeader(ByteReader& reader, const std::string& path, int version, uint64_t size)
      : in_(reader),
        path_(path),
        count_bytes_(version == 5 ? 8 : 4),
        offset_bytes_(version == 1 ? 4 : 8),
        size_(size) {}

  void check() {
    const uint64_t records = count();
    const uint64_t streaming = count_bytes_ == 8 ? UINT64_MAX : UINT32_MAX;
    if (records == streaming) damaged(path_, "the number of records is not known: it was not closed by its writer");
    read_dimensions();
    skip_attributes();
    read_variables();

    uint64_t record_bytes = 0;
    size_t record_variables = 0;
    for (const Variable& v : variables_)
      if (v.record) ++record_variables;
    for (const Variable& v : variables_)
      if (v.record) {
        // A single record variable is not padded.
        const uint64_t bytes = record_variables == 1 ? v.bytes : round_up(v.bytes);
        if (__builtin_add_overflow(record_bytes, bytes, &record_bytes))
          damaged(path_, "records are larger than any file");
      }
    for (const Variable& v : variables_) {
      if (v.bytes == 0 || (v.record && records == 0)) continue;
      uint64_t end = 0;
      const uint64_t before = v.record ? checked_product(record_bytes, records - 1, path_, v.name) : 0;
      if (__builtin_add_overflow(v.begin, before, &end) || __builtin_add_overflow(end, v.bytes, &end))
        damaged(path_, fmt::format("variable {} is larger than any file", v.name));
      if (end > size_)
        throw_error(ErrorCode::corrupt_data,
                    fmt::format("truncated: {}: variable {} ends at byte {} of {}", path_, v.name, end, size_));
    }
  }

 private:
  struct Dimension {
    uint64_t size;
  };
  struct Variable {
    std::string name;
    uint64_t begin = 0;
    uint64_t bytes = 0;  // of one record, where it has records
    bool record = false;
  };

  uint64_t count() { return in_.big_endian(count_bytes_); }

  // A list's tag and its number of entries, each at least `least` bytes long.
  uint64_t list(uint32_t tag, uint64_t least, const char* what) {
    const uint64_t found = in_.big_endian(4);
    const uint64_t entries = count();
    if (found == 0 && entries == 0) return 0;
    if (found != tag) damaged(path_, fmt::format("its list of {} is not one", what));
    if (entries > in_.remaining() / least) damaged(path_, fmt::format("it claims {} {}", entries, what));
    return entries;
  }
  std::string name() {
    const uint64_t length = count();
    in_.need(length);
    if (length > 4096) damaged(path_, fmt::format("a name of {} bytes", length));
    std::string text(length, '\0');
    in_.bytes(text.data(), length);
    in_.skip(round_up(length) - length);
    return text;
  }
  uint64_t type_bytes(uint64_t type) {
    static constexpr std::array<uint64_t, 12> kBytes{0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8};
    if (type == 0 || type >= kBytes.size()) damaged(path_, fmt::format("unknown type {}", type));
    return kBytes[type];
  }
  void read_dimensions() {
    const uint64_t entries = list(0x0A, 8, "dimensions");
    for (uint64_t i = 0; i < entries; ++i) {
      name();
      dimensions_.push_back({count()});
    }
  }
  void skip_attributes() {
    const uint64_t entries = list(0x0C, 12, "attributes");
    for (uint64_t i = 0; i < entries; ++i) {
      const std::string attribute = name();
      const uint64_t width = type_bytes(in_.big_endian(4));
      const uint64_t values = count();
      if (values > in_.remaining() / width)
        throw_error(ErrorCode::corrupt_data,
                    fmt::format("truncated: {}: attribute {} goes past the end at byte {}", path_, attribute, size_));
      in_.skip(values * width);
      const uint64_t padding = round_up(values * width) - values * width;
      in_.skip(padding);
    }
  }
  void read_variables() {
    const uint64_t entries = list(0x0B, 20, "variables");
    for (uint64_t i = 0; i < entries; ++i) {
      Variable v;
      v.name = name();
      const uint64_t rank = count();
      if (rank > 1024 || rank > in_.remaining() / 4)
        damaged(path_, fmt::format("variable {} has {} dimensions", v.name, rank));
      v.bytes = 1;
      for (uint64_t d = 0; d < rank; ++d) {
        const uint64_t id = count();
        if (id >= dimensions_.size())
          damaged(path_, fmt::format("variable {} has dimension {} of {}", v.name, id, dimensions_.size()));
        const uint64_t extent = dimensions_[id].size;
        if (extent == 0 && d == 0)
          v.record = true;
        else
          v.bytes = checked_product(v.bytes, extent, path_, v.name);
      }
      skip_attributes();
      v.bytes = checked_product(v.bytes, type_bytes(in_.big_endian(4)), path_, v.name);
      count();  // vsize: redundant, and wrong for large variables
      v.begin = in_.big_endian(offset_bytes_);
      variables_.push_back(std::move(v));
    }
  }

  ByteReader& in_;
  const std::string& path_;
  int count_bytes_, offset_bytes_;
  uint64_t size_;
  std::vector<Dimension> dimensions_;
  std::vector<Variable> variables_;
};

void check_superblock(ByteReader& in, const std::string& path, uint64_t at, uint64_t size) {
  in.seek(at + 8);
  const uint64_t version = in.little_endian(1);
  if (version > 3) return;  // a later format: the library's business
  uint64_t width = 0;
  if (version < 2) {
    in.skip(4);  // versions of the free space, root group and shared header; reserved
    width = in.little_endian(1);
    in.skip(version == 0 ? 10 : 14);  // length width, reserved, group tree ranks, consistency flags
  } else {
    width = in.little_endian(1);
    in.skip(2);
  }
  if (width != 8 && width != 4) damaged(path, fmt::format("addresses of {} bytes", width));
  in.skip(2 * width);  // base address; free space or superblock extension
  const uint64_t end = in.little_endian(static_cast<int>(width));
  if (end > size)
    throw_error(ErrorCode::corrupt_data, fmt::format("truncated: {}: its data end at byte {} of {}", path, end, size));
}

}  // namespace

void check_netcdf_layout(const std::string& path) {
  check_readable(path);
  std::ifstream file(path, std::ios::binary);
  GREGALE_CHECK(file, io, "cannot open {}", path);
  file.seekg(0, std::ios::end);
  const auto end = static_cast<int64_t>(file.tellg());
  GREGALE_CHECK(end >= 0, io, "cannot read {}", path);
  const auto size = static_cast<uint64_t>(end);
  GREGALE_CHECK(size > 0, corrupt_data, "not a netCDF file: {} (it is empty)", path);
  ByteReader in(file, size, path);
  in.seek(0);
  std::array<unsigned char, 8> magic{};
  if (size >= 4) {
    in.bytes(magic.data(), 4);
    if (std::memcmp(magic.data(), "CDF", 3) == 0) {
      const int version = magic[3];
      if (version != 1 && version != 2 && version != 5)
        damaged(path, fmt::format("unknown version {} of the format", version));
      ClassicHeader(in, path, version, size).check();
      return;
    }
  }
  // HDF5 allows a user block before its signature, of 0, 512, 1024, ... bytes.
  for (uint64_t at = 0; at + 24 <= size; at = at == 0 ? 512 : at * 2) {
    in.seek(at);
    in.bytes(magic.data(), 8);
    if (magic == kHdf5Signature) {
      check_superblock(in, path, at, size);
      return;
    }
  }
  throw_error(ErrorCode::corrupt_data, fmt::format("not a netCDF file: {}", path));
}

}  // namespace gregale::data
