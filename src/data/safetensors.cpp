// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/safetensors.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/json.hpp"
#include "data/safetensors_header.hpp"
#include "data/sha256.hpp"

namespace gregale::data {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and so is this reader");

namespace {

constexpr int64_t kAlignment = 64;  // what Tensor promises of its data
constexpr const char* kTensorsKey = "sha256";
constexpr const char* kMetadataKey = "sha256_metadata";

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hang us
    GREGALE_CHECK(descriptor_ >= 0, io, "cannot read {}: {}", path, std::strerror(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      throw_error(ErrorCode::io,
                  fmt::format("cannot read {}: {}", path,
                              S_ISDIR(status.st_mode) ? "it is a directory" : "it is not a regular file"));
    }
    size_ = status.st_size;
  }
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int64_t size() const { return size_; }
  int descriptor() const { return descriptor_; }
  void read(void* bytes, int64_t count, int64_t offset) const {
    auto* next = static_cast<char*>(bytes);
    while (count > 0) {
      ssize_t got = ::pread(descriptor_, next, static_cast<size_t>(std::min<int64_t>(count, 1 << 30)), offset);
      if (got < 0 && errno == EINTR) continue;
      GREGALE_CHECK(got >= 0, io, "cannot read {}: {}", path_, std::strerror(errno));
      GREGALE_CHECK(got > 0, corrupt_data, "{}: truncated at byte {} while it was read", path_, offset);
      next += got;
      offset += got;
      count -= got;
    }
  }

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

SafetensorsHeader read_header(const File& file, const std::string& path) {
  GREGALE_CHECK(file.size() >= 8, corrupt_data,
                "{}: truncated at byte {}: a safetensors file begins with 8 bytes of length", path, file.size());
  uint64_t length = 0;
  file.read(&length, 8, 0);
  GREGALE_CHECK(length <= static_cast<uint64_t>(kMaxSafetensorsHeader), corrupt_data,
                "{}: not a safetensors file: its header would have {} bytes (at most {} are allowed)", path, length,
                kMaxSafetensorsHeader);
  GREGALE_CHECK(static_cast<int64_t>(length) <= file.size() - 8, corrupt_data,
                "{}: truncated at byte {}: the header ends at byte {}", path, file.size(), 8 + length);
  std::string text(length, '\0');
  file.read(text.data(), static_cast<int64_t>(length), 8);
  SafetensorsHeader header = parse_safetensors_header(text, path);
  header.data_offset = 8 + static_cast<int64_t>(length);
  int64_t present = file.size() - header.data_offset;
  // Not the sum of the two: a hostile header may promise more bytes than an int64 can count to.
  GREGALE_CHECK(header.data_bytes <= present, corrupt_data,
                "{}: truncated at byte {}: {} bytes of tensors begin at byte {}", path, file.size(), header.data_bytes,
                header.data_offset);
  GREGALE_CHECK(header.data_bytes == present, corrupt_data, "{}: {} bytes after the last tensor's end at byte {}", path,
                present - header.data_bytes, header.data_offset + header.data_bytes);
  return header;
}

std::shared_ptr<void> map_file(const File& file, const std::string& path) {
  auto size = static_cast<size_t>(file.size());
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.descriptor(), 0);
  GREGALE_CHECK(base != MAP_FAILED, io, "cannot map {}: {}", path, std::strerror(errno));
  return {base, [size](void* address) { ::munmap(address, size); }};
}

std::string metadata_sha256(const Metadata& metadata) {
  Sha256 hash;
  for (const auto& [key, value] : metadata) {
    if (key == kMetadataKey) continue;
    // Lengths keep ("ab", "c") and ("a", "bc") apart.
    hash.update(fmt::format("{} {} ", key.size(), value.size())).update(key).update(value);
  }
  return hash.hex();
}

void verify(const std::string& path, Safetensors& content) {
  content.sha256 = tensors_sha256(content.tensors);
  auto expected = content.metadata.find(kTensorsKey);
  GREGALE_CHECK(expected == content.metadata.end() || expected->second == content.sha256, corrupt_data,
                "{}: the tensors do not match their SHA-256 checksum: the file is damaged", path);
  auto other = content.metadata.find(kMetadataKey);
  GREGALE_CHECK(other == content.metadata.end() || other->second == metadata_sha256(content.metadata), corrupt_data,
                "{}: the metadata do not match their SHA-256 checksum: the file is damaged", path);
}

}  // namespace

