// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/predict_isa.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "codec/vector_isa.hpp"

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

template <class Int>
void predict_tile(const Int* values, const int64_t* places, const Int* weights, int tap_count, int64_t begin, Int least,
                  Int greatest, Int* dst) {
  using V = Vector<std::make_unsigned_t<Int>>;
  V sum = V{} + (std::make_unsigned_t<Int>{1} << (kWeightBits - 1));
  for (int t = 0; t < tap_count; ++t)
    sum += load<V>(values + places[t] + begin) * static_cast<std::make_unsigned_t<Int>>(weights[t]);
  Vector<Int> value = reinterpret_cast<Vector<Int>>(sum) >> kWeightBits;
  const Vector<Int> low = Vector<Int>{} + least, high = Vector<Int>{} + greatest;
  value = value < low ? low : value;
  value = value > high ? high : value;
  store(value, dst + begin);
}

/// A row's tile stays in registers while the taps are added up.
template <class Int>
void predict(const Int* values, const int64_t* places, const Int* weights, int tap_count, int64_t count, Int least,
             Int greatest, Int* dst) {
  using Unsigned = std::make_unsigned_t<Int>;
  constexpr size_t kLanes = kVectorBytes / sizeof(Int), kVectors = 2;
  static_assert(kRowTile % (kVectors * kLanes) == 0);
  for (int64_t begin = 0; begin < count; begin += kVectors * kLanes) {
    Vector<Unsigned> a = Vector<Unsigned>{} + (Unsigned{1} << (kWeightBits - 1)), b = a;
    for (int t = 0; t < tap_count; ++t) {
      const auto weight = static_cast<Unsigned>(weights[t]);
      a += load<Vector<Unsigned>>(values + places[t] + begin) * weight;
      b += load<Vector<Unsigned>>(values + places[t] + begin + kLanes) * weight;
    }
    const auto finish = [&](Vector<Unsigned> sum, Int* to) {
      Vector<Int> value = reinterpret_cast<Vector<Int>>(sum) >> kWeightBits;
      const Vector<Int> low = Vector<Int>{} + least, high = Vector<Int>{} + greatest;
      value = value < low ? low : value;
      value = value > high ? high : value;
      store(value, to);
    };
    finish(a, dst + begin);
    finish(b, dst + begin + kLanes);
  }
}

/// Whether all bytes of a vector of flags are one, or none.
template <class Flags>
bool all_are(const Flags& flags, uint64_t one) {
  constexpr uint64_t kOnes = 0x0101010101010101U;
  if constexpr (sizeof(Flags) < 8) {
    uint64_t bits = kOnes * one;
    __builtin_memcpy(&bits, &flags, sizeof flags);
    return bits == kOnes * one;
  } else {
    bool all = true;
    for (size_t i = 0; i < sizeof(Flags); i += 8) {
      uint64_t bits;
      __builtin_memcpy(&bits, reinterpret_cast<const char*>(&flags) + i, 8);
      all &= bits == kOnes * one;
    }
    return all;
  }
}

