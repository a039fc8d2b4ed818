// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "base/file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gregale/error.hpp"

namespace gregale {
namespace {

namespace fs = std::filesystem;

class WriteFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("gregale_file_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int64_t files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }
  fs::path folder_;
};

TEST_F(WriteFile, WritesAndReplacesWithoutLeavings) {
  const fs::path path = folder_ / "a.json";
  const std::string bytes("one\0two", 7);
  write_file(path, bytes);
  EXPECT_EQ(read(path), bytes);
  write_file(path, "");
  EXPECT_EQ(read(path), "");
  EXPECT_EQ(files(), 1);
}

TEST_F(WriteFile, FailureIsIoNamesThePathAndLeavesNothing) {
  fs::create_directory(folder_ / "taken");
  for (const fs::path& path : {folder_ / "missing" / "a.json", folder_ / "taken"}) {
    try {
      write_file(path, "x");
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
    }
  }
  EXPECT_EQ(files(), 1);
}

TEST_F(WriteFile, DevicesAreWrittenInPlace) {
  write_file("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  if (fs::exists("/dev/full")) {
    EXPECT_THROW(write_file("/dev/full", "x"), Error);
  }
}

}  // namespace
}  // namespace gregale
