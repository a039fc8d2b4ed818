// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/atomic_file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/temporary_folder_for_tests.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string io_message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    return error.what();
  }
  return "no error";
}

/// Fails where told, otherwise writes.
class FailingSink : public FileSink {
 public:
  FailingSink(const std::string& path, int writes_before_failure, bool fail_sync)
      : inner_(open_file_sink(path)), writes_left_(writes_before_failure), fail_sync_(fail_sync) {}
  void write(const void* bytes, size_t count) override {
    if (writes_left_-- == 0) throw_error(ErrorCode::io, "injected write failure");
    inner_->write(bytes, count);
  }
  void sync() override {
    if (fail_sync_) throw_error(ErrorCode::io, "injected sync failure");
    inner_->sync();
  }

 private:
  std::unique_ptr<FileSink> inner_;
  int writes_left_;
  bool fail_sync_;
};

class AtomicFileTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_.path("state.bin");
};

TEST_F(AtomicFileTest, WritesAndReplaces) {
  write_file_atomically(path_, "first");
  EXPECT_EQ(read_text(path_), "first");
  write_file_atomically(path_, "2nd");
  EXPECT_EQ(read_text(path_), "2nd");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"state.bin"});
}

TEST_F(AtomicFileTest, NothingIsVisibleBeforeCommit) {
  write_file_atomically(path_, "old");
  {
    AtomicFile file(path_);
    file.write("new");
    EXPECT_EQ(read_text(path_), "old");
    EXPECT_EQ(folder_.names().size(), 2u);
  }
  EXPECT_EQ(read_text(path_), "old");
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(AtomicFileTest, InjectedFailuresLeaveTheOldFile) {
  write_file_atomically(path_, "old");
  for (int writes = 0; writes < 3; ++writes) {
    auto open = [&](const std::string& path) { return std::make_unique<FailingSink>(path, writes, writes == 2); };
    std::string message = io_message_of([&] {
      AtomicFile file(path_, open);
      file.write("half of ");
      file.write("the new file");
      file.commit();
    });
    EXPECT_EQ(message, "cannot write " + path_ + ": injected " + (writes == 2 ? "sync" : "write") + " failure");
    EXPECT_EQ(read_text(path_), "old");
    EXPECT_EQ(folder_.names().size(), 1u);
  }
}

TEST_F(AtomicFileTest, AFullDiskLeavesTheOldFile) {
  write_file_atomically(path_, "old");
  auto open = [&](const std::string& path) {
    open_file_sink(path);  // so that there is a temporary file to remove
    return std::make_unique<FullDiskSink>();
  };
  EXPECT_EQ(io_message_of([&] { write_file_atomically(path_, "new", open); }),
            "cannot write " + path_ + ": write: No space left on device");
  EXPECT_EQ(read_text(path_), "old");
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(AtomicFileTest, TheRealSinkReportsARefusedWrite) {
  write_file_atomically(path_, "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message = io_message_of([&] { write_file_atomically(path_, std::string(10'000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(message, "cannot write " + path_ + ": write: File too large");
  EXPECT_EQ(read_text(path_), "old");
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(AtomicFileTest, WhatAKilledWriterLeftIsReused) {
  std::string temporary = AtomicFile(path_).temporary_path();
  std::ofstream(temporary) << "a longer text that a killed process left behind";
  write_file_atomically(path_, "new");
  EXPECT_EQ(read_text(path_), "new");
  EXPECT_EQ(folder_.names().size(), 1u);
}

TEST_F(AtomicFileTest, TwoWritersOfOneFileDoNotMix) {
  AtomicFile first(path_);
  first.write("first");
  EXPECT_THAT(io_message_of([&] { AtomicFile second(path_); }), HasSubstr("another process is writing it"));
  first.commit();
  EXPECT_EQ(read_text(path_), "first");
}

TEST_F(AtomicFileTest, KeepsPermissionsAndFollowsLinks) {
  write_file_atomically(path_, "old");
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  std::string link = folder_.path("link");
  fs::create_symlink("state.bin", link);
  write_file_atomically(link, "new");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_text(path_), "new");
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0640u);
}

TEST_F(AtomicFileTest, RefusesFoldersDevicesAndMissingFolders) {
  EXPECT_THAT(io_message_of([&] { AtomicFile file(folder_.path("")); }), HasSubstr("it is a directory"));
  EXPECT_THAT(io_message_of([&] { AtomicFile file("/dev/null"); }), HasSubstr("/dev/null: it is not a regular file"));
  EXPECT_THAT(io_message_of([&] { AtomicFile file(folder_.path("absent/x")); }),
              HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace gregale::data
