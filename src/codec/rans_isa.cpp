// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/rans_isa.hpp"

#include <algorithm>
#include <cstring>

#include "codec/vector_isa.hpp"

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

constexpr uint32_t kLow = 1U << 16;  // states are kept from here to 2^32
constexpr uint32_t kSlotMask = (1U << kRansBits) - 1;

/// Lanes of the vector at `valid` that are there.
uint32_t lanes_of(const uint8_t* valid, int64_t left) {
  uint32_t mask = left >= kRansLanes ? 0xFFFF : (1U << left) - 1;
  if (valid == nullptr) return mask;
  uint32_t there = 0;
  for (int l = 0; l < kRansLanes; ++l) there |= (valid[l] != 0 ? 1U : 0U) << l;
  return mask & there;
}

/// One lane after another.
void decode_lanes(RansSource& s, const uint8_t* contexts, const uint8_t* keys, const uint8_t* valid, int64_t count,
                  uint8_t* symbols) {
  for (int64_t i = 0; i < count; i += kRansLanes, s.turn ^= 1) {
    std::memset(symbols + i, 0, kRansLanes);
    for (uint32_t mask = lanes_of(valid == nullptr ? nullptr : valid + i, count - i); mask != 0; mask &= mask - 1) {
      const auto lane = static_cast<uint32_t>(__builtin_ctz(mask));
      uint32_t& x = s.states[(s.turn * 16 + lane) & (s.state_count - 1)];
      const uint32_t slot = s.slots[uint32_t{contexts[keys[i + lane] & 15]} << kRansBits | (x & kSlotMask)];
      x = ((slot >> 20) + 1) * (x >> kRansBits) + (slot >> 8 & 0xFFF);
      symbols[i + lane] = static_cast<uint8_t>(slot);
      if (x >= kLow) continue;
      uint16_t word;
      std::memcpy(&word, s.words + s.at, 2);
      x = x << 16 | word;
      s.at += 2;
    }
    s.at = std::min(s.at, s.end + 2);
  }
}

/// x / frequency as a product: ceil(2^(32 + shift) / frequency) x >> (32 + shift), exact for all x below 2^32 (Granlund
/// and Montgomery, PLDI 1994), with the one bit above 32 of the factor kept apart by x itself.
struct Reciprocals {
  std::array<uint32_t, (1U << kRansBits) + 1> factor{};
  std::array<uint8_t, (1U << kRansBits) + 1> shift{};
  constexpr Reciprocals() {
    for (uint32_t f = 1; f < factor.size(); ++f) {
      while ((1U << shift[f]) < f) ++shift[f];
      factor[f] = static_cast<uint32_t>(((uint64_t{1} << (32 + shift[f])) + f - 1) / f - (uint64_t{1} << 32));
    }
  }
};
constexpr Reciprocals kReciprocals;

size_t encode_lanes(const uint32_t* entries, const uint8_t* contexts, const RansVectors& v, uint32_t* states,
                    uint32_t state_count, uint16_t* words) {
  size_t filled = 0;
  for (int64_t n = v.count; n-- > 0;) {
    for (uint32_t mask = v.masks[n]; mask != 0;) {
      const auto lane = 31U - static_cast<uint32_t>(__builtin_clz(mask));
      mask ^= 1U << lane;
      const int64_t i = n * kRansLanes + lane;
      const uint32_t entry = entries[uint32_t{contexts[v.keys[i]]} * 128 + v.symbols[i]], f = entry & 0xFFF;
      uint32_t& x = states[(static_cast<uint32_t>(n & 1) * 16 + lane) & (state_count - 1)];
      if (x >> (32 - kRansBits) >= f) {
        words[filled++] = static_cast<uint16_t>(x);
        x >>= 16;
      }
      const auto share =
          static_cast<uint32_t>(((uint64_t{x} * kReciprocals.factor[f] >> 32) + x) >> kReciprocals.shift[f]);
      x = (share << kRansBits) + (x - share * f) + (entry >> 12);
    }
  }
  return filled;
}

#if defined(__AVX512F__)

/// 16 lanes at once. Returns their slots, whose lowest byte is the symbol.
inline __m512i decode_vector(RansSource& s, __m512i& x, __m128i contexts, __m128i keys, __mmask16 mask) {
  const __m128i context = _mm_shuffle_epi8(contexts, _mm_and_si128(keys, _mm_set1_epi8(15)));
  const __m512i index = _mm512_or_si512(_mm512_slli_epi32(_mm512_cvtepu8_epi32(context), kRansBits),
                                        _mm512_and_si512(x, _mm512_set1_epi32(kSlotMask)));
  const __m512i slot = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), mask, index, s.slots, 4);
  const __m512i frequency = _mm512_add_epi32(_mm512_srli_epi32(slot, 20), _mm512_set1_epi32(1));
  const __m512i place = _mm512_and_si512(_mm512_srli_epi32(slot, 8), _mm512_set1_epi32(0xFFF));
  x = _mm512_mask_add_epi32(x, mask, _mm512_mullo_epi32(frequency, _mm512_srli_epi32(x, kRansBits)), place);
  const __mmask16 due = _mm512_mask_cmplt_epu32_mask(mask, x, _mm512_set1_epi32(kLow));
  const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(s.words + s.at)));
  x = _mm512_mask_or_epi32(x, due, _mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(due, words));
  s.at = std::min(s.at + 2 * static_cast<size_t>(__builtin_popcount(due)), s.end + 2);
  return slot;
}

