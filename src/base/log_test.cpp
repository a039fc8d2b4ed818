// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gregale {
namespace {

TEST(Log, TopicsComeFromTheEnvironment) {
  unsetenv("GREGALE_LOG");
  EXPECT_FALSE(log_enabled("kernels"));
  setenv("GREGALE_LOG", "kernels,plan", 1);
  EXPECT_TRUE(log_enabled("kernels"));
  EXPECT_TRUE(log_enabled("plan"));
  EXPECT_FALSE(log_enabled("kernel"));
  EXPECT_FALSE(log_enabled("passes"));
  EXPECT_FALSE(log_enabled("kernels,plan"));
  setenv("GREGALE_LOG", "all", 1);
  EXPECT_TRUE(log_enabled("passes"));
  unsetenv("GREGALE_LOG");
}

TEST(Log, LinesGoToStandardErrorUnformatted) {
  testing::internal::CaptureStderr();
  log_line("kernels", "matmul {} refused: no AMX");
  log_line("kernels", "second");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "gregale/kernels: matmul {} refused: no AMX\ngregale/kernels: second\n");
}

}  // namespace
}  // namespace gregale
