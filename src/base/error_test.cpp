// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/error.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace gregale {
namespace {

TEST(Error, FramesAreOutermostFirst) {
  Error error(ErrorCode::io, "no such file: winds.nc");
  EXPECT_STREQ(error.what(), "no such file: winds.nc");
  error.add_context("data.path").add_context("train");
  EXPECT_STREQ(error.what(), "train: data.path: no such file: winds.nc");
  EXPECT_EQ(error.message(), "no such file: winds.nc");
  EXPECT_EQ(error.code(), ErrorCode::io);
}

TEST(Error, ContextSurvivesRethrow) {
  try {
    try {
      throw_error(ErrorCode::shape, "inner");
    } catch (Error& error) {
      throw error.add_context("outer");
    }
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "outer: inner");
  }
}

TEST(Error, CheckFormatsAndEvaluatesOnce) {
  int calls = 0;
  const auto hold = [&] { return ++calls > 0; };
  GREGALE_CHECK(hold(), shape, "not thrown");
  EXPECT_EQ(calls, 1);
  try {
    GREGALE_CHECK(2 > 3, shape, "[softmax] axis {} is out of range for rank {}", 3, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::shape);
    EXPECT_STREQ(error.what(), "[softmax] axis 3 is out of range for rank 2");
  }
}

TEST(Error, AssertionNamesConditionAndPlace) {
  try {
    GREGALE_ASSERT(1 + 1 == 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
    EXPECT_NE(std::string(error.what()).find("1 + 1 == 3"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("error_test.cpp"), std::string::npos);
  }
}

TEST(Error, CodesHaveNames) {
  EXPECT_STREQ(to_string(ErrorCode::invalid_argument), "invalid_argument");
  EXPECT_STREQ(to_string(ErrorCode::out_of_memory), "out_of_memory");
  EXPECT_STREQ(to_string(ErrorCode::internal), "internal");
}

TEST(Result, HoldsAValueOrThrowsItsError) {
  Result<std::string> good(std::string("yes"));
  ASSERT_TRUE(good);
  EXPECT_EQ(good.value(), "yes");
  Result<std::string> bad(Error(ErrorCode::unsupported, "no AMX"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), ErrorCode::unsupported);
  EXPECT_THROW(bad.value(), Error);
}

}  // namespace
}  // namespace gregale
