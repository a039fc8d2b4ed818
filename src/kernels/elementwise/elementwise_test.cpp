// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise/elementwise.hpp"

#include <algorithm>

#include "kernels/kernels_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::isas;
using testing::on_all_teams;
using testing::randoms;
using testing::ulps;

struct Map {
  UnaryOp op;
  const char* name;
  double (*exact)(double);
  float low, high;
  double tolerance;  // ulp
};

const Map kMaps[] = {
    {UnaryOp::exp, "exp", [](double x) { return std::exp(x); }, -87, 89, 2},
    {UnaryOp::log, "log", [](double x) { return std::log(x); }, 1e-3f, 4, 2},
    {UnaryOp::tanh, "tanh", [](double x) { return std::tanh(x); }, -10, 10, 3},
    {UnaryOp::tanh, "tanh", [](double x) { return std::tanh(x); }, -0.7f, 0.7f, 3},
    {UnaryOp::sigmoid, "sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, -87, 20, 3},
    {UnaryOp::silu, "silu", [](double x) { return x / (1 + std::exp(-x)); }, -91, 20, 4},
    {UnaryOp::erf, "erf", [](double x) { return std::erf(x); }, -5, 5, 3},
    {UnaryOp::erf, "erf", [](double x) { return std::erf(x); }, -1e-3f, 1e-3f, 3},
    {UnaryOp::gelu, "gelu", [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -2, 20, 6},
    {UnaryOp::gelu, "gelu", [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }, -12, -2, 80},
    {UnaryOp::sin, "sin", [](double x) { return std::sin(x); }, -9999, 9999, 4},
    {UnaryOp::cos, "cos", [](double x) { return std::cos(x); }, -9999, 9999, 4},
    {UnaryOp::sin, "sin", [](double x) { return std::sin(x); }, -4, 4, 2},
    {UnaryOp::cos, "cos", [](double x) { return std::cos(x); }, -1e6f, 1e6f, 4},
    {UnaryOp::rsqrt, "rsqrt", [](double x) { return 1 / std::sqrt(x); }, 1e-6f, 1e6f, 2},
    {UnaryOp::sqrt, "sqrt", [](double x) { return std::sqrt(x); }, 0, 1e6f, 0.51},
    {UnaryOp::reciprocal, "reciprocal", [](double x) { return 1 / x; }, -100, 100, 0.51},
    {UnaryOp::square, "square", [](double x) { return x * x; }, -100, 100, 0.51},
    {UnaryOp::neg, "neg", [](double x) { return -x; }, -100, 100, 0},
    {UnaryOp::abs, "abs", [](double x) { return std::fabs(x); }, -100, 100, 0},
    {UnaryOp::sign, "sign", [](double x) { return x > 0   ? 1.0
                                                  : x < 0 ? -1.0
                                                          : 0.0; }, -1, 1, 0},
    {UnaryOp::relu, "relu", [](double x) { return x > 0 ? x : 0.0; }, -1, 1, 0},
    {UnaryOp::softshrink, "softshrink", [](double x) { return x > 0.25    ? x - 0.25
                                                              : x < -0.25 ? x + 0.25
                                                                          : 0.0; }, -1,
     1, 0.51},
    {UnaryOp::add_scalar, "add_scalar", [](double x) { return x + 0.25; }, -1, 1, 0.51},
    {UnaryOp::mul_scalar, "mul_scalar", [](double x) { return x * 0.25; }, -1, 1, 0.51},
};

TEST(Elementwise, UnaryMapsStayWithinTheirUlps) {
  for (Isa isa : isas()) {
    for (const Map& map : kMaps) {
      const auto src = randoms(70001, 1, map.low, map.high);
      const auto got = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> dst(src.size());
        unary_f32(isa, team, map.op, static_cast<int64_t>(src.size()), src.data(), dst.data(), 0.25f);
        return dst;
      });
      double worst = 0;
      float where = 0;
      for (size_t i = 0; i < src.size(); ++i) {
        const double off = ulps(got[i], map.exact(src[i]));
        if (off > worst) {
          worst = off;
          where = src[i];
        }
      }
      EXPECT_LE(worst, map.tolerance * (isa == Isa::reference && map.low == -12 ? 4 : 1))
          << to_string(isa) << " " << map.name << "(" << where << ")";
    }
  }
}

