// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codec/block_codec.hpp"
#include "codec/isa_levels_for_tests.hpp"

namespace gregale::codec {
namespace {

/// A smooth field with some noise, and a map of where there is one: coasts, and lonely points in open water.
struct Field {
  BlockExtents extents{};
  std::vector<float> values;
  std::vector<uint8_t> valid;

  Field(const BlockExtents& e, double noise, double missing, uint64_t seed) : extents(e) {
    std::mt19937_64 random(seed);
    const auto uniform = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
    for (int64_t i = 0; i < count_of(e); ++i) {
      const auto x = static_cast<double>(i % e[3]), y = static_cast<double>(i / e[3] % e[2]),
                 z = static_cast<double>(i / (e[3] * e[2]));
      values.push_back(
          static_cast<float>(std::sin(0.11 * x + 0.05 * z) * std::cos(0.13 * y) + noise * (uniform() - 0.5)));
      const bool coast = std::sin(0.2 * x) + std::cos(0.3 * y + 0.1 * z) < 0.2;
      valid.push_back(missing == 0 || uniform() > (coast ? missing : 0.02) ? 1 : 0);
    }
    valid[0] = 1;
  }
  std::pair<float, float> range() const {
    float least = values[0], greatest = values[0];
    for (size_t i = 0; i < values.size(); ++i)
      if (valid[i] != 0) least = std::min(least, values[i]), greatest = std::max(greatest, values[i]);
    return {least, greatest};
  }
  bool whole() const { return std::count(valid.begin(), valid.end(), 0) == 0; }
};

const BlockExtents kShapes[] = {{1, 1, 1, 100},  {1, 1, 1, 20000}, {1, 1, 37, 53}, {1, 1, 130, 257},
                                {1, 12, 45, 90}, {12, 19, 23, 31}, {3, 2, 2, 200}, {40, 1, 33, 65}};

TEST(Predictive, GivesTheSameBytesAndValuesOnEveryInstructionSet) {
  Workspace workspace;
  uint64_t seed = 1;
  for (const BlockExtents& extents : kShapes)
    for (const double missing : {0.0, 0.5, 0.95, 1.0})
      for (const double bound : {0.1, 1e-3, 1e-6}) {  // the last needs integers of 64 bits
        const Field field(extents, 0.02, missing, ++seed);
        const auto [least, greatest] = field.range();
        const uint8_t* valid = field.whole() ? nullptr : field.valid.data();
        Bytes first;
        std::vector<float> expected;
        for (const Isa isa : isa_levels()) {
          const auto codec = predictive_codec(isa);
          BlockInput<float> in{
              field.values.data(), valid, extents, {ErrorContract::Kind::abs_max, bound, {}}, least, greatest,
              &workspace};
          Bytes bytes;
          ASSERT_TRUE(codec->encode(in, bytes));
          std::vector<float> back(field.values.size());
          codec->decode(bytes, BlockOutput<float>{back.data(), valid, extents, &workspace});
          for (size_t i = 0; i < back.size(); ++i) {
            if (field.valid[i] == 0) {
              back[i] = 0;  // anything may stand there
            } else {
              ASSERT_LE(std::abs(static_cast<double>(back[i]) - static_cast<double>(field.values[i])), bound)
                  << to_string(isa) << " " << i;
            }
          }
          if (first.empty()) {
            first = bytes;
            expected = back;
          }
          EXPECT_EQ(bytes, first) << to_string(isa);
          EXPECT_EQ(back, expected) << to_string(isa);
        }
      }
}

TEST(Predictive, DecodesABlockTheSameWhateverWasInMemory) {
  const Field field({1, 6, 40, 70}, 0.1, 0.9, 5);
  const auto [least, greatest] = field.range();
  const auto codec = predictive_codec(Target::detect().isa);
  Bytes bytes;
  std::vector<float> once(field.values.size()), again(once.size());
  Workspace workspace;
  BlockInput<float> in{
      field.values.data(), field.valid.data(), field.extents, {ErrorContract::Kind::abs_max, 1e-3, {}}, least, greatest,
      &workspace};
  ASSERT_TRUE(codec->encode(in, bytes));
  const auto decode = [&](std::vector<float>& to) {
    codec->decode(bytes, BlockOutput<float>{to.data(), field.valid.data(), field.extents, &workspace});
    for (size_t i = 0; i < to.size(); ++i)
      if (field.valid[i] == 0) to[i] = 0;
  };
  decode(once);
  {  // every piece of memory the first run gave back
    std::vector<Buffer<std::byte>> pieces;
    for (size_t size = 64; size < size_t{1} << 22; size *= 2)
      for (int k = 0; k < 8; ++k) {
        pieces.push_back(workspace.take<std::byte>(size));
        std::fill(pieces.back().begin(), pieces.back().end(), std::byte{0x5A});
      }
  }
  decode(again);
  EXPECT_EQ(once, again);
}

}  // namespace
}  // namespace gregale::codec
