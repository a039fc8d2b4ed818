// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/random.hpp"

#include <cmath>

#include "gregale/error.hpp"

namespace gregale {
namespace {

__extension__ using uint128 = unsigned __int128;

constexpr double kTwoPi = 6.283185307179586476925286766559;

}  // namespace

std::array<uint32_t, 4> philox(const RandomKey& key, uint64_t block) {
  std::array<uint32_t, 4> x = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), key.step, key.stream};
  auto k0 = static_cast<uint32_t>(key.seed);
  auto k1 = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * x[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * x[2];
    x = {static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return x;
}

float random_uniform(const RandomKey& key, uint64_t index) {
  return static_cast<float>(philox(key, index / 4)[index % 4] >> 8) * 0x1p-24f;
}

float random_normal(const RandomKey& key, uint64_t index) {
  const auto bits = philox(key, index / 4);
  const size_t lane = index % 4 & 2u;
  // In double, so that the result is the correctly rounded one but for rare ties, whoever computes it.
  const double u = (static_cast<double>(bits[lane]) + 1.0) * 0x1p-32;  // in (0, 1]
  const double angle = kTwoPi * (static_cast<double>(bits[lane + 1]) * 0x1p-32);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return static_cast<float>(radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle)));
}

uint64_t random_below(const RandomKey& key, uint64_t index, uint64_t n) {
  if (n == 0) throw_error(ErrorCode::invalid_argument, "[random_below] there is no integer in [0, 0)");
  const auto bits = philox(key, index / 2);
  const size_t lane = index % 2 * 2;
  const uint64_t word = (uint64_t{bits[lane + 1]} << 32) | bits[lane];
  return static_cast<uint64_t>((uint128{word} * n) >> 64);
}

uint32_t stream_of(const char* name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *name != '\0'; ++name) {
    hash ^= static_cast<unsigned char>(*name);
    hash *= 0x100000001b3u;
  }
  return static_cast<uint32_t>(hash >> 32) ^ static_cast<uint32_t>(hash);
}

}  // namespace gregale