TEST(Elementwise, LogOfEveryMagnitude) {
  auto team = make_thread_team(1, TeamKind::caller);
  std::vector<float> src;
  for (int e = -149; e < 128; ++e)
    for (int j = 0; j < 8; ++j) src.push_back(std::min(std::ldexp(1 + 0.13f * static_cast<float>(j), e), 3e38f));
  for (Isa isa : isas()) {
    std::vector<float> dst(src.size());
    unary_f32(isa, *team, UnaryOp::log, static_cast<int64_t>(src.size()), src.data(), dst.data());
    for (size_t i = 0; i < src.size(); ++i) EXPECT_LE(ulps(dst[i], std::log(static_cast<double>(src[i]))), 2) << src[i];
  }
}

TEST(Elementwise, SpecialValues) {
  auto team = make_thread_team(1, TeamKind::caller);
  const float inf = INFINITY;
  struct Special {
    UnaryOp op;
    float x, y;
  };
  const Special specials[] = {
      {UnaryOp::exp, 89.0f, inf},   {UnaryOp::exp, inf, inf},      {UnaryOp::exp, -inf, 0},
      {UnaryOp::exp, -200, 0},      {UnaryOp::exp, 0, 1},          {UnaryOp::log, 0, -inf},
      {UnaryOp::log, -0.0f, -inf},  {UnaryOp::log, inf, inf},      {UnaryOp::log, 1, 0},
      {UnaryOp::log, -1, NAN},      {UnaryOp::log, -inf, NAN},     {UnaryOp::tanh, inf, 1},
      {UnaryOp::tanh, -inf, -1},    {UnaryOp::tanh, -0.0f, -0.0f}, {UnaryOp::sigmoid, inf, 1},
      {UnaryOp::sigmoid, -inf, 0},  {UnaryOp::erf, inf, 1},        {UnaryOp::erf, -inf, -1},
      {UnaryOp::gelu, inf, inf},    {UnaryOp::gelu, -inf, -0.0f},  {UnaryOp::silu, inf, inf},
      {UnaryOp::silu, -inf, -0.0f}, {UnaryOp::sin, inf, NAN},      {UnaryOp::cos, -inf, NAN},
      {UnaryOp::sin, -0.0f, -0.0f}, {UnaryOp::cos, 0, 1},          {UnaryOp::sqrt, -1, NAN},
      {UnaryOp::relu, -inf, 0},     {UnaryOp::rsqrt, 0, inf},      {UnaryOp::gelu, 1e30f, 1e30f},
      {UnaryOp::silu, 1e30f, 1e30f}};
  for (Isa isa : isas()) {
    for (const Special& s : specials) {
      float y = 7;
      unary_f32(isa, *team, s.op, 1, &s.x, &y, 0.5f);
      if (std::isnan(s.y)) {
        EXPECT_TRUE(std::isnan(y)) << static_cast<int>(s.op) << "(" << s.x << ") = " << y;
      } else {
        EXPECT_EQ(y, s.y) << static_cast<int>(s.op) << "(" << s.x << ")";
        EXPECT_EQ(std::signbit(y), std::signbit(s.y)) << static_cast<int>(s.op) << "(" << s.x << ")";
      }
    }
    for (int op = 0; op <= static_cast<int>(UnaryOp::mul_scalar); ++op) {
      const float x = NAN;
      float y = 7;
      unary_f32(isa, *team, static_cast<UnaryOp>(op), 1, &x, &y, 0.5f);
      EXPECT_TRUE(std::isnan(y)) << op;
    }
    // Denormal results of exp.
    const float x = -100;
    float y = 0;
    unary_f32(isa, *team, UnaryOp::exp, 1, &x, &y);
    EXPECT_NEAR(y, std::exp(-100.0), 1.5e-45);
  }
}