template <class Int>
void predict_among(const Int* values, const uint8_t* valid, const int64_t* places, const uint8_t* self,
                   const Int* weights, int tap_count, int64_t count, Int least, Int greatest, Int otherwise, Int* dst) {
  using Unsigned = std::make_unsigned_t<Int>;
  using Float = std::conditional_t<sizeof(Int) == 4, float, double>;  // holds sums of taps, and divides as IEEE says
  constexpr size_t kLanes = kVectorBytes / sizeof(Int);
  using Flags = VectorOf<uint8_t, kLanes>;
  using V = Vector<Unsigned>;
  for (int64_t begin = 0; begin < count; begin += kLanes) {
    if (all_are(load<Flags>(self + begin), 0)) {
      store(V{}, dst + begin);
      continue;
    }
    Flags all = load<Flags>(valid + places[0] + begin);
    for (int t = 1; t < tap_count; ++t) all &= load<Flags>(valid + places[t] + begin);
    if (all_are(all, 1)) {
      predict_tile(values, places, weights, tap_count, begin, least, greatest, dst);
      continue;
    }
    // sum_t w_t v_t (x_t - mean) + mean = sum_t w_t v_t x_t + mean (1 - sum_t w_t v_t)
    V sum{}, number{}, product{}, share{};
    for (int t = 0; t < tap_count; ++t) {
      const V there = V{} - widened<V>(valid + places[t] + begin);
      const V value = load<V>(values + places[t] + begin) & there;
      const auto weight = static_cast<Unsigned>(weights[t]);
      sum += value;
      number -= there;
      product += value * weight;
      share += there & weight;
    }
    const V alone = reinterpret_cast<V>(number == V{});
    const auto total = __builtin_convertvector(reinterpret_cast<Vector<Int>>(sum), Vector<Float>);
    const auto many = __builtin_convertvector(reinterpret_cast<Vector<Int>>(number - alone), Vector<Float>);
    V mean = reinterpret_cast<V>(__builtin_convertvector(total / many, Vector<Int>));
    mean = (static_cast<Unsigned>(otherwise) & alone) | (mean & ~alone);
    product += mean * ((Unsigned{1} << kWeightBits) - share) + (Unsigned{1} << (kWeightBits - 1));
    Vector<Int> value = reinterpret_cast<Vector<Int>>(product) >> kWeightBits;
    const Vector<Int> low = Vector<Int>{} + least, high = Vector<Int>{} + greatest;
    value = value < low ? low : value;
    value = value > high ? high : value;
    store(value, dst + begin);
  }
}

#if defined(__AVX512F__)

inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFF : count <= 0 ? 0 : (1U << count) - 1);
}

/// Lanes are bits of masks here.
template <>
void predict_among(const int32_t* values, const uint8_t* valid, const int64_t* places, const uint8_t* self,
                   const int32_t* weights, int tap_count, int64_t count, int32_t least, int32_t greatest,
                   int32_t otherwise, int32_t* dst) {
  const auto lanes = [](const uint8_t* flags) {
    return _mm_test_epi8_mask(_mm_loadu_si128(reinterpret_cast<const __m128i*>(flags)), _mm_set1_epi8(-1));
  };
  std::array<__mmask16, kMostTaps> there;
  for (int64_t begin = 0; begin < count; begin += 16) {
    const __mmask16 wanted = lanes(self + begin);
    if (wanted == 0) {
      _mm512_storeu_si512(dst + begin, _mm512_setzero_si512());
      continue;
    }
    __mmask16 all = wanted;
    for (int t = 0; t < tap_count; ++t) {
      there[static_cast<size_t>(t)] = lanes(valid + places[t] + begin);
      all &= there[static_cast<size_t>(t)];
    }
    if (all == wanted) {
      predict_tile(values, places, weights, tap_count, begin, least, greatest, dst);
      continue;
    }
    // sum_t w_t v_t (x_t - mean) + mean = sum_t w_t v_t x_t + mean (1 - sum_t w_t v_t)
    const __m512i one = _mm512_set1_epi32(1), zero = _mm512_setzero_si512();
    __m512i sum = zero, number = zero, product = zero, share = zero;
    for (int t = 0; t < tap_count; ++t) {
      const __mmask16 m = there[static_cast<size_t>(t)];
      const __m512i value = _mm512_maskz_loadu_epi32(m, values + places[t] + begin),
                    weight = _mm512_set1_epi32(weights[t]);
      sum = _mm512_add_epi32(sum, value);
      number = _mm512_mask_add_epi32(number, m, number, one);
      product = _mm512_add_epi32(product, _mm512_mullo_epi32(value, weight));
      share = _mm512_mask_add_epi32(share, m, share, weight);
    }
    const __m512 mean_of_some =
        _mm512_div_ps(_mm512_cvtepi32_ps(sum), _mm512_cvtepi32_ps(_mm512_max_epi32(number, one)));
    const __m512i mean = _mm512_mask_mov_epi32(_mm512_cvttps_epi32(mean_of_some),
                                               _mm512_testn_epi32_mask(number, number), _mm512_set1_epi32(otherwise));
    share = _mm512_sub_epi32(_mm512_set1_epi32(1 << kWeightBits), share);
    product = _mm512_add_epi32(product, _mm512_mullo_epi32(mean, share));
    product = _mm512_add_epi32(product, _mm512_set1_epi32(1 << (kWeightBits - 1)));
    const __m512i value = _mm512_max_epi32(_mm512_srai_epi32(product, kWeightBits), _mm512_set1_epi32(least));
    _mm512_storeu_si512(dst + begin, _mm512_min_epi32(value, _mm512_set1_epi32(greatest)));
  }
}

