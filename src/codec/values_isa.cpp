// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "codec/values_isa.hpp"

#include <algorithm>
#include <array>
#include <limits>

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

template <class T, int64_t kMissing>
ValueScan scan_some(const T* values, int64_t count, const T* missing, int64_t missing_count) {
  const int64_t many = kMissing >= 0 ? kMissing : missing_count;
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  Partial<T> least, greatest;
  Partial<int32_t> ordinary{}, zeros{};
  least.fill(kInfinity);
  greatest.fill(-kInfinity);
  ValueScan result;
  const auto add = [&](int64_t at, size_t lane) {
    const T x = values[at];
    const bool good = is_ordinary(x, missing, many);
    least[lane] = std::min(least[lane], good ? x : kInfinity);
    greatest[lane] = std::max(greatest[lane], good ? x : -kInfinity);
    ordinary[lane] += good ? 1 : 0;
    zeros[lane] += x == 0 ? 1 : 0;
  };
  constexpr int64_t kChunk = int64_t{1} << 24;  // counts stay below 2^31
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t end = std::min(count, begin + kChunk);
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) add(i + static_cast<int64_t>(lane), lane);
    for (; i < end; ++i) add(i, 0);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      result.ordinary += ordinary[lane];
      result.zeros += zeros[lane];
      ordinary[lane] = zeros[lane] = 0;
    }
  }
  if (result.ordinary == 0) return result;
  result.least = static_cast<double>(*std::min_element(least.begin(), least.end()));
  result.greatest = static_cast<double>(*std::max_element(greatest.begin(), greatest.end()));
  return result;
}

template <class T>
ValueScan scan(const T* values, int64_t count, const T* missing, int64_t missing_count) {
  if (missing_count == 0) return scan_some<T, 0>(values, count, missing, 0);
  if (missing_count == 1) return scan_some<T, 1>(values, count, missing, 1);
  return scan_some<T, -1>(values, count, missing, missing_count);
}

template <class T>
void flag(const T* values, int64_t count, const T* missing, int64_t missing_count, uint8_t* flags) {
  if (missing_count == 1) {
    const T m = missing[0];
    for (int64_t i = 0; i < count; ++i) flags[i] = (values[i] - values[i] == 0) & (values[i] != m) ? 1 : 0;
    return;
  }
  for (int64_t i = 0; i < count; ++i) flags[i] = is_ordinary(values[i], missing, missing_count) ? 1 : 0;
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
const ValueRows<float> rows_f32{scan<float>, flag<float>, compare<float>};
const ValueRows<double> rows_f64{scan<double>, flag<double>, compare<double>};

}  // namespace gregale::codec::GREGALE_ISA_NAMESPACE