/// f64 of an element of an operand at a flat index of the result.
double element(const std::vector<float>& x, const std::vector<int64_t>& extents, const int64_t* strides, int64_t flat) {
  int64_t at = 0;
  for (int i = static_cast<int>(extents.size()) - 1; i >= 0; --i) {
    at += flat % extents[static_cast<size_t>(i)] * strides[i];
    flat /= extents[static_cast<size_t>(i)];
  }
  return x[static_cast<size_t>(at)];
}

TEST(Elementwise, BinaryBroadcasts) {
  struct Shapes {
    std::vector<int64_t> a, b, out;
  };
  const Shapes shapes[] = {{{}, {}, {}},
                           {{5, 7}, {5, 7}, {5, 7}},
                           {{5, 7}, {7}, {5, 7}},
                           {{3, 5, 7}, {5, 1}, {3, 5, 7}},
                           {{3, 1, 7}, {5, 1}, {3, 5, 7}},
                           {{4, 1}, {1, 33}, {4, 33}},
                           {{0, 3}, {3}, {0, 3}},
                           {{2, 3, 40000}, {3, 1}, {2, 3, 40000}},
                           {{1}, {70000}, {70000}}};
  for (Isa isa : isas()) {
    for (const Shapes& s : shapes) {
      int64_t size = 1, a_size = 1, b_size = 1;
      for (int64_t e : s.out) size *= e;
      for (int64_t e : s.a) a_size *= e;
      for (int64_t e : s.b) b_size *= e;
      const auto a = randoms(a_size, 2, 0.1f, 2), b = randoms(b_size, 3, 0.1f, 2);
      int64_t sa[kMaxRank], sb[kMaxRank];
      const int rank = static_cast<int>(s.out.size());
      ASSERT_TRUE(broadcast_strides(static_cast<int>(s.a.size()), s.a.data(), rank, s.out.data(), sa));
      ASSERT_TRUE(broadcast_strides(static_cast<int>(s.b.size()), s.b.data(), rank, s.out.data(), sb));
      for (int op = 0; op <= static_cast<int>(BinaryOp::pow); ++op) {
        const auto got = on_all_teams([&](ThreadTeam& team) {
          std::vector<float> dst(static_cast<size_t>(size));
          binary_f32(isa, team, static_cast<BinaryOp>(op), rank, s.out.data(), a.data(), sa, b.data(), sb, dst.data());
          return dst;
        });
        for (int64_t i = 0; i<size; i += size> 1000 ? 97 : 1) {
          const double x = element(a, s.out, sa, i), y = element(b, s.out, sb, i);
          const double exact[] = {x + y, x - y, x * y, x / y, std::max(x, y), std::min(x, y), std::pow(x, y)};
          ASSERT_LE(ulps(got[static_cast<size_t>(i)], exact[op]), op == 6 ? 1 : 0.51) << op;
        }
      }
      for (int op = 0; op <= static_cast<int>(CompareOp::greater_equal); ++op) {
        const auto got = on_all_teams([&](ThreadTeam& team) {
          std::vector<uint8_t> dst(static_cast<size_t>(size));
          compare_f32(isa, team, static_cast<CompareOp>(op), rank, s.out.data(), a.data(), sa, b.data(), sb,
                      dst.data());
          return dst;
        });
        for (int64_t i = 0; i<size; i += size> 1000 ? 97 : 1) {
          const double x = element(a, s.out, sa, i), y = element(b, s.out, sb, i);
          const bool exact[] = {x == y, x != y, x<y, x <= y, x> y, x >= y};
          ASSERT_EQ(got[static_cast<size_t>(i)], exact[op] ? 1 : 0);
        }
      }
    }
  }
  int64_t strides[kMaxRank];
  const int64_t three[] = {3}, four[] = {4};
  EXPECT_FALSE(broadcast_strides(1, three, 1, four, strides));
}

