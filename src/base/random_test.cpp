// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "gregale/error.hpp"

namespace gregale {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({UINT64_MAX, UINT32_MAX, UINT32_MAX}, UINT64_MAX),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x299f31d0a4093822, 0x13198a2e, 0x03707344}, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, UniformIsTheLaneOfItsBlock) {
  const RandomKey key{42, 3, 9};
  for (uint64_t index = 0; index < 1000; ++index) {
    const float value = random_uniform(key, index);
    ASSERT_GE(value, 0.0f);
    ASSERT_LT(value, 1.0f);
    ASSERT_EQ(value, static_cast<float>(philox(key, index / 4)[index % 4] >> 8) / 16777216.0f);
  }
}

TEST(Random, KeysGiveDifferentStreams) {
  const float base = random_uniform({1, 2, 3}, 4);
  EXPECT_NE(base, random_uniform({2, 2, 3}, 4));
  EXPECT_NE(base, random_uniform({uint64_t{1} << 32 | 1, 2, 3}, 4));
  EXPECT_NE(base, random_uniform({1, 3, 3}, 4));
  EXPECT_NE(base, random_uniform({1, 2, 4}, 4));
  EXPECT_NE(base, random_uniform({1, 2, 3}, 5));
  EXPECT_NE(base, random_uniform({1, 2, 3}, uint64_t{1} << 40 | 4));
}

// Bounds of five standard errors of each moment.
TEST(Random, NormalMoments) {
  constexpr uint64_t kCount = 1 << 18;
  const RandomKey key{2026, 0, 1};
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pair = 0, lag = 0, before = 0, beyond = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const double x = random_normal(key, i);
    m1 += x, m2 += x * x, m3 += x * x * x, m4 += x * x * x * x;
    if (i % 2 == 1) pair += x * before;  // cosine with sine of the same pair
    if (i % 2 == 0) lag += x * before;   // across pairs
    beyond += std::fabs(x) > 1.959963985 ? 1 : 0;
    before = x;
  }
  const double n = kCount, error = 5 / std::sqrt(n);
  EXPECT_NEAR(m1 / n, 0, error);
  EXPECT_NEAR(m2 / n, 1, error * std::sqrt(2));
  EXPECT_NEAR(m3 / n, 0, error * std::sqrt(15));
  EXPECT_NEAR(m4 / n, 3, error * std::sqrt(96));
  EXPECT_NEAR(2 * pair / n, 0, error * std::sqrt(2));
  EXPECT_NEAR(2 * lag / n, 0, error * std::sqrt(2));
  EXPECT_NEAR(beyond / n, 0.05, error * std::sqrt(0.05 * 0.95));
}

TEST(Random, BelowStaysBelowAndIsEven) {
  const RandomKey key{5, 0, 0};
  std::vector<int> counts(7);
  for (uint64_t i = 0; i < 70000; ++i) ++counts.at(random_below(key, i, 7));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000 * 6.0 / 7));
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(random_below(key, i, 1), 0u);
    EXPECT_LT(random_below(key, i, UINT64_MAX), UINT64_MAX);
  }
  EXPECT_NE(random_below(key, 0, UINT64_MAX), random_below(key, 1, UINT64_MAX));
  EXPECT_THROW(random_below(key, 0, 0), Error);
}

// FNV-1a of "" is its offset basis, of "foobar" 85944171f73967e8 (the authors' test vectors).
TEST(Random, StreamOfNames) {
  EXPECT_EQ(stream_of(""), 0xcbf29ce4u ^ 0x84222325u);
  EXPECT_EQ(stream_of("foobar"), 0x85944171u ^ 0xf73967e8u);
}

}  // namespace
}  // namespace gregale
