// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "hdf5/chunk.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/expect_error_for_tests.hpp"

namespace gregale::hdf5 {
namespace {

ChunkParameters some_parameters() {
  ChunkParameters p;
  p.dtype = DType::f64;
  p.swapped = true;
  p.chunk = {3, 4, 5};
  p.contract = ErrorContract::absolute(0.1);
  p.contract.keep_zeros = true;
  p.contract.missing = {-999, std::nan(""), 1e300};
  p.valid_low = -5.5;
  return p;
}

TEST(ChunkParameters, AreWholeInTheNumbersThatHdf5Keeps) {
  const ChunkParameters p = some_parameters();
  const std::vector<unsigned> numbers = p.numbers();
  EXPECT_TRUE(ChunkParameters::is_complete(numbers));
  const ChunkParameters q = ChunkParameters::parse(numbers);
  EXPECT_EQ(q.numbers(), numbers);
  EXPECT_EQ(q.dtype, DType::f64);
  EXPECT_TRUE(q.swapped);
  EXPECT_EQ(q.chunk, p.chunk);
  EXPECT_EQ(q.bytes(), 480);
  EXPECT_EQ(q.contract.kind, ErrorContract::Kind::abs_max);
  EXPECT_EQ(q.contract.bound, 0.1);
  EXPECT_TRUE(q.contract.keep_zeros);
  EXPECT_EQ(q.contract.missing[2], 1e300);
  EXPECT_EQ(q.valid_low, -5.5);
  EXPECT_TRUE(std::isinf(q.valid_high));
}

TEST(ChunkParameters, RefuseWhatTheyCannotBe) {
  const std::vector<unsigned> good = some_parameters().numbers();
  for (size_t length = 0; length < good.size(); ++length)
    expect_error(ErrorCode::corrupt_data, "parameters", [&] { ChunkParameters::parse({good.data(), length}); });
  const auto changed = [&](size_t at, unsigned number) {
    std::vector<unsigned> bad = good;
    bad[at] = number;
    return bad;
  };
  for (const auto& change : std::vector<std::pair<size_t, unsigned>>{
           {0, 1}, {1, 99}, {1, 99U << 16}, {8, 0}, {8, 33}, {9, 0}, {9, 0xffffffff}, {10, 0xffffffff}, {12, 0xffff}})
    expect_error(ErrorCode::corrupt_data, "parameters",
                 [&] { ChunkParameters::parse(changed(change.first, change.second)); });
  std::vector<unsigned> longer = good;
  longer.push_back(0);
  expect_error(ErrorCode::corrupt_data, "follows", [&] { ChunkParameters::parse(longer); });
}

TEST(ChunkParameters, OfUsersAreKindDigitsExponent) {
  const auto request = [](std::vector<unsigned> numbers) { return parse_request(numbers); };
  EXPECT_EQ(request({}).kind, ErrorContract::Kind::exact);
  EXPECT_EQ(request({0}).kind, ErrorContract::Kind::exact);
  EXPECT_EQ(request({1, 5, 3}).kind, ErrorContract::Kind::abs_max);
  EXPECT_EQ(request({1, 5, 3}).bound, 5e-3);
  EXPECT_EQ(request({2, 1, 4}).kind, ErrorContract::Kind::rel_max);
  EXPECT_EQ(request({1, 300, 0}).bound, 300);
  for (const std::vector<unsigned>& bad :
       {std::vector<unsigned>{1}, {1, 5}, {9, 1, 1}, {1, 0, 3}, {1, 1, 400}, {1, 2, 3, 4}})
    expect_error(ErrorCode::invalid_argument, "the filter", [&] { request(bad); });
}

TEST(Chunk, IsPaddedAndCropped) {
  const Tensor part = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {1, 2, 3});
  Tensor whole(DType::f32, {2, 3, 4});
  pad_chunk(part, whole.extents(), {static_cast<std::byte*>(whole.data()), 96});
  EXPECT_TRUE(whole.identical(
      Tensor::from<float>({1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {2, 3, 4})));
  EXPECT_TRUE(crop(whole, {1, 2, 3}).identical(part));
  EXPECT_TRUE(crop(whole, {2, 3, 4}).identical(whole));
  expect_error(ErrorCode::corrupt_data, "dimension 2", [&] { crop(whole, {1, 2, 5}); });
}

TEST(Chunk, ComesBackFromItsStreamAndNoOther) {
  ChunkParameters p;
  p.chunk = {4, 5};
  p.contract = ErrorContract::absolute(0.5);
  p.contract.missing = {-999};
  p.valid_low = 0;  // what is decompressed below would be no data any more
  p.valid_high = 9.25;
  Tensor values(DType::f32, {3, 5});
  for (size_t i = 0; i < 15; ++i)
    values.as<float>()[i] = i == 7 ? -999.0F : std::min(0.01F * static_cast<float>(i * i * i), 9.25F);
  const Encoded encoded = encode_chunk(values, p);
  const Tensor decoded = decode_chunk(encoded.bytes, p);
  for (size_t i = 0; i < 15; ++i) {
    const float x = values.as<float>()[i], y = decoded.as<float>()[i];
    EXPECT_LE(std::abs(x - y), 0.5);
    EXPECT_TRUE(y == -999 ? i == 7 : y >= 0 && y <= 9.25F) << i << " " << y;
  }
  ChunkParameters other = p;
  other.chunk = {2, 5};
  expect_error(ErrorCode::corrupt_data, "more values", [&] { decode_chunk(encoded.bytes, other); });
  other.chunk = {20, 2};
  expect_error(ErrorCode::corrupt_data, "not a chunk", [&] { decode_chunk(encoded.bytes, other); });
  other = p;
  other.dtype = DType::f64;
  expect_error(ErrorCode::corrupt_data, "not a chunk", [&] { decode_chunk(encoded.bytes, other); });
}

}  // namespace
}  // namespace gregale::hdf5