TEST(Elementwise, StridedOperandsSelectAndComplex) {
  const int64_t extents[] = {37, 41};
  const int64_t transposed[] = {1, 37}, dense[] = {41, 1}, row[] = {0, 1}, column[] = {1, 0};
  const auto a = randoms(37 * 41, 4), b = randoms(37 * 41, 5);
  std::vector<uint8_t> condition(37 * 41);
  for (size_t i = 0; i < condition.size(); ++i) condition[i] = static_cast<uint8_t>(i % 3 == 0 ? 0 : i % 7);
  for (Isa isa : isas()) {
    const auto sum = on_all_teams([&](ThreadTeam& team) {
      std::vector<float> dst(37 * 41);
      binary_f32(isa, team, BinaryOp::add, 2, extents, a.data(), transposed, b.data(), dense, dst.data());
      return dst;
    });
    for (size_t i = 0; i < 37; ++i)
      for (size_t j = 0; j < 41; ++j) ASSERT_EQ(sum[i * 41 + j], a[j * 37 + i] + b[i * 41 + j]);
    for (const int64_t* c_strides : {dense, row, column, transposed}) {
      const auto got = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> dst(37 * 41);
        select_f32(isa, team, 2, extents, condition.data(), c_strides, a.data(), transposed, b.data(), row, dst.data());
        return dst;
      });
      const auto got_dense = on_all_teams([&](ThreadTeam& team) {
        std::vector<float> dst(37 * 41);
        select_f32(isa, team, 2, extents, condition.data(), c_strides, a.data(), dense, b.data(), column, dst.data());
        return dst;
      });
      for (int64_t i = 0; i < 37; ++i)
        for (int64_t j = 0; j < 41; ++j) {
          const bool c = condition[static_cast<size_t>(i * c_strides[0] + j * c_strides[1])] != 0;
          const auto at = static_cast<size_t>(i * 41 + j);
          ASSERT_EQ(got[at], c ? a[static_cast<size_t>(j * 37 + i)] : b[static_cast<size_t>(j)]);
          ASSERT_EQ(got_dense[at], c ? a[at] : b[static_cast<size_t>(i)]);
        }
    }
    auto team = make_thread_team(1, TeamKind::caller);
    const int64_t n[] = {50}, one[] = {1}, zero[] = {0};
    std::vector<float> z(100), re(50), im(50);
    binary_c64(isa, *team, ComplexOp::mul, 1, n, a.data(), one, b.data(), zero, z.data());
    complex_split(isa, *team, 50, z.data(), re.data(), im.data());
    for (size_t i = 0; i < 50; ++i) {
      const double x = a[2 * i], y = a[2 * i + 1], u = b[0], v = b[1];
      EXPECT_LE(ulps(re[i], x * u - y * v), 0.51);
      EXPECT_LE(ulps(im[i], x * v + y * u), 0.51);
    }
    std::vector<float> joined(100);
    complex_join(isa, *team, 50, re.data(), im.data(), joined.data());
    EXPECT_EQ(joined, z);
  }
}

