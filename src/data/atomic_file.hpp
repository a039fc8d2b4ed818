// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace gregale::data {

/// Where the bytes of one file go. Every function throws ErrorCode::io when the operating system refuses.
/// The destructor closes the file: nothing can be lost there after sync(). Tests inject failures by deriving from it.
class FileSink {
 public:
  virtual ~FileSink() = default;
  virtual void write(const void* bytes, size_t count) = 0;
  /// Returns when the bytes are on the disk.
  virtual void sync() = 0;
};

/// Creates (or empties) the file at `path` and opens it for writing.
using SinkFactory = std::function<std::unique_ptr<FileSink>(const std::string& path)>;
/// The real one. The file is locked (flock) until closed, so that two writers of one temporary name cannot mix bytes.
std::unique_ptr<FileSink> open_file_sink(const std::string& path);

/// Replaces a file in one step: the bytes go to `.NAME.tmp` in the same folder; commit() syncs them, renames onto NAME
/// and syncs the folder. Until then, and after any failure, the file that was there is untouched. The temporary file is
/// removed on failure; one left by a killed process is reused (and so removed) by the next writer of the same name.
///
/// A symbolic link is followed, so that the link stays; permissions of the old file are kept. A target that is a folder
/// or a device is refused.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path, const SinkFactory& open = open_file_sink);
  ~AtomicFile();  ///< aborts what was not committed
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();
  void abort() noexcept;

  const std::string& temporary_path() const { return temporary_; }

 private:
  template <class F>
  void guarded(F&& action);

  std::string path_;    // as given, for messages
  std::string target_;  // symbolic links resolved
  std::string temporary_;
  std::unique_ptr<FileSink> sink_;
  unsigned mode_ = 0;  // permissions to keep; 0 where there was no file
};

/// The whole content at once.
void write_file_atomically(const std::string& path, std::string_view content, const SinkFactory& open = open_file_sink);

}  // namespace gregale::data
