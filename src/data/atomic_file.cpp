// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refused(const std::string& what, int error) {
  throw_error(ErrorCode::io, fmt::format("{}: {}", what, std::strerror(error)));
}

class PosixSink : public FileSink {
 public:
  explicit PosixSink(int descriptor) : descriptor_(descriptor) {}
  ~PosixSink() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  void write(const void* bytes, size_t count) override {
    auto* next = static_cast<const char*>(bytes);
    while (count > 0) {
      // Linux writes at most 2 GiB at a time anyway.
      ssize_t written = ::write(descriptor_, next, std::min<size_t>(count, size_t{1} << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) refused("write", written < 0 ? errno : EIO);
      next += written;
      count -= static_cast<size_t>(written);
    }
  }
  void sync() override {
    // EINVAL and EROFS: a file system that has nothing to sync.
    if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) refused("sync", errno);
  }

 private:
  int descriptor_;
};

/// Makes a rename in `folder` last. Some file systems refuse to sync folders; the rename itself was done, so no error.
void sync_folder(const std::string& folder) {
  int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

std::unique_ptr<FileSink> open_file_sink(const std::string& path) {
  for (;;) {
    int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor < 0) refused("open", errno);
    auto sink = std::make_unique<PosixSink>(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) throw_error(ErrorCode::io, "another process is writing it");
      // Other failures: a file system without locks. The writers of this project do not share names.
    }
    // Between open and flock another writer may have renamed the file away: then this is no longer ours to empty.
    struct stat opened {};
    struct stat named {};
    if (::fstat(descriptor, &opened) != 0) refused("open", errno);
    if (::lstat(path.c_str(), &named) != 0 || named.st_ino != opened.st_ino || named.st_dev != opened.st_dev) continue;
    if (!S_ISREG(opened.st_mode)) throw_error(ErrorCode::io, "open: not a regular file");
    if (::ftruncate(descriptor, 0) != 0) refused("open", errno);
    return sink;
  }
}

template <class F>
void AtomicFile::guarded(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    abort();
    throw Error(error.code(), fmt::format("cannot write {}: {}", path_, error.message()));
  } catch (...) {
    abort();
    throw;
  }
}

AtomicFile::AtomicFile(const std::string& path, const SinkFactory& open) : path_(path), target_(path) {
  GREGALE_CHECK(!path.empty(), io, "cannot write a file without a name");
  std::error_code error;
  if (fs::is_symlink(path, error)) {
    fs::path resolved = fs::weakly_canonical(path, error);
    GREGALE_CHECK(!error, io, "cannot write {}: {}", path, error.message());
    target_ = resolved.string();
  }
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0) {
    GREGALE_CHECK(!S_ISDIR(old.st_mode), io, "cannot write {}: it is a directory", path);
    GREGALE_CHECK(S_ISREG(old.st_mode), io, "cannot write {}: it is not a regular file", path);
    mode_ = old.st_mode & 07777;
  }
  fs::path target(target_);
  temporary_ = (target.parent_path() / ("." + target.filename().string() + ".tmp")).string();
  try {
    sink_ = open(temporary_);
  } catch (const Error& failure) {  // nothing of ours to remove
    throw Error(failure.code(), fmt::format("cannot write {}: {}", path_, failure.message()));
  }
}

AtomicFile::~AtomicFile() { abort(); }

void AtomicFile::write(const void* bytes, size_t count) {
  GREGALE_ASSERT(sink_ != nullptr);
  guarded([&] { sink_->write(bytes, count); });
}

void AtomicFile::commit() {
  GREGALE_ASSERT(sink_ != nullptr);
  guarded([&] {
    sink_->sync();
    if (mode_ != 0) ::chmod(temporary_.c_str(), mode_);  // best effort: the owner may differ
    // Renamed before it is closed: the lock is held until the name is no longer the temporary one.
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) refused("rename", errno);
  });
  sink_.reset();
  sync_folder(fs::path(target_).has_parent_path() ? fs::path(target_).parent_path().string() : ".");
}

void AtomicFile::abort() noexcept {
  if (sink_ == nullptr) return;
  ::unlink(temporary_.c_str());  // while the lock is held
  sink_.reset();
}

void write_file_atomically(const std::string& path, std::string_view content, const SinkFactory& open) {
  AtomicFile file(path, open);
  file.write(content);
  file.commit();
}

}  // namespace gregale::data
