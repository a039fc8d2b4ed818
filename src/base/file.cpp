// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "gregale/error.hpp"

namespace gregale {
namespace {

[[noreturn]] void fail(const std::string& path, int reason) {
  throw_error(ErrorCode::io, fmt::format("cannot write {}: {}", path, std::generic_category().message(reason)));
}

/// 0 or errno.
int write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
  }
  return 0;
}

void write_in_place(const std::string& path, std::string_view bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) fail(path, errno);
  int reason = write_all(file, bytes);
  if (close(file) != 0 && reason == 0) reason = errno;
  if (reason != 0) fail(path, reason);
}

/// Makes the rename itself last; a file system that cannot sync a folder is no error.
void sync_folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int file = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  fsync(file);
  close(file);
}

}  // namespace

void write_file(const std::string& path, std::string_view bytes) {
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) return write_in_place(path, bytes);
  std::string temporary;
  int file = -1;
  for (int attempt = 0; file < 0; ++attempt) {
    temporary = fmt::format("{}.{}-{}.tmp", path, getpid(), attempt);
    file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0 && (errno != EEXIST || attempt == 1000)) fail(path, errno);
  }
  int reason = write_all(file, bytes);
  if (reason == 0 && fsync(file) != 0) reason = errno;
  if (close(file) != 0 && reason == 0) reason = errno;
  if (reason == 0 && std::rename(temporary.c_str(), path.c_str()) != 0) reason = errno;
  if (reason != 0) {
    unlink(temporary.c_str());
    fail(path, reason);
  }
  sync_folder_of(path);
}

}  // namespace gregale
