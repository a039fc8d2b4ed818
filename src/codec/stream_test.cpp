// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/expect_error_for_tests.hpp"
#include "gregale/codec.hpp"

namespace gregale {
namespace {

/// A smooth field with a coast, gaps and oddities.
Tensor field(Extents extents, double missing) {
  Tensor t(DType::f32, std::move(extents));
  auto v = t.as<float>();
  for (size_t i = 0; i < v.size(); ++i) {
    const double x = static_cast<double>(i);
    v[i] = static_cast<float>(20 * std::sin(x / 17) + 5 * std::cos(x / 131) + 0.1 * std::sin(x * x));
    if (i / 29 % 7 == 3) v[i] = static_cast<float>(missing);
  }
  return t;
}

void expect_same_bits(const Tensor& a, const Tensor& b) { EXPECT_TRUE(a.identical(b)); }

TEST(Stream, GivesEveryBitBackWhereThatIsAsked) {
  for (const Extents& e :
       {Extents{}, Extents{1}, Extents{0}, Extents{3, 0, 2}, Extents{7, 11}, Extents{2, 3, 2, 5, 3, 2}}) {
    const Tensor src = field(e, -999);
    const Encoded encoded = encode(src, ErrorContract::lossless());
    expect_same_bits(decode(encoded.bytes), src);
    EXPECT_EQ(encoded.certificate.max_error, 0);
    EXPECT_EQ(describe(encoded.bytes).extents, e);
  }
  Tensor integers(DType::i16, {1000});
  for (size_t i = 0; i < 1000; ++i) integers.as<int16_t>()[i] = static_cast<int16_t>(i * i);
  expect_same_bits(decode(encode(integers, ErrorContract::lossless()).bytes), integers);
}

TEST(Stream, StaysWithinItsBoundAndSaysSo) {
  const Tensor src = field({40, 50, 60}, -999);
  for (const double bound : {1.0, 1e-2, 1e-4, 1e-6}) {
    ErrorContract contract = ErrorContract::relative(bound);
    contract.missing = {-999};
    const Encoded encoded = encode(src, contract);
    const Tensor decoded = decode(encoded.bytes);
    double greatest = 0;
    for (int64_t i = 0; i < src.size(); ++i) {
      const float a = src.as<float>()[static_cast<size_t>(i)], b = decoded.as<float>()[static_cast<size_t>(i)];
      if (a == -999)
        EXPECT_EQ(b, -999);
      else
        greatest = std::max(greatest, std::abs(static_cast<double>(a) - static_cast<double>(b)));
    }
    EXPECT_EQ(greatest, encoded.certificate.max_error);
    EXPECT_LE(greatest, encoded.certificate.bound);
    EXPECT_NEAR(encoded.certificate.bound, bound * 50, 10 * bound);
  }
}

TEST(Stream, NoValueBecomesOneThatMeansNoData) {
  const Tensor src = field({40, 50, 60}, 0);  // and the field crosses zero
  ErrorContract contract = ErrorContract::absolute(0.5);
  contract.missing = {0};
  for (const std::string& name : codec_names()) {
    EncodeOptions options;
    options.codec = name;
    const Tensor decoded = decode(encode(src, contract, options).bytes);
    for (size_t i = 0; i < static_cast<size_t>(src.size()); ++i)
      ASSERT_EQ(decoded.as<float>()[i] == 0, src.as<float>()[i] == 0) << name << " " << i;
  }
}

TEST(Stream, UsesTheCodecThatIsAskedForAndEachPays) {
  const Tensor src = field({64, 50, 60}, 0);
  for (const std::string& name : codec_names()) {
    EncodeOptions options;
    options.codec = name;
    const Encoded encoded = encode(src, ErrorContract::relative(2e-2), options);
    EXPECT_EQ(encoded.certificate.codec, name == "auto" ? "predictive" : name);
    EXPECT_GT(encoded.certificate.ratio(), name == "exact" ? 1 : 3) << name;
    EXPECT_EQ(static_cast<int64_t>(encoded.bytes.size()), encoded.certificate.bytes_out);
  }
  EncodeOptions unknown;
  unknown.codec = "zip";
  expect_error(ErrorCode::invalid_argument, "no codec is called 'zip'",
               [&] { encode(src, ErrorContract::relative(1e-2), unknown); });
  EXPECT_EQ(encode(src, {ErrorContract::Kind::unbiased, 0.5}).certificate.codec, "quantize");
}

TEST(Stream, LeavesTheProofToWhoAsksForIt) {
  const Tensor src = field({30, 80, 90}, -999);
  ErrorContract contract = ErrorContract::relative(1e-3);
  contract.missing = {-999};
  const Encoded proven = encode(src, contract);
  EncodeOptions options;
  options.verify = false;
  const Encoded encoded = encode(src, contract, options);
  EXPECT_EQ(encoded.bytes, proven.bytes);
  EXPECT_EQ(encoded.certificate.hash, 0U);
  EXPECT_EQ(encoded.certificate.valid, proven.certificate.valid);
  EXPECT_EQ(encoded.certificate.range, proven.certificate.range);
  EXPECT_NE(proven.certificate.hash, 0U);
  // A root mean square is only known afterwards.
  contract = {ErrorContract::Kind::rms, 0.01};
  EXPECT_NE(encode(src, contract, options).certificate.hash, 0U);
}

TEST(Stream, WorksInMemoryThatIsThere) {
  const auto workspace = make_codec_workspace();
  EncodeOptions options;
  DecodeOptions decoding;
  options.workspace = decoding.workspace = workspace.get();
  Tensor target(DType::f32, {30, 80, 90});
  for (const double bound : {1e-2, 1e-4, 1e-3}) {
    const Tensor src = field({30, 80, 90}, bound);
    const Encoded encoded = encode(src, ErrorContract::relative(bound), options);
    EXPECT_EQ(encoded.bytes, encode(src, ErrorContract::relative(bound)).bytes);
    decode_into(encoded.bytes, target, decoding);
    expect_same_bits(target, decode(encoded.bytes));
  }
  Tensor other(DType::f32, {30, 90, 80});
  expect_error(ErrorCode::corrupt_data, "not f32 of [30, 90, 80]",
               [&] { decode_into(encode(target, ErrorContract::relative(0.1)).bytes, other); });
}

TEST(Stream, NamesTheBlockAndTheByteOfWhatIsCorrupt) {
  const Encoded encoded = encode(field({64, 50, 60}, -999), ErrorContract::relative(1e-3));
  const StreamInfo info = describe(encoded.bytes);
  ASSERT_GE(info.blocks.size(), 2U);
  std::vector<std::byte> bad = encoded.bytes;
  bad[static_cast<size_t>(info.blocks[1].offset) + 3] ^= std::byte{4};
  expect_error(ErrorCode::corrupt_data, "[decode] block 1 at byte " + std::to_string(info.blocks[1].offset),
               [&] { decode(bad); });
  for (size_t cut = 0; cut < encoded.bytes.size(); cut += 1 + cut / 7)
    expect_error(ErrorCode::corrupt_data, "byte ", [&] { decode(std::span(encoded.bytes).first(cut)); });
}

}  // namespace
}  // namespace gregale
