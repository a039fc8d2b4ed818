// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/prefetch.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>

namespace gregale::data {
namespace {

TEST(Prefetch, KeepsTheOrderAndEnds) {
  int next = 0;
  Prefetcher<std::unique_ptr<int>> prefetcher(3, [&]() -> std::optional<std::unique_ptr<int>> {
    if (next == 1000) return std::nullopt;
    return std::make_unique<int>(next++);
  });
  for (int i = 0; i < 1000; ++i) {
    auto value = prefetcher.pop();
    ASSERT_TRUE(value);
    ASSERT_EQ(**value, i);
  }
  EXPECT_FALSE(prefetcher.pop());
  EXPECT_FALSE(prefetcher.pop());
}

TEST(Prefetch, RethrowsAfterTheValuesBefore) {
  int next = 0;
  Prefetcher<int> prefetcher(8, [&]() -> std::optional<int> {
    if (next == 3) throw std::runtime_error("the disk is gone");
    return next++;
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(prefetcher.pop(), i);
  for (int repeat = 0; repeat < 2; ++repeat) {
    try {
      prefetcher.pop();
      FAIL() << "no exception";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "the disk is gone");
    }
  }
}

TEST(Prefetch, StopsEarlyAndStaysWithinItsDepth) {
  std::atomic<int> made{0};
  {
    Prefetcher<int> prefetcher(2, [&]() -> std::optional<int> { return made++; });
    EXPECT_EQ(prefetcher.pop(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_LE(made.load(), 4);  // one taken, two waiting, and no more than one being made
  }
  const int after = made.load();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(made.load(), after);  // the thread is gone
}

}  // namespace
}  // namespace gregale::data
