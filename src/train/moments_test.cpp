// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/moments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/random.hpp"

namespace gregale::train {
namespace {

using testing::HasSubstr;

/// Moments as training leaves them: v over `decades` decades around `middle`, m within a few roots of v, a tenth of the
/// places never touched.
VariableValues state(int64_t count, double decades, double middle = 1e-8) {
  VariableValues s;
  Tensor w(DType::f32, {count}), m(DType::f32, {count}), v(DType::f32, {count});
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const RandomKey key{4, 0, static_cast<uint32_t>(i)};
    w.as<float>()[i] = random_normal(key, 0);
    if (i % 10 == 3) continue;
    const double second = middle * std::pow(10, decades * (random_uniform(key, 1) - 0.5));
    v.as<float>()[i] = static_cast<float>(second);
    m.as<float>()[i] = static_cast<float>(0.3 * std::sqrt(second) * static_cast<double>(random_normal(key, 2)));
  }
  s["w"] = w;
  s["ema/w"] = w.clone();
  s["adam/m/w"] = m;
  s["adam/v/w"] = v;
  s["step"] = Tensor::scalar(int64_t{12});
  return s;
}

double number(const Tensor& t, size_t i) { return static_cast<double>(t.as<float>()[i]); }

TEST(Moments, KeepTheirContractAtEveryPoint) {
  for (const double decades : {0.5, 4.0, 16.0})
    for (const double bound : {1e-5, 1e-3, 1e-2, 0.3}) {
      const VariableValues before = state(5000, decades);
      VariableValues after = before;
      const MomentsCertificate c = pack_moments(after, bound);
      EXPECT_EQ(c.tensors, 2);
      EXPECT_EQ(after.count("adam/v/w"), c.exact > 0 ? 1U : 0U);
      unpack_moments(after);
      ASSERT_EQ(after.size(), before.size());
      for (const char* name : {"w", "ema/w", "step"}) EXPECT_TRUE(after.at(name).identical(before.at(name))) << name;
      const Tensor &m = before.at("adam/m/w"), &v = before.at("adam/v/w");
      double first = 0, second = 0;
      for (size_t i = 0; i < 5000; ++i) {
        const double new_v = number(after.at("adam/v/w"), i), new_m = number(after.at("adam/m/w"), i);
        if (number(v, i) == 0) {
          EXPECT_EQ(new_v, 0);
          EXPECT_EQ(new_m, 0);
          continue;
        }
        ASSERT_GE(new_v, 0);
        const double scale = std::sqrt(number(v, i));
        first = std::max(first, std::abs(new_m - number(m, i)) / scale);
        second = std::max(second, std::abs(std::sqrt(new_v) - scale) / scale);
      }
      EXPECT_LE(first, bound);
      EXPECT_LE(second, bound);
      EXPECT_DOUBLE_EQ(first, c.first_error);
      EXPECT_DOUBLE_EQ(second, c.second_error);
      if (bound < 1e-3) continue;
      EXPECT_EQ(c.exact, 0);
      EXPECT_GT(first, bound / 4) << "nothing was gained from the bound";
      EXPECT_GT(second, bound / 4);
      EXPECT_LT(2 * c.bytes_out, c.bytes_in);
    }
}

TEST(Moments, OfFewerBitsAreLessExact) {
  int64_t before = INT64_MAX;
  for (const double bound : {1e-4, 1e-3, 1e-2, 1e-1}) {
    VariableValues s = state(20000, 6);
    const int64_t bytes = pack_moments(s, bound).bytes_out;
    EXPECT_LT(bytes, before);
    before = bytes;
  }
}

TEST(Moments, StayExactWhereTheyMust) {
  const auto expect_exact = [](VariableValues s, const char* why) {
    const VariableValues before = s;
    const MomentsCertificate c = pack_moments(s, 1e-2);
    EXPECT_EQ(c.exact, c.tensors) << why;
    EXPECT_EQ(c.bytes_in, c.bytes_out) << why;
    unpack_moments(s);
    ASSERT_EQ(s.size(), before.size());
    for (const auto& [name, t] : before) EXPECT_TRUE(t.identical(s.at(name))) << why << " " << name;
  };
  expect_exact(state(3, 2), "a stream would be longer");
  VariableValues s = state(1000, 2);
  s["adam/v/w"].as<float>()[5] = NAN;
  expect_exact(s, "no number");
  s = state(1000, 2);
  s["adam/v/w"].as<float>()[5] = -1e-9F;
  expect_exact(s, "no square");
  s = state(1000, 2);
  s["adam/m/w"].as<float>()[3] = 1e-3F;  // v is zero there
  expect_exact(s, "an update without bound");
  s = state(1000, 2);
  s.erase("adam/m/w");
  expect_exact(s, "one of two");

  // Squares that are hardly numbers: they are compressed, as exactly as f32 can tell.
  VariableValues tiny = state(1000, 4, 1e-43);
  EXPECT_EQ(pack_moments(tiny, 1e-2).exact, 0);
}

TEST(Moments, WhatWasNotWrittenIsRefused) {
  VariableValues packed = state(1000, 2);
  pack_moments(packed, 1e-2);
  const auto refusal = [](VariableValues s) -> std::string {
    try {
      unpack_moments(s);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::corrupt_data) << e.what();
      return e.what();
    }
    return "none";
  };
  EXPECT_EQ(refusal(packed), "none");
  VariableValues s = packed;
  s.erase("packed/adam/m/w");
  EXPECT_THAT(refusal(s), HasSubstr("no 'packed/adam/m/w'"));
  s = packed;
  s.erase("packed/adam/v/w");
  EXPECT_THAT(refusal(s), HasSubstr("'packed/adam/m/w' belongs to nothing"));
  s = packed;
  s.erase("w");
  EXPECT_THAT(refusal(s), HasSubstr("no such parameter"));
  for (const Extents& extents : {Extents{999}, Extents{10, 100}, Extents{2000}}) {
    s = packed;
    s["w"] = Tensor(DType::f32, extents);
    EXPECT_NE(refusal(s), "none");
  }
  s = packed;
  s["packed/adam/v/w"] = Tensor(DType::f32, {10});
  EXPECT_THAT(refusal(s), HasSubstr("no stream of bytes"));
  s = packed;
  s["packed/adam/v/w"] = Tensor(DType::u8, {10});
  EXPECT_NE(refusal(s), "none");
  for (const double bound : {0.0, 1e-6, 0.6, -1.0, static_cast<double>(NAN)}) {
    s = state(10, 2);
    EXPECT_THROW(pack_moments(s, bound), Error) << bound;
  }
}

}  // namespace
}  // namespace gregale::train
