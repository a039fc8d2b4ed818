// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "codec/group_quantize.hpp"
#include "codec/vector_isa.hpp"

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

using Reals = Vector<float>;
using Words = Vector<uint32_t>;
using Ints = Vector<int32_t>;
constexpr int kGroupLanes = static_cast<int>(kVectorBytes / sizeof(float));
using Codes = VectorOf<uint8_t, kVectorBytes / sizeof(float)>;

/// Random numbers in [0, 1) of indices: the finaliser of MurmurHash3 over the index and the key's halves.
Reals uniform(Words index_times_odd, uint32_t low, uint32_t high) {
  Words h = index_times_odd + low;
  h = ((h ^ (h >> 16)) * 0x85EBCA6BU) ^ high;
  h = (h ^ (h >> 13)) * 0xC2B2AE35U;
  return __builtin_convertvector(reinterpret_cast<Ints>((h ^ (h >> 16)) >> 8), Reals) * 0x1p-24F;
}

/// What the group lies between; false where a value is not finite, or the range is not.
bool find_range(const float* values, float& least, float& range) {
  Reals low = load<Reals>(values), high = low, spoiled = low - low;  // x - x is 0, or NaN
  for (int i = kGroupLanes; i < kGroup; i += kGroupLanes) {
    const Reals x = load<Reals>(values + i);
    low = x < low ? x : low;
    high = x > high ? x : high;
    spoiled += x - x;
  }
  least = low[0];
  float most = high[0], nothing = spoiled[0];
  for (int lane = 1; lane < kGroupLanes; ++lane) {
    least = std::min(least, low[lane]);
    most = std::max(most, high[lane]);
    nothing += spoiled[lane];
  }
  range = most - least;
  return nothing == 0 && range <= std::numeric_limits<float>::max();
}

void encode(const float* src, int64_t count, int bits, const Rounding& rounding, uint64_t index, std::byte* dst) {
  float padded[kGroup];
  const float* values = src;
  if (count < kGroup) {
    std::memcpy(padded, src, static_cast<size_t>(count) * sizeof(float));
    for (int64_t i = count; i < kGroup; ++i) padded[i] = padded[0];
    values = padded;
  }
  GroupHeader header;
  float range = 0;
  uint8_t codes[kGroup];
  if (!find_range(values, header.least, range)) {
    header.least = header.step = std::numeric_limits<float>::quiet_NaN();
    std::memset(codes, 0, sizeof codes);
  } else if (bits == 0) {
    header.least += range / 2;
  } else {
    const int32_t levels = (1 << bits) - 1;
    header.step = range / static_cast<float>(levels);
    const float inverse = header.step > 0 ? 1 / header.step : 0;
    const float scale =
        inverse <= std::numeric_limits<float>::max() ? inverse : 0;  // of a denormal step: all are alike
    const Ints most = Ints{} + levels;
    const auto low = static_cast<uint32_t>(rounding.key),
               high = static_cast<uint32_t>(rounding.key >> 32 ^ index >> 32);
    constexpr uint32_t kOdd = 0x9E3779B1U;
    Words place{};
    for (int lane = 0; lane < kGroupLanes; ++lane)
      place[lane] = (static_cast<uint32_t>(index) + static_cast<uint32_t>(lane)) * kOdd;
    for (int i = 0; i < kGroup; i += kGroupLanes) {
      const Reals above = (load<Reals>(values + i) - header.least) * scale;
      Reals up = Reals{} + 0.5F;
      if (rounding.stochastic) {
        up = uniform(place, low, high);
        place += kOdd * static_cast<uint32_t>(kGroupLanes);
      }
      Ints code = __builtin_convertvector(above + up, Ints);
      code = code < most ? code : most;
      store(__builtin_convertvector(code, Codes), codes + i);
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