#endif

constexpr uint16_t kLimits[kActivities - 1] = {0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 90};

#if defined(__AVX512F__)

void keys(const uint8_t* sizes, const int64_t* places, const uint8_t* weights, int tap_count, int64_t count,
          uint32_t scale, uint8_t base, uint8_t* dst) {
  static_assert(kRowTile % 32 == 0);
  const __m512i factor = _mm512_set1_epi16(static_cast<int16_t>(scale));
  for (int64_t begin = 0; begin < count; begin += 32) {
    __m512i sum = _mm512_setzero_si512();
    for (int t = 0; t < tap_count; ++t) {
      const __m512i size =
          _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sizes + places[t] + begin)));
      sum = _mm512_add_epi16(sum, _mm512_mullo_epi16(size, _mm512_set1_epi16(weights[t])));
    }
    // At most 4 kGreatestSize = 124 after the scale, so bytes do.
    const __m256i size = _mm512_cvtepi16_epi8(_mm512_srli_epi16(_mm512_mullo_epi16(sum, factor), 8));
    __m256i key = _mm256_set1_epi8(static_cast<char>(base));
    for (const uint16_t limit : kLimits)
      key = _mm256_sub_epi8(key, _mm256_cmpgt_epi8(size, _mm256_set1_epi8(static_cast<char>(limit))));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + begin), key);
  }
}

void apply(const int32_t* predicted, const int32_t* residual, int32_t quantum, int64_t count, int32_t* dst,
           uint8_t* sizes) {
  const __m512i step = _mm512_set1_epi32(quantum), most = _mm512_set1_epi32(kGreatestSize);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i r = _mm512_loadu_si512(residual + i);
    const __m512i value = _mm512_add_epi32(_mm512_loadu_si512(predicted + i), _mm512_mullo_epi32(r, step));
    const __m128i size = _mm512_cvtepi32_epi8(_mm512_min_epu32(_mm512_abs_epi32(r), most));
    if (count - i >= 16) {
      _mm512_storeu_si512(dst + i, value);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(sizes + i), size);
    } else {
      const __mmask16 lanes = first_lanes(count - i);
      _mm512_mask_storeu_epi32(dst + i, lanes, value);
      _mm_mask_storeu_epi8(sizes + i, lanes, size);
    }
  }
}

#else

void keys(const uint8_t* sizes, const int64_t* places, const uint8_t* weights, int tap_count, int64_t count,
          uint32_t scale, uint8_t base, uint8_t* dst) {
  constexpr size_t kLanes = kVectorBytes / sizeof(uint16_t);
  using Wide = Vector<uint16_t>;
  using Narrow = VectorOf<uint8_t, kLanes>;
  static_assert(kRowTile % kLanes == 0);
  for (int64_t begin = 0; begin < count; begin += kLanes) {
    Wide sum{};
    for (int t = 0; t < tap_count; ++t) sum += widened<Wide>(sizes + places[t] + begin) * uint16_t{weights[t]};
    sum =
        sum * static_cast<uint16_t>(scale) >> 8;  // at most kGreatestSize * 1024, as the scale is 1024 over all weights
    Wide above = Wide{} + base;
    for (const uint16_t limit : kLimits) above -= reinterpret_cast<Wide>(sum > limit);
    store(__builtin_convertvector(above, Narrow), dst + begin);
  }
}

void apply(const int32_t* predicted, const int32_t* residual, int32_t quantum, int64_t count, int32_t* dst,
           uint8_t* sizes) {
  for (int64_t i = 0; i < count; ++i) {
    const auto r = static_cast<uint32_t>(residual[i]);
    dst[i] = static_cast<int32_t>(static_cast<uint32_t>(predicted[i]) + r * static_cast<uint32_t>(quantum));
    sizes[i] = static_cast<uint8_t>(std::min<uint32_t>(residual[i] < 0 ? 0U - r : r, kGreatestSize));
  }
}

