// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/group_quantize.hpp"
#include "codec/isa_levels_for_tests.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace gregale::codec {
namespace {

std::vector<float> wave(int64_t count) {
  std::vector<float> v;
  for (int64_t i = 0; i < count; ++i)
    v.push_back(std::max(0.0F, std::sin(static_cast<float>(i) * 0.37F) * static_cast<float>(1 + i / 300)));
  return v;
}

/// All groups of an array.
std::vector<std::byte> quantize(const std::vector<float>& src, int bits, const Rounding& rounding, Isa isa) {
  const auto count = static_cast<int64_t>(src.size());
  std::vector<std::byte> coded(static_cast<size_t>(quantized_bytes(count, bits)));
  for (int64_t g = 0; g < group_count(count); ++g)
    group_table(isa).encode(src.data() + g * kGroup, std::min(kGroup, count - g * kGroup), bits, rounding,
                            static_cast<uint64_t>(g * kGroup), coded.data() + g * group_bytes(bits));
  return coded;
}

std::vector<float> dequantize(const std::vector<std::byte>& coded, int64_t count, int bits, Isa isa) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t g = 0; g < group_count(count); ++g)
    group_table(isa).decode(coded.data() + g * group_bytes(bits), std::min(kGroup, count - g * kGroup), bits,
                            values.data() + g * kGroup);
  return values;
}

TEST(GroupQuantize, IsWithinHalfAStepAndTheSameOnEveryInstructionSet) {
  const std::vector<float> src = wave(10 * kGroup + 37);
  const auto count = static_cast<int64_t>(src.size());
  for (int bits = 1; bits <= kMostBits; ++bits)
    for (const bool stochastic : {false, true}) {
      std::vector<std::byte> first;
      for (const Isa isa : isa_levels()) {
        const std::vector<std::byte> coded = quantize(src, bits, {stochastic, 7}, isa);
        if (first.empty()) first = coded;
        EXPECT_EQ(first, coded);
        const std::vector<float> back = dequantize(coded, count, bits, isa);
        for (size_t i = 0; i < src.size(); ++i) {
          GroupHeader header;
          std::memcpy(&header, coded.data() + static_cast<int64_t>(i) / kGroup * group_bytes(bits), sizeof header);
          ASSERT_LE(std::abs(back[i] - src[i]), header.step * (stochastic ? 1.0001F : 0.5001F))
              << bits << " bits, " << i;
          ASSERT_TRUE(src[i] != 0 || back[i] == 0) << i;
        }
      }
    }
}

TEST(GroupQuantize, RoundsAtRandomWithoutBias) {
  const std::vector<float> src = wave(kGroup);
  std::vector<double> sum(src.size());
  constexpr int kTimes = 4000;
  float step = 0;
  double squares = 0;
  for (int k = 0; k < kTimes; ++k) {
    const std::vector<std::byte> coded =
        quantize(src, 2, {true, static_cast<uint64_t>(k) * 0x9E3779B97F4A7C15U}, Isa::reference);
    std::memcpy(&step, coded.data() + sizeof(float), sizeof step);
    const std::vector<float> back = dequantize(coded, kGroup, 2, Isa::reference);
    for (size_t i = 0; i < src.size(); ++i) {
      sum[i] += static_cast<double>(back[i] - src[i]);
      squares += static_cast<double>(back[i] - src[i]) * static_cast<double>(back[i] - src[i]);
    }
  }
  // A mean of 4000 draws with a deviation of at most half a step; five of its own deviations.
  for (size_t i = 0; i < src.size(); ++i)
    EXPECT_LT(std::abs(sum[i]) / kTimes, 5 * 0.5 * static_cast<double>(step) / std::sqrt(kTimes)) << i;
  EXPECT_GT(squares, 0);
}

TEST(GroupQuantize, SaysNaNWhereAValueIsNotFinite) {
  std::vector<float> src = wave(3 * kGroup);
  src[kGroup + 5] = std::numeric_limits<float>::infinity();
  src[2 * kGroup + 7] = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : isa_levels()) {
    const std::vector<float> back = dequantize(quantize(src, 4, {}, isa), 3 * kGroup, 4, isa);
    for (int64_t i = 0; i < 3 * kGroup; ++i) EXPECT_EQ(std::isnan(back[static_cast<size_t>(i)]), i >= kGroup) << i;
  }
}

}  // namespace
}  // namespace gregale::codec
