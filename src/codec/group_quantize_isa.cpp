// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "codec/group_quantize.hpp"

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

/// Codes of eight bits are cut into planes of 4, 2 and 1 bits (or one of 8). A plane of p bits has 32 p bytes; byte j
/// holds values j, j + 32 p, j + 64 p, ... side by side, so that packing is whole vectors.
template <int kBits>
void pack_plane(const uint8_t* codes, int shift, uint8_t* dst) {
  constexpr int kValues = 8 / kBits, kBytes = kGroup / kValues;
  constexpr uint8_t kMask = (1 << kBits) - 1;
  for (int j = 0; j < kBytes; ++j) {
    unsigned byte = 0;
    for (int v = 0; v < kValues; ++v)
      byte |= static_cast<unsigned>(codes[j + v * kBytes] >> shift & kMask) << (v * kBits);
    dst[j] = static_cast<uint8_t>(byte);
  }
}

template <int kBits>
void unpack_plane(const uint8_t* src, int shift, uint8_t* codes) {
  constexpr int kValues = 8 / kBits, kBytes = kGroup / kValues;
  constexpr uint8_t kMask = (1 << kBits) - 1;
  for (int v = 0; v < kValues; ++v)
    for (int j = 0; j < kBytes; ++j)
      codes[j + v * kBytes] = static_cast<uint8_t>(codes[j + v * kBytes] | (src[j] >> (v * kBits) & kMask) << shift);
}

void pack(const uint8_t* codes, int bits, uint8_t* dst) {
  if (bits == 8) {
    std::memcpy(dst, codes, kGroup);
    return;
  }
  int shift = 0;
  if ((bits & 4) != 0) pack_plane<4>(codes, shift, dst), shift += 4, dst += kGroup / 2;
  if ((bits & 2) != 0) pack_plane<2>(codes, shift, dst), shift += 2, dst += kGroup / 4;
  if ((bits & 1) != 0) pack_plane<1>(codes, shift, dst);
}

void unpack(const uint8_t* src, int bits, uint8_t* codes) {
  if (bits == 8) {
    std::memcpy(codes, src, kGroup);
    return;
  }
  std::memset(codes, 0, kGroup);
  int shift = 0;
  if ((bits & 4) != 0) unpack_plane<4>(src, shift, codes), shift += 4, src += kGroup / 2;
  if ((bits & 2) != 0) unpack_plane<2>(src, shift, codes), shift += 2, src += kGroup / 4;
  if ((bits & 1) != 0) unpack_plane<1>(src, shift, codes);
}

/// A random number in [0, 1) of an index: the finaliser of MurmurHash3 over the index and the key's halves.
float uniform(uint32_t index, uint32_t low, uint32_t high) {
  uint32_t h = index * 0x9E3779B1U + low;
  h = (h ^ h >> 16) * 0x85EBCA6BU ^ high;
  h = (h ^ h >> 13) * 0xC2B2AE35U;
  return static_cast<float>((h ^ h >> 16) >> 8) * 0x1p-24F;
}

void encode(const float* src, int64_t count, int bits, const Rounding& rounding, uint64_t index, std::byte* dst) {
  float values[kGroup];
  std::memcpy(values, src, static_cast<size_t>(count) * sizeof(float));
  for (int64_t i = count; i < kGroup; ++i) values[i] = values[0];
  float least[16], greatest[16];
  for (int lane = 0; lane < 16; ++lane) least[lane] = greatest[lane] = values[lane];
  float finite[16] = {};  // x - x is 0, or NaN
  for (int i = 0; i < kGroup; i += 16)
    for (int lane = 0; lane < 16; ++lane) {
      const float x = values[i + lane];
      least[lane] = x < least[lane] ? x : least[lane];
      greatest[lane] = x > greatest[lane] ? x : greatest[lane];
      finite[lane] += x - x;
    }
  GroupHeader header{*std::min_element(least, least + 16), 0};
  const float most = *std::max_element(greatest, greatest + 16);
  const auto levels = static_cast<float>((1 << bits) - 1);
  float spoiled = 0;
  for (const float f : finite) spoiled += f;
  const float range = most - header.least;
  uint8_t codes[kGroup];
  if (spoiled != 0 || !(range <= std::numeric_limits<float>::max())) {
    header.least = header.step = std::numeric_limits<float>::quiet_NaN();
    std::memset(codes, 0, sizeof codes);
  } else if (bits == 0) {
    header.least += range / 2;
  } else {
    header.step = range / levels;
    const float inverse = header.step > 0 ? 1 / header.step : 0;
    const float scale =
        inverse <= std::numeric_limits<float>::max() ? inverse : 0;  // of a denormal step: all are alike
    if (rounding.stochastic) {
      // Of a stream's group, so that equal groups do not round alike.
      const auto low = static_cast<uint32_t>(rounding.key),
                 high = static_cast<uint32_t>(rounding.key >> 32 ^ index >> 32);
      const auto first = static_cast<uint32_t>(index);
      for (int i = 0; i < kGroup; ++i) {
        const float q = (values[i] - header.least) * scale + uniform(first + static_cast<uint32_t>(i), low, high);
        codes[i] = static_cast<uint8_t>(std::min(static_cast<int32_t>(q), static_cast<int32_t>(levels)));
      }
    } else {
      for (int i = 0; i < kGroup; ++i) {
        const float q = (values[i] - header.least) * scale + 0.5F;
        codes[i] = static_cast<uint8_t>(std::min(static_cast<int32_t>(q), static_cast<int32_t>(levels)));
      }
    }
  }
  std::memcpy(dst, &header, sizeof header);
  if (bits > 0) pack(codes, bits, reinterpret_cast<uint8_t*>(dst + sizeof header));
}

void decode(const std::byte* src, int64_t count, int bits, float* dst) {
  GroupHeader header;
  std::memcpy(&header, src, sizeof header);
  if (bits == 0) {
    std::fill_n(dst, count, header.least);
    return;
  }
  uint8_t codes[kGroup];
  unpack(reinterpret_cast<const uint8_t*>(src + sizeof header), bits, codes);
  if (count == kGroup) {
    for (int i = 0; i < kGroup; ++i) dst[i] = header.least + static_cast<float>(codes[i]) * header.step;
    return;
  }
  for (int64_t i = 0; i < count; ++i) dst[i] = header.least + static_cast<float>(codes[i]) * header.step;
}

}  // namespace

extern const GroupTable group_rows;
const GroupTable group_rows{encode, decode};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