void decode_vectors(RansSource& source, const uint8_t* contexts, const uint8_t* keys, const uint8_t* valid,
                    int64_t count, uint8_t* symbols) {
  if (source.state_count != kRansStates) return decode_lanes(source, contexts, keys, valid, count, symbols);
  RansSource s = source;
  __m512i x[2] = {_mm512_load_si512(s.states.data()), _mm512_load_si512(s.states.data() + 16)};
  if (s.turn != 0) std::swap(x[0], x[1]);
  const __m128i lut = _mm_loadu_si128(reinterpret_cast<const __m128i*>(contexts));
  const auto bytes = [](const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); };
  const auto vector = [&](__m512i& state, int64_t i) {
    auto mask = static_cast<__mmask16>(count - i >= kRansLanes ? 0xFFFF : (1U << (count - i)) - 1);
    if (valid != nullptr) mask = _mm_mask_test_epi8_mask(mask, bytes(valid + i), _mm_set1_epi8(-1));
    __m128i taken = _mm_setzero_si128();
    if (mask != 0) taken = _mm512_cvtepi32_epi8(decode_vector(s, state, lut, bytes(keys + i), mask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(symbols + i), taken);
  };
  int64_t i = 0;
  for (; i + kRansLanes < count; i += 2 * kRansLanes) {
    vector(x[0], i);
    vector(x[1], i + kRansLanes);
  }
  if (i < count) {
    vector(x[0], i);
    s.turn ^= 1;
    std::swap(x[0], x[1]);
  }
  if (s.turn != 0) std::swap(x[0], x[1]);
  _mm512_store_si512(source.states.data(), x[0]);
  _mm512_store_si512(source.states.data() + 16, x[1]);
  source.at = s.at;
  source.turn = s.turn;
}

size_t encode_vectors(const uint32_t* entries, const uint8_t* contexts, const RansVectors& v, uint32_t* states,
                      uint32_t state_count, uint16_t* words) {
  if (state_count != kRansStates) return encode_lanes(entries, contexts, v, states, state_count, words);
  // Lanes stand in reverse, so that words come out as they are appended.
  const __m128i reverse = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i reverse_words = _mm512_cvtepu8_epi32(reverse);
  const auto bytes = [](const uint8_t* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); };
  __m512i x[2];
  for (int64_t p : {0, 1}) x[p] = _mm512_permutexvar_epi32(reverse_words, _mm512_loadu_si512(states + 16 * p));
  size_t filled = 0;
  const auto vector = [&](__m512i& state, int64_t n) {
    const uint8_t* keys = v.keys + n * kRansLanes;
    const __m128i lut = bytes(contexts + (keys[0] & 0xF0));
    const __m128i context = _mm_shuffle_epi8(lut, _mm_and_si128(bytes(keys), _mm_set1_epi8(15)));
    const __m128i symbol = bytes(v.symbols + n * kRansLanes);
    const __m512i index =
        _mm512_or_si512(_mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_shuffle_epi8(context, reverse)), 7),
                        _mm512_cvtepu8_epi32(_mm_shuffle_epi8(symbol, reverse)));
    uint32_t there = v.masks[n];
    __mmask16 mask = 0xFFFF;
    __m512i entry;
    if (there == 0xFFFF) {
      entry = _mm512_i32gather_epi32(index, entries, 4);
    } else {  // bits in reverse
      there = (there & 0x5555) << 1 | (there >> 1 & 0x5555);
      there = (there & 0x3333) << 2 | (there >> 2 & 0x3333);
      there = (there & 0x0F0F) << 4 | (there >> 4 & 0x0F0F);
      mask = static_cast<__mmask16>((there & 0xFF) << 8 | there >> 8);
      entry = _mm512_mask_i32gather_epi32(_mm512_set1_epi32(1), mask, index, entries, 4);
    }
    const __m512i f = _mm512_and_si512(entry, _mm512_set1_epi32(0xFFF));
    const __mmask16 full = _mm512_mask_cmpge_epu32_mask(mask, _mm512_srli_epi32(state, 32 - kRansBits), f);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + filled),
                        _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(full, state)));
    filled += static_cast<size_t>(__builtin_popcount(full));
    const __m512i y = _mm512_mask_srli_epi32(state, full, state, 16);
    // y / f < 2^21, so that a quotient in f32 is off by one at most.
    const __m512 quotient = _mm512_div_ps(_mm512_cvtepu32_ps(y), _mm512_cvtepi32_ps(f));
    __m512i share = _mm512_cvttps_epi32(quotient);
    __m512i rest = _mm512_sub_epi32(y, _mm512_mullo_epi32(share, f));
    const __mmask16 above = _mm512_movepi32_mask(rest);  // below zero: the quotient was rounded up
    share = _mm512_mask_sub_epi32(share, above, share, _mm512_set1_epi32(1));
    rest = _mm512_mask_add_epi32(rest, above, rest, f);
    const __mmask16 below = _mm512_cmpge_epi32_mask(rest, f);
    share = _mm512_mask_add_epi32(share, below, share, _mm512_set1_epi32(1));
    rest = _mm512_mask_sub_epi32(rest, below, rest, f);
    const __m512i next =
        _mm512_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(share, kRansBits), rest), _mm512_srli_epi32(entry, 12));
    state = _mm512_mask_mov_epi32(state, mask, next);
  };
  int64_t n = v.count;
  if (n % 2 != 0) vector(x[0], --n);
  while (n > 0) {
    vector(x[1], --n);
    vector(x[0], --n);
  }
  for (int64_t p : {0, 1}) _mm512_storeu_si512(states + 16 * p, _mm512_permutexvar_epi32(reverse_words, x[p]));
  return filled;
}

