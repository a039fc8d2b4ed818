// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/tensor.hpp"
#include "base/expect_error_for_tests.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>

namespace gregale {
namespace {

TEST(Tensor, IsZeroFilledAndAligned) {
  for (const int64_t n : {1, 3, 1000, 100000}) {
    const Tensor tensor(DType::f32, {n, 2});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
    EXPECT_EQ(tensor.bytes(), 8 * n);
    for (const float value : tensor.as<float>()) ASSERT_EQ(value, 0.0f);
  }
}

TEST(Tensor, NoTensorAndNoElementsDiffer) {
  EXPECT_TRUE(Tensor().empty());
  const Tensor none(DType::f64, {3, 0});
  EXPECT_FALSE(none.empty());
  EXPECT_EQ(none.size(), 0);
  EXPECT_TRUE(none.as<double>().empty());
  EXPECT_TRUE(none.clone().identical(none));
  EXPECT_TRUE(Tensor().clone().empty());
  EXPECT_EQ(Tensor::scalar(2.5f).rank(), 0);
  EXPECT_EQ(Tensor::scalar(2.5f).as<float>()[0], 2.5f);
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  Tensor a = Tensor::from<int32_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor shared = a, view = a.reshaped({3, 2}), copy = a.clone();
  EXPECT_TRUE(copy.identical(a));
  a.as<int32_t>()[0] = 9;
  EXPECT_EQ(shared.as<int32_t>()[0], 9);
  EXPECT_EQ(view.as<int32_t>()[0], 9);
  EXPECT_EQ(copy.as<int32_t>()[0], 1);
  EXPECT_FALSE(copy.identical(a));
  EXPECT_FALSE(view.identical(a));  // other extents
  EXPECT_EQ(error_of([&] { a.reshaped({4, 2}); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([&] { a.as<float>(); }).code(), ErrorCode::dtype);
  EXPECT_EQ(error_of([] { Tensor::from<float>({1, 2}, {3}); }).code(), ErrorCode::shape);
  EXPECT_EQ(a.type(), Type(DType::i32, {2, 3}));
}

TEST(Tensor, ShareKeepsTheOwnerAndBorrowDoesNot) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  std::weak_ptr<std::vector<float>> watch = owner;
  Tensor tensor = Tensor::share(owner, owner->data() + 1, DType::f32, {2});
  owner.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(tensor.as<float>()[1], 3.0f);
  tensor = Tensor();
  EXPECT_TRUE(watch.expired());
  float memory[2] = {4, 5};
  Tensor borrowed = Tensor::borrow(memory, DType::f32, {2});
  borrowed.as<float>()[0] = 6;
  EXPECT_EQ(memory[0], 6.0f);
  EXPECT_EQ(error_of([] { Tensor::borrow(nullptr, DType::f32, {2}); }).code(), ErrorCode::invalid_argument);
}

TEST(Tensor, TooLargeIsAnErrorWithTheBytes) {
  const Error error = error_of([] { Tensor(DType::f32, {int64_t{1} << 58}); });
  EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  EXPECT_NE(std::string(error.what()).find("1152921504606846976 bytes"), std::string::npos) << error.what();
  EXPECT_EQ(error_of([] { Tensor(DType::f32, {int64_t{1} << 62}); }).code(), ErrorCode::shape);
  EXPECT_EQ(error_of([] { Tensor(DType::f32, {-1}); }).code(), ErrorCode::shape);
  float memory = 0;
  EXPECT_EQ(error_of([&] { Tensor::borrow(&memory, DType::f32, {int64_t{1} << 62}); }).code(), ErrorCode::shape);
}

template <class To, class From>
To cast_one(From value) {
  return Tensor::scalar(value).cast(dtype_v<To>).template as<To>()[0];
}

TEST(Tensor, CastToIntegersTruncatesAndSaturates) {
  EXPECT_EQ(cast_one<int32_t>(-2.9f), -2);
  EXPECT_EQ(cast_one<int32_t>(3e9f), INT32_MAX);
  EXPECT_EQ(cast_one<int32_t>(-3e9f), INT32_MIN);
  EXPECT_EQ(cast_one<int32_t>(-2147483648.0), INT32_MIN);
  EXPECT_EQ(cast_one<int32_t>(-2147483648.5), INT32_MIN);
  EXPECT_EQ(cast_one<int64_t>(std::numeric_limits<double>::infinity()), INT64_MAX);
  EXPECT_EQ(cast_one<int64_t>(0x1p62), int64_t{1} << 62);
  EXPECT_EQ(cast_one<int8_t>(std::numeric_limits<float>::quiet_NaN()), 0);
  EXPECT_EQ(cast_one<int8_t>(-128.5f), -128);
  EXPECT_EQ(cast_one<uint8_t>(-0.5f), 0);
  EXPECT_EQ(cast_one<uint8_t>(-5.0f), 0);
  EXPECT_EQ(cast_one<uint8_t>(255.9f), 255);
  EXPECT_EQ(cast_one<uint64_t>(1e30), UINT64_MAX);
  EXPECT_EQ(cast_one<uint8_t>(int32_t{257}), 1);
  EXPECT_EQ(cast_one<bool>(0.25f), true);
  EXPECT_EQ(cast_one<bool>(int32_t{256}), true);
  EXPECT_EQ(cast_one<bool>(-0.0), false);
  EXPECT_EQ(cast_one<float>(true), 1.0f);
}

TEST(Tensor, CastToHalfRoundsOnce) {
  // Just above a tie: by way of f32 the excess is lost and the tie goes to even, which is the wrong neighbour.
  EXPECT_EQ(cast_one<f16>(1.0 + 0x1p-11 + 0x1p-40).bits, 0x3c01);
  EXPECT_EQ(cast_one<f16>(1.0 + 0x1p-11).bits, 0x3c00);
  EXPECT_EQ(cast_one<f16>(1.0 + 0x1p-11 - 0x1p-40).bits, 0x3c00);
  EXPECT_EQ(cast_one<f16>(1.0 + 3 * 0x1p-11 - 0x1p-40).bits, 0x3c01);
  EXPECT_EQ(cast_one<bf16>(-1.0 - 0x1p-8 - 0x1p-40).bits, 0xbf81);
  EXPECT_EQ(cast_one<bf16>(0x1.ffp127 - 0x1p80).bits, 0x7f7f);
  EXPECT_EQ(cast_one<bf16>(0x1.ffp127).bits, 0x7f80);
  EXPECT_EQ(cast_one<bf16>(1e300).bits, 0x7f80);
  EXPECT_EQ(cast_one<f16>(1e-300).bits, 0x0000);
  EXPECT_EQ(cast_one<bf16>(1e-300).bits, 0x0000);
  EXPECT_EQ(cast_one<f16>(65519.99999999).bits, 0x7bff);
  EXPECT_EQ(cast_one<bf16>((int64_t{1} << 62) + (int64_t{1} << 54) + 1).bits, to_bf16(0x1.02p62f).bits);
  EXPECT_EQ(cast_one<bf16>((int64_t{1} << 62) + (int64_t{1} << 54)).bits, to_bf16(0x1p62f).bits);
  EXPECT_EQ(cast_one<bf16>(INT64_MIN).bits, to_bf16(-0x1p63f).bits);
  EXPECT_EQ(cast_one<f16>(int32_t{-3}).bits, to_f16(-3.0f).bits);
  EXPECT_TRUE(std::isnan(to_f32(cast_one<bf16>(std::nan("")))));
  EXPECT_EQ(cast_one<double>(f16{0x3555}), 0.333251953125);
}

TEST(Tensor, CastOfComplex) {
  EXPECT_EQ(cast_one<std::complex<float>>(int32_t{3}), std::complex<float>(3, 0));
  EXPECT_EQ(cast_one<std::complex<double>>(std::complex<float>(1, -2)), std::complex<double>(1, -2));
  EXPECT_EQ(cast_one<std::complex<float>>(bf16{0x3f80}), std::complex<float>(1, 0));
  const Tensor z = Tensor::scalar(std::complex<double>(1, 2));
  for (const DType dtype : {DType::f64, DType::f32, DType::boolean, DType::i32}) {
    EXPECT_EQ(error_of([&] { z.cast(dtype); }).code(), ErrorCode::dtype);
  }
}

TEST(Tensor, CastBetweenAllPairsKeepsSmallIntegers) {
  for (int from = 0; from < kDTypeCount; ++from) {
    for (int to = 0; to < kDTypeCount; ++to) {
      const auto a = static_cast<DType>(from), b = static_cast<DType>(to);
      if (is_complex(a) && !is_complex(b)) continue;
      const Tensor one = Tensor::full(a, {3}, 1.0);
      EXPECT_TRUE(one.cast(b).identical(Tensor::full(b, {3}, 1.0))) << name_of(a) << " to " << name_of(b);
    }
  }
}

}  // namespace
}  // namespace gregale