#endif

#if defined(__AVX512F__)

/// The first `count` of 16 values that are `step` apart.
inline __m512 strided(const float* from, int64_t step, int64_t count) {
  if (step == 1) return _mm512_maskz_loadu_ps(first_lanes(count), from);
  if (step == 2) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const int64_t floats = 2 * count - 1;  // none is read behind the last
    return _mm512_permutex2var_ps(_mm512_maskz_loadu_ps(first_lanes(floats), from), even,
                                  _mm512_maskz_loadu_ps(first_lanes(floats - 16), from + 16));
  }
  const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i places = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(step)));
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), first_lanes(count), places, from, 4);
}

void quantize_f32(const float* values, int64_t step, int64_t count, double offset, double scale,
                  const int32_t* predicted, double inverse, int32_t* residual) {
  const __m512d from = _mm512_set1_pd(offset), times = _mm512_set1_pd(scale), over = _mm512_set1_pd(inverse);
  const auto eight = [&](__m256 x, __m256i p) {
    const __m512d y = _mm512_mul_pd(_mm512_sub_pd(_mm512_cvtps_pd(x), from), times);
    return _mm512_cvtpd_epi32(_mm512_mul_pd(_mm512_sub_pd(y, _mm512_cvtepi32_pd(p)), over));
  };
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 x = strided(values + i * step, step, count - i);
    const __m512i p = _mm512_loadu_si512(predicted + i);
    const __m256i low = eight(_mm512_castps512_ps256(x), _mm512_castsi512_si256(p));
    const __m256i high = eight(_mm512_extractf32x8_ps(x, 1), _mm512_extracti64x4_epi64(p, 1));
    _mm512_storeu_si512(residual + i, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
  }
}

#else

template <int64_t kStep>
void quantize_steps(const float* values, int64_t step, int64_t count, double offset, double scale,
                    const int32_t* predicted, double inverse, int32_t* residual) {
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const int64_t by = kStep > 0 ? kStep : step;
  for (int64_t i = 0; i < count; ++i) {
    const double y = (static_cast<double>(values[i * by]) - offset) * scale;
    const double r = (y - predicted[i]) * inverse;
    residual[i] = static_cast<int32_t>((r + kRound) - kRound);
  }
}

void quantize_f32(const float* values, int64_t step, int64_t count, double offset, double scale,
                  const int32_t* predicted, double inverse, int32_t* residual) {
  if (step == 1) return quantize_steps<1>(values, step, count, offset, scale, predicted, inverse, residual);
  if (step == 2) return quantize_steps<2>(values, step, count, offset, scale, predicted, inverse, residual);
  quantize_steps<0>(values, step, count, offset, scale, predicted, inverse, residual);
}

#endif

template <class T>
void interleave(const T* even, const T* odd, int64_t count, T* dst) {
  const int64_t pairs = count / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    dst[2 * i] = even[i];
    dst[2 * i + 1] = odd[i];
  }
  if (count % 2 != 0) dst[count - 1] = even[pairs];
}

void restore_f32(const int32_t* even, const int32_t* odd, int64_t count, double offset, double unit, float* dst) {
  const auto value = [&](int32_t k) { return static_cast<float>(offset + static_cast<double>(k) * unit); };
  const int64_t pairs = count / 2;
  for (int64_t i = 0; i < pairs; ++i) {
    dst[2 * i] = value(even[i]);
    dst[2 * i + 1] = value(odd[i]);
  }
  if (count % 2 != 0) dst[count - 1] = value(even[pairs]);
}

}  // namespace

extern const PredictTable table;
const PredictTable table{predict<int32_t>,
                         predict<int64_t>,
                         predict_among<int32_t>,
                         predict_among<int64_t>,
                         keys,
                         quantize_f32,
                         apply,
                         interleave<int32_t>,
                         interleave<uint8_t>,
                         restore_f32};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
