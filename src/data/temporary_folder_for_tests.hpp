// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "data/atomic_file.hpp"
#include "gregale/error.hpp"

namespace gregale::data {

/// A folder that lasts as long as the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gregale-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw_error(ErrorCode::io, "mkdtemp: " + std::string(std::strerror(errno)));
    folder_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string path() const { return folder_.string(); }
  /// What is in it, hidden files included, in order.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::filesystem::path folder_;
};

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// The kernel's own full disk: every write fails with ENOSPC.
class FullDiskSink : public FileSink {
 public:
  FullDiskSink() : descriptor_(::open("/dev/full", O_WRONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) throw_error(ErrorCode::io, "/dev/full cannot be opened");
  }
  ~FullDiskSink() override { ::close(descriptor_); }
  void write(const void* bytes, size_t count) override {
    if (::write(descriptor_, bytes, count) < 0)
      throw_error(ErrorCode::io, "write: " + std::string(std::strerror(errno)));
  }
  void sync() override {}

 private:
  int descriptor_;
};

}  // namespace gregale::data
