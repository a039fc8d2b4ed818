// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/atomic_file.hpp"

namespace gregale::data {

/// An AtomicFile whose bytes libraries write by its temporary name. HDF5 does not survive a disk that fills up under
/// it, so room is asked for beforehand.
class LibraryFile {
 public:
  explicit LibraryFile(const std::string& path);
  ~LibraryFile();
  const std::string& temporary_path() const { return file_->temporary_path(); }
  /// Throws ErrorCode::io where the file cannot grow by so many bytes and some of the library's own.
  void reserve(int64_t bytes);
  int64_t size() const;
  void commit();

 private:
  std::string path_;
  int descriptor_ = -1;  // of the sink
  std::unique_ptr<AtomicFile> file_;
};

}  // namespace gregale::data
