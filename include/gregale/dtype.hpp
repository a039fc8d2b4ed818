// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <string_view>

namespace gregale {

/// Element types. `boolean` is one byte, 0 or 1. Complex types are (re, im) pairs of f32 or f64.
enum class DType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean, c64, c128 };
inline constexpr int kDTypeCount = 15;

/// IEEE binary16 and bfloat16 as storage: arithmetic happens in wider types.
struct f16 {
  uint16_t bits = 0;
  friend bool operator==(f16, f16) = default;
};
struct bf16 {
  uint16_t bits = 0;
  friend bool operator==(bf16, bf16) = default;
};
/// Conversions round to nearest even; NaN stays NaN, overflow becomes infinity.
f16 to_f16(float value);
bf16 to_bf16(float value);
float to_f32(f16 value);
float to_f32(bf16 value);

/// "f32", "bool", "c64", ...
std::string_view name_of(DType dtype);
/// The inverse of name_of; throws ErrorCode::dtype for a name it does not know.
DType dtype_from_name(std::string_view name);
int64_t size_of(DType dtype);  ///< bytes of one element

bool is_real_float(DType dtype);  ///< f64, f32, f16, bf16
bool is_complex(DType dtype);
bool is_integer(DType dtype);  ///< signed and unsigned integers, not bool
inline bool is_differentiable(DType dtype) { return is_real_float(dtype) || is_complex(dtype); }
/// f32 <-> c64 and f64 <-> c128; throws ErrorCode::dtype for others.
DType complex_of(DType real);
DType real_of(DType complex);

/// The DType of a C++ element type.
template <class T>
struct dtype_of;
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_of<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of<int16_t> {
  static constexpr DType value = DType::i16;
};
template <>
struct dtype_of<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct dtype_of<uint64_t> {
  static constexpr DType value = DType::u64;
};
template <>
struct dtype_of<uint32_t> {
  static constexpr DType value = DType::u32;
};
template <>
struct dtype_of<uint16_t> {
  static constexpr DType value = DType::u16;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct dtype_of<bool> {
  static constexpr DType value = DType::boolean;
};
template <>
struct dtype_of<std::complex<float>> {
  static constexpr DType value = DType::c64;
};
template <>
struct dtype_of<std::complex<double>> {
  static constexpr DType value = DType::c128;
};
template <class T>
inline constexpr DType dtype_v = dtype_of<T>::value;

}  // namespace gregale
