// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "gregale/error.hpp"

namespace gregale {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(DType, NamesRoundTripAndSizesMatchTheTypes) {
  std::set<std::string_view> names;
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
    names.insert(name_of(dtype));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kDTypeCount));
  EXPECT_EQ(name_of(DType::boolean), "bool");
  EXPECT_EQ(name_of(DType::c128), "c128");
  EXPECT_EQ(size_of(DType::bf16), 2);
  EXPECT_EQ(size_of(DType::u64), 8);
  EXPECT_EQ(size_of(DType::boolean), 1);
  EXPECT_EQ(size_of(dtype_v<std::complex<double>>), 16);
  for (const char* name : {"", "f33", "F32", "float", "f32 "}) {
    try {
      dtype_from_name(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::dtype);
    }
  }
}

TEST(DType, Classes) {
  EXPECT_TRUE(is_real_float(DType::bf16));
  EXPECT_FALSE(is_real_float(DType::c64));
  EXPECT_TRUE(is_integer(DType::i64));
  EXPECT_TRUE(is_integer(DType::u8));
  EXPECT_FALSE(is_integer(DType::boolean));
  EXPECT_FALSE(is_integer(DType::bf16));
  EXPECT_TRUE(is_differentiable(DType::c64));
  EXPECT_FALSE(is_differentiable(DType::i32));
  EXPECT_EQ(complex_of(DType::f64), DType::c128);
  EXPECT_EQ(real_of(DType::c64), DType::f32);
  EXPECT_THROW(complex_of(DType::bf16), Error);
  EXPECT_THROW(real_of(DType::f32), Error);
}

TEST(Half, KnownValues) {
  const struct {
    float value;
    uint16_t bits;
  } cases[] = {{0.0f, 0x0000},       {-0.0f, 0x8000},        {1.0f, 0x3c00},
               {-2.0f, 0xc000},      {65504.0f, 0x7bff},     {65519.996f, 0x7bff},
               {65520.0f, 0x7c00},   {-1e9f, 0xfc00},        {kInf, 0x7c00},
               {-kInf, 0xfc00},      {0x1p-14f, 0x0400},     {0x1p-24f, 0x0001},
               {0x1p-25f, 0x0000},   {0x1.8p-25f, 0x0001},   {0x1.000002p-25f, 0x0001},
               {0x1.8p-24f, 0x0002}, {0x1.ffcp-15f, 0x0400}, {0x1.ff8p-15f, 0x03ff},
               {1e-40f, 0x0000},     {0.333333343f, 0x3555}, {0x1.002p0f, 0x3c00},
               {0x1.006p0f, 0x3c02}, {0x1.002002p0f, 0x3c01}};
  for (const auto& c : cases) EXPECT_EQ(to_f16(c.value).bits, c.bits) << c.value;
  const f16 nan = to_f16(-kNan);
  EXPECT_EQ(nan.bits & 0x7c00, 0x7c00);
  EXPECT_NE(nan.bits & 0x03ff, 0);
  // A NaN whose payload sits in the bits that are cut off must not become infinity.
  EXPECT_TRUE(std::isnan(to_f32(to_f16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::bit_cast<float>(0xffffffffu)))));
}

TEST(Half, EveryValueRoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const f16 half{static_cast<uint16_t>(bits)};
    const bf16 brain{static_cast<uint16_t>(bits)};
    const float from_half = to_f32(half), from_brain = to_f32(brain);
    if (std::isnan(from_half)) {
      ASSERT_TRUE(std::isnan(to_f32(to_f16(from_half))));
    } else {
      ASSERT_EQ(to_f16(from_half).bits, bits);
    }
    if (std::isnan(from_brain)) {
      ASSERT_TRUE(std::isnan(to_f32(to_bf16(from_brain))));
    } else {
      ASSERT_EQ(to_bf16(from_brain).bits, bits);
    }
  }
}

// The definition: midpoints between neighbours go to the even one, what is beside a midpoint to the nearer.
TEST(Half, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = to_f32(f16{bits});
    const float high = to_f32(f16{static_cast<uint16_t>(bits + 1)});
    const float middle = (low + high) / 2;  // exact
    ASSERT_EQ(to_f16(middle).bits, bits + (bits & 1));
    ASSERT_EQ(to_f16(std::nextafter(middle, 0.0f)).bits, bits);
    ASSERT_EQ(to_f16(std::nextafter(middle, kInf)).bits, bits + 1);
    ASSERT_EQ(to_f16(-middle).bits, (bits + (bits & 1)) | 0x8000);
  }
}

TEST(Half, Bf16KnownValues) {
  EXPECT_EQ(to_bf16(1.0f).bits, 0x3f80);
  EXPECT_EQ(to_bf16(0x1.01p0f).bits, 0x3f80);      // tie, to even
  EXPECT_EQ(to_bf16(0x1.03p0f).bits, 0x3f82);      // tie, to even
  EXPECT_EQ(to_bf16(0x1.010002p0f).bits, 0x3f81);  // just above a tie
  EXPECT_EQ(to_bf16(3.14159274f).bits, 0x4049);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(to_bf16(-kInf).bits, 0xff80);
  EXPECT_EQ(to_bf16(-0.0f).bits, 0x8000);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::denorm_min()).bits, 0x0000);
  EXPECT_EQ(to_bf16(0x1p-133f).bits, 0x0001);  // the smallest bf16 denormal
  EXPECT_EQ(to_f32(bf16{0x0001}), 0x1p-133f);
}

}  // namespace
}  // namespace gregale
