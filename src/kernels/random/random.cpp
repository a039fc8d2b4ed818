// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/random/random.hpp"

#include <array>
#include <cmath>

namespace gregale::kernels {
namespace {

/// Draws are tens of nanoseconds each.
constexpr int64_t kDrawGrain = 1 << 12;
constexpr double kTwoPi = 6.283185307179586476925286766559;

/// body(i, bits, lane) for elements [0, count), one Philox block for four of them.
template <class Body>
void for_draws(ThreadTeam& team, const RandomKey& key, uint64_t first, int64_t count, Body&& body) {
  parallel_for(team, count, kDrawGrain, [&](int64_t begin, int64_t end, int) {
    std::array<uint32_t, 4> bits{};
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t index = first + static_cast<uint64_t>(i);
      if (i == begin || index % 4 == 0) bits = philox(key, index / 4);
      body(i, bits, static_cast<int>(index % 4));
    }
  });
}

float uniform_of(const std::array<uint32_t, 4>& bits, int lane) {
  return static_cast<float>(bits[static_cast<size_t>(lane)] >> 8) * 0x1p-24f;
}

}  // namespace

void fill_uniform_f32(ThreadTeam& team, const RandomKey& key, uint64_t first, int64_t count, float* dst) {
  for_draws(team, key, first, count,
            [&](int64_t i, const std::array<uint32_t, 4>& bits, int lane) { dst[i] = uniform_of(bits, lane); });
}

void fill_normal_f32(ThreadTeam& team, const RandomKey& key, uint64_t first, int64_t count, float* dst) {
  parallel_for(team, count, kDrawGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end;) {
      const uint64_t index = first + static_cast<uint64_t>(i);
      if (index % 2 != 0 || i + 1 == end) {
        dst[i++] = random_normal(key, index);
        continue;
      }
      // Both of a pair at once: the same expressions as random_normal, which the test holds this to.
      const auto bits = philox(key, index / 4);
      const size_t lane = index % 4;
      const double u = (static_cast<double>(bits[lane]) + 1.0) * 0x1p-32;
      const double angle = kTwoPi * (static_cast<double>(bits[lane + 1]) * 0x1p-32);
      const double radius = std::sqrt(-2.0 * std::log(u));
      dst[i++] = static_cast<float>(radius * std::cos(angle));
      dst[i++] = static_cast<float>(radius * std::sin(angle));
    }
  });
}

void dropout_f32(ThreadTeam& team, const RandomKey& key, double rate, int64_t count, const float* src, float* dst) {
  const float scale = static_cast<float>(1 / (1 - rate));
  for_draws(team, key, 0, count, [&](int64_t i, const std::array<uint32_t, 4>& bits, int lane) {
    dst[i] = static_cast<double>(uniform_of(bits, lane)) >= rate ? src[i] * scale : 0.0f;
  });
}

}  // namespace gregale::kernels
