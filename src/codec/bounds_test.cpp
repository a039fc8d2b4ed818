// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "codec/bounds_for_tests.hpp"

namespace gregale::codec {
namespace {

// A slice of the long run (tests/codec/bounds.sh).
TEST(Bounds, AreKeptByEveryCodecWhateverItIsGiven) {
  BoundsCases cases(1);
  for (uint64_t i = 0; i < 1500; ++i) {
    const BoundsCase c = cases.make(i);
    EncodeOptions options;
    options.codec = c.codec;
    const Encoded encoded = encode(c.src, c.contract, options);
    const std::string wrong = BoundsCases::check(c, decode(encoded.bytes), &encoded.certificate);
    ASSERT_EQ(wrong, "") << c.words;
  }
}

TEST(Bounds, ACheckThatNoticesWhatIsWrong) {
  BoundsCases cases(2);
  BoundsCase c = cases.make(0);
  for (uint64_t i = 1;
       c.src.dtype() != DType::f32 || c.src.size() < 100 || c.contract.kind != ErrorContract::Kind::abs_max; ++i)
    c = cases.make(i);
  Tensor decoded = decode(encode(c.src, c.contract).bytes);
  EXPECT_EQ(BoundsCases::check(c, decoded, nullptr), "");
  const auto values = decoded.as<float>();
  for (float& v : values)
    if (std::isfinite(v)) v += static_cast<float>(4 * c.contract.bound) + std::abs(v) * 1e-3F + 1e-30F;
  EXPECT_NE(BoundsCases::check(c, decoded, nullptr), "");
}

}  // namespace
}  // namespace gregale::codec