#elif defined(__AVX2__)

/// For every set of eight lanes, which of the words that come next each of them takes.
struct Ranks {
  alignas(64) std::array<std::array<uint8_t, 8>, 256> of{};
  constexpr Ranks() {
    for (size_t mask = 0; mask < 256; ++mask) {
      uint8_t rank = 0;
      for (size_t lane = 0; lane < 8; ++lane) {
        of[mask][lane] = rank;
        rank = static_cast<uint8_t>(rank + (mask >> lane & 1));
      }
    }
  }
};
constexpr Ranks kRanks;

/// Eight lanes at once, those of `there`. Returns their slots, whose lowest byte is the symbol.
inline __m256i decode_eight(RansSource& s, __m256i& x, const uint8_t* contexts, const uint8_t* keys, __m256i there) {
  const __m128i lut = _mm_loadu_si128(reinterpret_cast<const __m128i*>(contexts));
  const __m128i key = _mm_and_si128(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(keys)), _mm_set1_epi8(15));
  const __m256i context = _mm256_cvtepu8_epi32(_mm_shuffle_epi8(lut, key));
  const __m256i index =
      _mm256_or_si256(_mm256_slli_epi32(context, kRansBits), _mm256_and_si256(x, _mm256_set1_epi32(kSlotMask)));
  const __m256i slot =
      _mm256_mask_i32gather_epi32(_mm256_setzero_si256(), reinterpret_cast<const int*>(s.slots), index, there, 4);
  const __m256i frequency = _mm256_add_epi32(_mm256_srli_epi32(slot, 20), _mm256_set1_epi32(1));
  const __m256i place = _mm256_and_si256(_mm256_srli_epi32(slot, 8), _mm256_set1_epi32(0xFFF));
  const __m256i next = _mm256_add_epi32(_mm256_mullo_epi32(frequency, _mm256_srli_epi32(x, kRansBits)), place);
  x = _mm256_blendv_epi8(x, next, there);
  const __m256i due = _mm256_and_si256(there, _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256()));
  const auto mask = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(due)));
  const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(s.words + s.at)));
  const __m256i ranks = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kRanks.of[mask].data())));
  const __m256i filled = _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(words, ranks));
  x = _mm256_blendv_epi8(x, filled, due);
  s.at += 2 * static_cast<size_t>(__builtin_popcount(mask));
  return slot;
}

void decode_vectors(RansSource& s, const uint8_t* contexts, const uint8_t* keys, const uint8_t* valid, int64_t count,
                    uint8_t* symbols) {
  if (s.state_count != kRansStates) return decode_lanes(s, contexts, keys, valid, count, symbols);
  const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  for (int64_t i = 0; i < count; i += kRansLanes, s.turn ^= 1) {
    for (int64_t half = 0; half < kRansLanes; half += 8) {
      const auto left = static_cast<int>(std::clamp<int64_t>(count - i - half, 0, 8));
      __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), lanes);
      if (valid != nullptr) {
        const __m128i flags = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(valid + i + half));
        there = _mm256_and_si256(there, _mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(flags), _mm256_setzero_si256()));
      }
      uint32_t* const states = s.states.data() + s.turn * 16 + static_cast<size_t>(half);
      __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(states));
      const __m256i slot = decode_eight(s, x, contexts, keys + i + half, there);
      _mm256_store_si256(reinterpret_cast<__m256i*>(states), x);
      const __m256i bytes = _mm256_and_si256(slot, _mm256_set1_epi32(0xFF));
      const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(symbols + i + half), _mm_packus_epi16(words, words));
    }
    s.at = std::min(s.at, s.end + 2);
  }
}

#endif

}  // namespace

extern const RansTable rans_rows;
#if defined(__AVX512F__)
const RansTable rans_rows{decode_vectors, encode_vectors};
#elif defined(__AVX2__)
const RansTable rans_rows{decode_vectors, encode_lanes};
#else
const RansTable rans_rows{decode_lanes, encode_lanes};
#endif

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