std::string tensors_sha256(const NamedTensors& tensors) {
  Sha256 hash;
  for (const auto& [name, tensor] : tensors) {
    hash.update(fmt::format("{} ", name.size())).update(name);
    hash.update(fmt::format(" {} {} ", name_of(tensor.dtype()), gregale::to_string(tensor.extents())));
    hash.update(tensor.data(), static_cast<size_t>(tensor.bytes()));
  }
  return hash.hex();
}

SafetensorsHeader read_safetensors_header(const std::string& path) {
  File file(path);
  return read_header(file, path);
}

Safetensors read_safetensors(const std::string& path, const SafetensorsReadOptions& options) {
  File file(path);
  SafetensorsHeader header = read_header(file, path);
  Safetensors content;
  std::shared_ptr<void> mapping;
  if (options.map) mapping = map_file(file, path);
  for (const TensorEntry& entry : header.tensors) {
    Tensor tensor;
    int64_t at = header.data_offset + entry.begin;
    if (mapping && at % kAlignment == 0 && entry.end > entry.begin) {
      tensor = Tensor::share(mapping, static_cast<char*>(mapping.get()) + at, entry.dtype, entry.extents);
    } else {
      tensor = Tensor(entry.dtype, entry.extents);
      file.read(tensor.data(), entry.end - entry.begin, at);
    }
    if (entry.dtype == DType::boolean) {
      // Reading a bool that is neither 0 nor 1 is undefined.
      const auto* bytes = static_cast<const uint8_t*>(tensor.data());
      for (int64_t i = 0; i < tensor.size(); ++i)
        GREGALE_CHECK(bytes[i] <= 1, corrupt_data, "{}: byte {} (tensor {}) is {} and should be 0 or 1", path, at + i,
                      entry.name, bytes[i]);
    }
    content.tensors.emplace(entry.name, std::move(tensor));
  }
  content.metadata = std::move(header.metadata);
  if (options.verify) verify(path, content);
  content.metadata.erase(kTensorsKey);
  content.metadata.erase(kMetadataKey);
  return content;
}

void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata,
                       const SinkFactory& open) {
  using Json = nlohmann::ordered_json;
  GREGALE_CHECK(!metadata.contains(kTensorsKey) && !metadata.contains(kMetadataKey), invalid_argument,
                "[write_safetensors] the metadata keys {} and {} are written by itself", kTensorsKey, kMetadataKey);
  GREGALE_CHECK(!tensors.contains("__metadata__"), invalid_argument,
                "[write_safetensors] a tensor cannot be named __metadata__");
  Metadata all = metadata;
  all[kTensorsKey] = tensors_sha256(tensors);
  all[kMetadataKey] = metadata_sha256(all);

  std::vector<const NamedTensors::value_type*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  Json header = Json::object();
  header["__metadata__"] = all;
  int64_t offset = 0;
  for (const auto* item : order) {
    int64_t end = offset + item->second.bytes();
    header[item->first] = {{"dtype", safetensors_name_of(item->second.dtype())},
                           {"shape", item->second.extents()},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    throw_error(ErrorCode::invalid_argument, "[write_safetensors] a name or a metadata text is not valid UTF-8");
  }
  size_t padded = (8 + text.size() + kAlignment - 1) / kAlignment * kAlignment - 8;
  text.resize(padded, ' ');
  GREGALE_CHECK(static_cast<int64_t>(padded) <= kMaxSafetensorsHeader, unsupported,
                "[write_safetensors] the header has {} bytes; the format allows {}", padded, kMaxSafetensorsHeader);

  AtomicFile file(path, open);
  uint64_t length = text.size();
  file.write(&length, 8);
  file.write(text);
  for (const auto* item : order) file.write(item->second.data(), static_cast<size_t>(item->second.bytes()));
  file.commit();
}

}  // namespace gregale::data
