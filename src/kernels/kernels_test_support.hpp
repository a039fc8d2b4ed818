// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/common.hpp"

/// What the tests of all families share.
namespace gregale::kernels::testing {

/// Every instruction set this machine runs.
inline std::vector<Isa> isas() {
  const Isa best = Target::detect().isa;
  std::vector<Isa> list = {Isa::reference};
  if (best >= Isa::avx2) list.push_back(Isa::avx2);
  if (best >= Isa::avx512) list.push_back(Isa::avx512);
  return list;
}

/// This machine, capped to each of them.
inline std::vector<Target> targets() {
  std::vector<Target> list;
  for (const Isa isa : isas()) list.push_back(Target::detect().capped(isa));
  return list;
}

inline std::vector<float> randoms(int64_t count, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(low, high);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& x : values) x = draw(engine);
  return values;
}

/// Scratch with a guard behind it: a kernel that writes past what it asked for is caught.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : bytes_(bytes), memory_(static_cast<size_t>(bytes) + 192, std::byte{0x5a}) {
    const auto at = reinterpret_cast<uintptr_t>(memory_.data());
    data_ = memory_.data() + (64 - at % 64) % 64;
  }
  ~Scratch() {
    for (int i = 0; i < 64; ++i) EXPECT_EQ(data_[bytes_ + i], std::byte{0x5a}) << "scratch overrun at byte " << i;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::byte* get() { return data_; }

 private:
  int64_t bytes_;
  std::vector<std::byte> memory_;
  std::byte* data_;
};

/// Runs `make(team)` with 1, 2 and 3 threads, expects the same bytes from all, and returns them.
template <class Make>
auto on_all_teams(Make&& make) {
  auto one = make_thread_team(1, TeamKind::caller);
  const auto first = make(*one);
  for (int size : {2, 3}) {
    auto team = make_thread_team(size, TeamKind::std_thread);
    const auto other = make(*team);
    EXPECT_EQ(other.size(), first.size());
    if (!first.empty() && other.size() == first.size()) {
      EXPECT_EQ(std::memcmp(first.data(), other.data(), first.size() * sizeof(first[0])), 0)
          << size << " threads differ";
    }
  }
  return first;
}

/// Distance of `got` from `expected` in units of the last place of f32 at `scale` (default: at expected).
inline double ulps(float got, double expected, double scale = 0) {
  if (std::isnan(expected)) return std::isnan(got) ? 0 : 1e30;
  const float rounded = static_cast<float>(expected);
  if (std::isinf(rounded) || std::isinf(got)) return rounded == got ? 0 : 1e30;
  const float at = std::max({std::fabs(rounded), static_cast<float>(std::fabs(scale)), 1.17549435e-38f});
  const double unit = static_cast<double>(std::nextafter(at, INFINITY)) - at;
  return std::fabs(got - expected) / unit;
}

}  // namespace gregale::kernels::testing
