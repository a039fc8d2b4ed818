// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/values_isa.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <type_traits>

#include "codec/vector_isa.hpp"

namespace gregale::codec::GREGALE_ISA_NAMESPACE {
namespace {

constexpr int64_t kLanes = 16;  // partial results, the same on every instruction set
template <class T>
using Partial = std::array<T, kLanes>;

template <class T>
bool is_ordinary(T x, const T* missing, int64_t missing_count) {
  bool good = x - x == 0;  // neither infinite nor NaN
  for (int64_t m = 0; m < missing_count; ++m) good &= x != missing[m];
  return good;
}

template <class T>
ValueScan scan(const T* values, int64_t count, const T* missing, int64_t missing_count) {
  constexpr size_t kWide = kVectorBytes / sizeof(T);
  using V = Vector<T>;
  const V infinity = V{} + std::numeric_limits<T>::infinity();
  V least = infinity, greatest = -infinity;
  auto odd = V{} != V{}, zeros = odd;  // counts, negative
  ValueScan result;
  const auto add = [&](V x) {
    auto good = (x - x) == V{};  // neither infinite nor NaN
    for (int64_t m = 0; m < missing_count; ++m) good &= x != V{} + missing[m];
    const V low = good ? x : infinity, high = good ? x : -infinity;
    least = low < least ? low : least;
    greatest = high > greatest ? high : greatest;
    odd += ~good;
    zeros += x == V{};
  };
  constexpr int64_t kChunk = int64_t{1} << 28;  // counts stay below 2^31
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t end = std::min(count, begin + kChunk);
    int64_t i = begin;
    for (; i + static_cast<int64_t>(kWide) <= end; i += kWide) add(load<V>(values + i));
    if (i < end) {  // the rest, with NaN behind it
      V rest = V{} + std::numeric_limits<T>::quiet_NaN();
      for (int64_t j = i; j < end; ++j) rest[static_cast<size_t>(j - i)] = values[j];
      add(rest);
      result.ordinary += static_cast<int64_t>(kWide) - (end - i);
    }
    result.ordinary += end - begin;
    for (size_t lane = 0; lane < kWide; ++lane) {
      result.ordinary += odd[lane];
      result.zeros -= zeros[lane];
    }
    odd = zeros = V{} != V{};
  }
  if (result.ordinary == 0) return result;
  result.least = std::numeric_limits<double>::infinity();
  result.greatest = -result.least;
  for (size_t lane = 0; lane < kWide; ++lane) {
    result.least = std::min(result.least, static_cast<double>(least[lane]));
    result.greatest = std::max(result.greatest, static_cast<double>(greatest[lane]));
  }
  return result;
}

template <class T>
void flag(const T* values, int64_t count, const T* missing, int64_t missing_count, uint8_t* flags) {
  int64_t i = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    for (; i + 16 <= count; i += 16) {
      const __m512 x = _mm512_loadu_ps(values + i);
      __mmask16 good = _mm512_cmp_ps_mask(_mm512_sub_ps(x, x), _mm512_setzero_ps(), _CMP_EQ_OQ);
      for (int64_t m = 0; m < missing_count; ++m)
        good = _mm512_mask_cmp_ps_mask(good, x, _mm512_set1_ps(missing[m]), _CMP_NEQ_UQ);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(flags + i), _mm_maskz_set1_epi8(good, 1));
    }
  }
#endif
  for (; i < count; ++i) flags[i] = is_ordinary(values[i], missing, missing_count) ? 1 : 0;
}

template <class T>
bool separate(const T* values, const uint8_t* flags, int64_t count, T special, T filler, T* ordinary,
              uint8_t* classes) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const auto pattern = std::bit_cast<Bits>(special);
  int64_t i = 0;
  Bits differ = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512 fill = _mm512_set1_ps(filler);
    const __m512i bits = _mm512_set1_epi32(static_cast<int>(pattern));
    __mmask16 others = 0;
    for (; i + 16 <= count; i += 16) {
      const __m128i is = _mm_loadu_si128(reinterpret_cast<const __m128i*>(flags + i));
      const __mmask16 there = _mm_test_epi8_mask(is, is);
      const __m512 x = _mm512_loadu_ps(values + i);
      _mm512_storeu_ps(ordinary + i, _mm512_mask_mov_ps(fill, there, x));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(classes + i), _mm_xor_si128(is, _mm_set1_epi8(1)));
      others |= _mm512_mask_cmpneq_epi32_mask(static_cast<__mmask16>(~there), _mm512_castps_si512(x), bits);
    }
    differ = others;
  }
#endif
  for (; i < count; ++i) {
    const bool is = flags[i] != 0;
    ordinary[i] = is ? values[i] : filler;
    classes[i] = is ? 0 : 1;
    differ |= is ? Bits{0} : std::bit_cast<Bits>(values[i]) ^ pattern;
  }
  return differ == 0;
}

template <class T, bool kFlags>
ErrorScan compare_some(const T* values, const T* other, const uint8_t* flags, int64_t count, double bound) {
  Partial<double> greatest{}, squares{}, sum{};
  Partial<int64_t> violations{};
  const auto add = [&](int64_t at, size_t lane) {
    double error = static_cast<double>(other[at]) - static_cast<double>(values[at]);
    if constexpr (kFlags) error = flags[at] != 0 ? error : 0.0;
    const double size = error < 0 ? -error : error;
    violations[lane] += size <= bound ? 0 : 1;
    greatest[lane] = std::max(greatest[lane], size);
    squares[lane] += error * error;
    sum[lane] += error;
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(i + static_cast<int64_t>(lane), lane);
  for (; i < count; ++i) add(i, 0);
  ErrorScan result;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    result.greatest = std::max(result.greatest, greatest[lane]);
    result.squares += squares[lane];
    result.sum += sum[lane];
    result.violations += violations[lane];
  }
  return result;
}

template <class T>
ErrorScan compare(const T* values, const T* other, const uint8_t* flags, int64_t count, double bound) {
  return flags == nullptr ? compare_some<T, false>(values, other, flags, count, bound)
                          : compare_some<T, true>(values, other, flags, count, bound);
}

}  // namespace

extern const ValueRows<float> rows_f32;
extern const ValueRows<double> rows_f64;
const ValueRows<float> rows_f32{scan<float>, flag<float>, separate<float>, compare<float>};
const ValueRows<double> rows_f64{scan<double>, flag<double>, separate<double>, compare<double>};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
