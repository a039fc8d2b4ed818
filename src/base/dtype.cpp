// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/dtype.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "gregale/error.hpp"

namespace gregale {
namespace {

struct DTypeInfo {
  std::string_view name;
  int64_t size;
};

// In the order of the enumeration.
constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{{"f64", 8},
                                                       {"f32", 4},
                                                       {"f16", 2},
                                                       {"bf16", 2},
                                                       {"i64", 8},
                                                       {"i32", 4},
                                                       {"i16", 2},
                                                       {"i8", 1},
                                                       {"u64", 8},
                                                       {"u32", 4},
                                                       {"u16", 2},
                                                       {"u8", 1},
                                                       {"bool", 1},
                                                       {"c64", 8},
                                                       {"c128", 16}}};

const DTypeInfo& info_of(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  GREGALE_ASSERT(index < kInfo.size());
  return kInfo[index];
}

}  // namespace

f16 to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // a quiet NaN with what fits of its payload
  } else if (magnitude >= 0x477ff000u) {            // 65520 and above round to infinity
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5, whose last bit is worth 2^-24, leaves the rounded denormal in the low bits.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(sum) - std::bit_cast<uint32_t>(0.5f);
  } else {
    magnitude += 0xfffu + ((magnitude >> 13) & 1u);
    half = (magnitude - 0x38000000u) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

float to_f32(f16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1fu;
  const uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

float to_f32(bf16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }

std::string_view name_of(DType dtype) { return info_of(dtype).name; }

DType dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < kInfo.size(); ++i) {
    if (kInfo[i].name == name) return static_cast<DType>(i);
  }
  throw_error(ErrorCode::dtype, fmt::format("unknown dtype \"{}\"", name.substr(0, 64)));
}

int64_t size_of(DType dtype) { return info_of(dtype).size; }

bool is_real_float(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

bool is_complex(DType dtype) { return dtype == DType::c64 || dtype == DType::c128; }

bool is_integer(DType dtype) { return dtype >= DType::i64 && dtype <= DType::u8; }

DType complex_of(DType real) {
  if (real == DType::f32) return DType::c64;
  if (real == DType::f64) return DType::c128;
  throw_error(ErrorCode::dtype, fmt::format("{} has no complex dtype; f32 and f64 have", name_of(real)));
}

DType real_of(DType complex) {
  if (complex == DType::c64) return DType::f32;
  if (complex == DType::c128) return DType::f64;
  throw_error(ErrorCode::dtype, fmt::format("{} is not a complex dtype", name_of(complex)));
}

}  // namespace gregale
