// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/tensor.hpp"

/// Element types as stored (T), in their bits, and as codecs work on them.
namespace gregale::codec {

template <class T>
struct Element {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  using Work = std::conditional_t<sizeof(T) == 8, double, float>;
  static constexpr bool kSame = std::is_same_v<T, Work>;

  static Work work(T x) {
    if constexpr (kSame)
      return x;
    else
      return to_f32(x);
  }
  static T rounded(Work x) {
    if constexpr (kSame)
      return x;
    else if constexpr (std::is_same_v<T, f16>)
      return to_f16(x);
    else
      return to_bf16(x);
  }
  /// What rounding to the element may add to the error of a value up to `greatest`.
  static double slack(double greatest) {
    if constexpr (kSame) return 0;  // codecs see to that
    return std::is_same_v<T, f16> ? std::max(greatest * 0x1p-11, 0x1p-25) : greatest * 0x1p-8;
  }
  static Bits bits(T value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
  }
};

/// Numbers as they are among elements of this type, each once.
template <class T>
std::vector<typename Element<T>::Work> as_elements(const std::vector<double>& numbers) {
  using Work = typename Element<T>::Work;
  std::vector<Work> result;
  for (const double number : numbers) {
    const Work x = Element<T>::work(Element<T>::rounded(static_cast<Work>(number)));
    if (std::find(result.begin(), result.end(), x) == result.end()) result.push_back(x);
  }
  return result;
}

/// Calls body with a value of the element type; false for those that are no real floating-point numbers.
template <class Body>
bool for_real_float(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f64:
      body(double{});
      return true;
    case DType::f32:
      body(float{});
      return true;
    case DType::f16:
      body(f16{});
      return true;
    case DType::bf16:
      body(bf16{});
      return true;
    default:
      return false;
  }
}

}  // namespace gregale::codec