TEST(Elementwise, CastsEqualTheScalarOnes) {
  auto src = randoms(1003, 6, -70000, 70000);
  for (float x :
       {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3.4e38f, 65519.0f, 65520.0f, 1e-8f, 1.00390625f, 9.3e18f})
    src.push_back(x);
  const auto n = static_cast<int64_t>(src.size());
  auto team = make_thread_team(2, TeamKind::std_thread);
  for (Isa isa : isas()) {
    std::vector<bf16> b(src.size());
    std::vector<f16> h(src.size());
    std::vector<double> d(src.size());
    std::vector<int64_t> l(src.size());
    std::vector<uint8_t> t(src.size());
    std::vector<float> back(src.size());
    cast(isa, *team, DType::f32, DType::bf16, n, src.data(), b.data());
    cast(isa, *team, DType::f32, DType::f16, n, src.data(), h.data());
    cast(isa, *team, DType::f32, DType::f64, n, src.data(), d.data());
    cast(isa, *team, DType::f32, DType::i64, n, src.data(), l.data());
    cast(isa, *team, DType::f32, DType::boolean, n, src.data(), t.data());
    for (size_t i = 0; i < src.size(); ++i) {
      EXPECT_EQ(b[i], to_bf16(src[i])) << src[i];
      EXPECT_EQ(h[i], to_f16(src[i])) << src[i];
      if (!std::isnan(src[i])) {
        EXPECT_EQ(d[i], static_cast<double>(src[i]));
      }
      EXPECT_EQ(l[i], std::fabs(src[i]) < 1e18f ? static_cast<int64_t>(src[i]) : INT64_MIN);
      EXPECT_EQ(t[i], src[i] != 0 ? 1 : 0);
    }
    cast(isa, *team, DType::bf16, DType::f32, n, b.data(), back.data());
    for (size_t i = 0; i < src.size(); ++i) {
      if (!std::isnan(src[i])) {
        EXPECT_EQ(back[i], to_f32(b[i]));
      }
    }
    cast(isa, *team, DType::f16, DType::f32, n, h.data(), back.data());
    for (size_t i = 0; i < src.size(); ++i) {
      if (!std::isnan(src[i])) {
        EXPECT_EQ(back[i], to_f32(h[i]));
      }
    }
    cast(isa, *team, DType::f64, DType::f32, n - 1, d.data(), back.data());
    cast(isa, *team, DType::i64, DType::f32, n, l.data(), back.data());
    for (size_t i = 0; i < src.size(); ++i) EXPECT_EQ(back[i], static_cast<float>(l[i]));
    cast(isa, *team, DType::boolean, DType::f32, n, t.data(), back.data());
    for (size_t i = 0; i < src.size(); ++i) EXPECT_EQ(back[i], t[i] != 0 ? 1.0f : 0.0f);
  }
  EXPECT_FALSE(cast_supported(DType::f64, DType::i64));
}

TEST(Elementwise, AdamFollowsItsFormula) {
  AdamStep options;
  options.learning_rate = 1e-3f;
  options.step = 3;
  options.scale = 0.5f;
  options.weight_decay = 0.1;
  const int64_t n = 40011;
  const auto p = randoms(n, 7), m = randoms(n, 8, -0.1f, 0.1f), v = randoms(n, 9, 0, 0.1f), g = randoms(n, 10);
  for (Isa isa : isas()) {
    const auto got = on_all_teams([&](ThreadTeam& team) {
      auto all = p;
      all.insert(all.end(), m.begin(), m.end());
      all.insert(all.end(), v.begin(), v.end());
      float* q = all.data();
      adam_update_f32(isa, team, options, n, q, q + n, q + 2 * n, g.data(), q, q + n, q + 2 * n);
      return all;
    });
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const double s = 0.5 * g[i], m1 = 0.9 * m[i] + 0.1 * s, v1 = 0.999 * v[i] + 0.001 * s * s;
      const double update =
          m1 / (1 - std::pow(0.9, 3)) / (std::sqrt(v1 / (1 - std::pow(0.999, 3))) + 1e-8) + 0.1 * p[i];
      ASSERT_NEAR(got[i], p[i] - 1e-3 * update, 1e-7);
      ASSERT_NEAR(got[i + static_cast<size_t>(n)], m1, 3e-8);
      ASSERT_NEAR(got[i + 2 * static_cast<size_t>(n)], v1, 1e-8);
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
