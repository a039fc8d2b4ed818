// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/random/random.hpp"

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::on_all_teams;

TEST(RandomKernels, AreTheScalarStreams) {
  const RandomKey key{0x123456789abcdefu, 7, 42};
  for (uint64_t first : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, (uint64_t{1} << 40) + 1}) {
    const int64_t n = 10003;
    const auto uniform = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(static_cast<size_t>(n));
      fill_uniform_f32(team, key, first, n, out.data());
      return out;
    });
    const auto normal = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> out(static_cast<size_t>(n));
      fill_normal_f32(team, key, first, n, out.data());
      return out;
    });
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t index = first + static_cast<uint64_t>(i);
      ASSERT_EQ(uniform[static_cast<size_t>(i)], random_uniform(key, index));
      ASSERT_EQ(normal[static_cast<size_t>(i)], random_normal(key, index));
    }
  }
  const auto src = testing::randoms(9001, 1);
  const auto kept = on_all_teams([&](ThreadTeam& team) {
    auto out = src;
    dropout_f32(team, key, 0.3, 9001, out.data(), out.data());
    return out;
  });
  int64_t zeros = 0;
  for (size_t i = 0; i < src.size(); ++i) {
    const bool keep = random_uniform(key, i) >= 0.3;
    ASSERT_EQ(kept[i], keep ? src[i] * static_cast<float>(1 / 0.7) : 0.0f);
    zeros += keep ? 0 : 1;
  }
  EXPECT_NEAR(static_cast<double>(zeros) / 9001, 0.3, 0.02);
}

}  // namespace
}  // namespace gregale::kernels
