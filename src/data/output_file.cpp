// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr int64_t kLibraryBytes = 4 << 20;  // headers, indices of chunks, of any file
constexpr int64_t kHeaderBytes = 32 << 10;  // of a small one

[[noreturn]] void refused(const char* what, int error) {
  throw_error(ErrorCode::io, fmt::format("{}: {}", what, std::strerror(error)));
}

/// Makes the file and syncs it. No lock of ours: HDF5 takes one, which would find ours in the way.
class LibrarySink : public FileSink {
 public:
  LibrarySink(const std::string& path, int& descriptor) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) refused("open", errno);
    descriptor = descriptor_;
  }
  ~LibrarySink() override { ::close(descriptor_); }
  void write(const void*, size_t) override { GREGALE_ASSERT(false); }
  void sync() override {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) refused("sync", errno);
    if (::ftruncate(descriptor_, info.st_size) != 0) refused("sync", errno);  // gives back what was reserved
    if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) refused("sync", errno);
  }

 private:
  int descriptor_ = -1;
};

}  // namespace

LibraryFile::LibraryFile(const std::string& path) : path_(path) {
  file_ = std::make_unique<AtomicFile>(
      path, [this](const std::string& name) { return std::make_unique<LibrarySink>(name, descriptor_); });
}

LibraryFile::~LibraryFile() = default;

int64_t LibraryFile::size() const {
  struct stat info {};
  return ::fstat(descriptor_, &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

void LibraryFile::reserve(int64_t bytes) {
  const auto check = [&](bool fits, int error) {
    GREGALE_CHECK(fits, io, "cannot write {}: {}", path_, std::strerror(error));
  };
  const int64_t begin = size(), more = bytes + kLibraryBytes;
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    check(static_cast<uint64_t>(begin + bytes + kHeaderBytes) <= limit.rlim_cur, EFBIG);
  if (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, begin, more) != 0)
    check(errno != ENOSPC && errno != EDQUOT && errno != EFBIG, errno);
}

void LibraryFile::commit() { file_->commit(); }

}  // namespace gregale::data
