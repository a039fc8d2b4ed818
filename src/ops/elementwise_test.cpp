// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/graphs_for_tests.hpp"

// What the tests of every operator (tests/registry) do not cover: refusals, broadcasting, NaN, integers, edges.
namespace gregale::ops {
namespace {

using ::testing::ElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Type f32(Shape shape) { return Type(DType::f32, std::move(shape)); }

Tensor apply2(Value (*op)(Graph&, Value, Value), const Tensor& a, const Tensor& b) {
  return evaluate({a, b}, [&](Graph& g, const std::vector<Value>& x) { return op(g, x[0], x[1]); });
}

Tensor apply1(Value (*op)(Graph&, Value), const Tensor& x) {
  return evaluate({x}, [&](Graph& g, const std::vector<Value>& v) { return op(g, v[0]); });
}

TEST(Elementwise, RefusesWrongDtypes) {
  Graph g;
  const Value i = g.add_input("i", Type(DType::i64, {3}));
  const Value x = g.add_input("x", f32({3}));
  const Value b = g.add_input("b", Type(DType::boolean, {3}));
  const Value z = g.add_input("z", Type(DType::c64, {3}));
  EXPECT_ERROR(sigmoid(g, i), "[sigmoid] x has dtype i64; expected a real float");
  EXPECT_ERROR(exp(g, z), "[exp] x has dtype c64; expected a real float");
  EXPECT_ERROR(neg(g, b), "[neg] x has dtype bool; expected a number");
  EXPECT_ERROR(add(g, x, i), "[add] a is f32 but b is i64");
  EXPECT_ERROR(div(g, b, b), "[div] a has dtype bool; expected a number");
  EXPECT_ERROR(bitwise_and(g, x, x), "[bitwise_and] a has dtype f32; expected an integer");
  EXPECT_ERROR(less(g, z, z), "[less] a has dtype c64; expected a real number");
  EXPECT_ERROR(less(g, b, b), "[less] a has dtype bool; expected a real number");
  EXPECT_ERROR(select(g, x, x, x), "[select] condition has dtype f32; expected bool");
  EXPECT_ERROR(select(g, b, x, i), "[select] a is f32 but b is i64");
  EXPECT_ERROR(logical_and(g, b, i), "[logical_and] b has dtype i64; expected bool");
  EXPECT_ERROR(real(g, x), "[real] z has dtype f32; expected a complex float");
  EXPECT_ERROR(cast(g, z, DType::f32), "[cast] c64 to f32: take real, imag or abs instead");
  EXPECT_ERROR(softshrink(g, x, -1), "[softshrink] lambda is -1; it must be at least 0");
}

TEST(Elementwise, BroadcastsShapesAndKeepsSymbols) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", f32({n, 1, 5}));
  const Value y = g.add_input("y", f32({4, 1}));
  EXPECT_EQ(g.type(add(g, x, y)), f32({n, 4, 5}));
  EXPECT_EQ(g.type(less(g, y, x)), Type(DType::boolean, {n, 4, 5}));
  EXPECT_EQ(g.type(gelu(g, x)), f32({n, 1, 5}));
  EXPECT_EQ(g.type(mul(g, x, 2.0)), f32({n, 1, 5}));
  const Value z = g.add_input("z", f32({3, 5}));
  EXPECT_ERROR(add(g, y, z), "[add]");
}

TEST(Elementwise, GradientsOfBroadcastOperandsKeepSymbols) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", f32({n, 4})), b = g.add_input("b", f32({4})), one = g.add_input("s", f32({n, 1}));
  const Value y = mul(g, x, b), d = g.add_input("d", f32({n, 4}));
  const Type x_type = g.type(x), b_type = g.type(b), one_type = g.type(one);
  EXPECT_EQ(g.type(pull_back(g, y, d, 0)), x_type);
  EXPECT_EQ(g.type(pull_back(g, y, d, 1)), b_type);
  EXPECT_EQ(g.type(pull_back(g, add(g, one, b), d, 0)), one_type);
}

TEST(Elementwise, PropagatesNan) {
  const Tensor x = Tensor::from<double>({kNan, -1, 0, 2}, {4});
  EXPECT_TRUE(std::isnan(values_of<double>(apply1(relu, x))[0]));
  EXPECT_EQ(values_of<double>(apply1(relu, x))[1], 0);
  EXPECT_TRUE(std::isnan(values_of<double>(apply1(sign, x))[0]));
  EXPECT_THAT(values_of<bool>(apply1(is_nan, x)), ElementsAre(true, false, false, false));
  const Tensor y = Tensor::from<double>({1, kNan, 0, kNan}, {4});
  for (auto* op : {maximum, minimum}) {
    const auto v = values_of<double>(apply2(op, x, y));
    EXPECT_TRUE(std::isnan(v[0]) && std::isnan(v[1]) && v[2] == 0 && std::isnan(v[3]));
  }
  EXPECT_THAT(values_of<bool>(apply2(equal, x, x)), ElementsAre(false, true, true, true));
  EXPECT_THAT(values_of<bool>(apply2(not_equal, x, x)), ElementsAre(true, false, false, false));
  EXPECT_THAT(values_of<bool>(apply2(less_equal, x, y)), ElementsAre(false, false, true, false));
  const Tensor shrunk = evaluate({x}, [](Graph& g, const std::vector<Value>& v) { return softshrink(g, v[0], 0.5); });
  EXPECT_TRUE(std::isnan(values_of<double>(shrunk)[0]));
  EXPECT_EQ(values_of<double>(shrunk)[3], 1.5);
}

TEST(Elementwise, SelectIgnoresWhatIsNotSelected) {
  const Tensor condition = Tensor::from<int64_t>({1, 0}, {2}).cast(DType::boolean);
  const Tensor a = Tensor::from<double>({1, kNan}, {2}), b = Tensor::from<double>({kInf, 4}, {2});
  const Tensor y =
      evaluate({condition, a, b}, [](Graph& g, const std::vector<Value>& v) { return select(g, v[0], v[1], v[2]); });
  EXPECT_THAT(values_of<double>(y), ElementsAre(1, 4));
}

TEST(Elementwise, ComputesWithIntegers) {
  constexpr int64_t kMax = INT64_MAX;
  const Tensor a = Tensor::from<int64_t>({7, -7, kMax}, {3}), b = Tensor::from<int64_t>({2, 3, 1}, {3});
  EXPECT_THAT(values_of<int64_t>(apply2(add, a, b)), ElementsAre(9, -4, INT64_MIN));
  EXPECT_THAT(values_of<int64_t>(apply2(sub, a, b)), ElementsAre(5, -10, kMax - 1));
  EXPECT_THAT(values_of<int64_t>(apply2(mul, a, b)), ElementsAre(14, -21, kMax));
  EXPECT_THAT(values_of<int64_t>(apply2(maximum, a, b)), ElementsAre(7, 3, kMax));
  EXPECT_THAT(values_of<int64_t>(apply2(minimum, a, b)), ElementsAre(2, -7, 1));
  EXPECT_THAT(values_of<int64_t>(apply1(abs, a)), ElementsAre(7, 7, kMax));
  EXPECT_THAT(values_of<int64_t>(apply1(sign, a)), ElementsAre(1, -1, 1));
  // Above 2^53 a detour through f64 would lose the difference.
  EXPECT_THAT(values_of<bool>(apply2(less, Tensor::scalar(kMax - 1), Tensor::scalar(kMax))), ElementsAre(true));
  const Tensor big = Tensor::from<uint64_t>({UINT64_MAX, 5}, {2}), small = Tensor::from<uint64_t>({3, 9}, {2});
  EXPECT_THAT(values_of<uint64_t>(apply2(maximum, big, small)), ElementsAre(UINT64_MAX, 9u));
  EXPECT_THAT(values_of<bool>(apply2(greater, big, small)), ElementsAre(true, false));
  const Tensor bytes = Tensor::from<uint8_t>({250, 3}, {2}), ten = Tensor::from<uint8_t>({10}, {1});
  EXPECT_THAT(values_of<uint8_t>(apply2(add, bytes, ten)), ElementsAre(4, 13));
}

TEST(Elementwise, CastsAsDocumented) {
  const auto to = [](const Tensor& x, DType dtype) {
    return evaluate({x}, [&](Graph& g, const std::vector<Value>& v) { return cast(g, v[0], dtype); });
  };
  const Tensor x = Tensor::from<double>({2.9, -2.9, kNan, 1e300, 0}, {5});
  EXPECT_THAT(values_of<int64_t>(to(x, DType::i64)), ElementsAre(2, -2, INT64_MIN, INT64_MIN, 0));
  EXPECT_THAT(values_of<bool>(to(x, DType::boolean)), ElementsAre(true, true, true, true, false));
  EXPECT_THAT(values_of<uint8_t>(to(Tensor::from<int64_t>({257, -1}, {2}), DType::u8)), ElementsAre(1, 255));
  EXPECT_THAT(values_of<double>(to(Tensor::scalar(UINT64_MAX), DType::f64)), ElementsAre(0x1p64));
  EXPECT_EQ(values_of<std::complex<double>>(to(Tensor::scalar(2.0), DType::c128))[0], std::complex<double>(2, 0));
}

TEST(Elementwise, TiesShareTheCotangent) {
  const Tensor a = Tensor::from<double>({1, 2, 3}, {3}), b = Tensor::from<double>({1, 3, 2}, {3});
  const Tensor d = Tensor::from<double>({4, 4, 4}, {3});
  for (int64_t i : {0, 1}) {
    const Tensor d_x = evaluate({a, b, d}, [&](Graph& g, const std::vector<Value>& v) {
      return pull_back(g, maximum(g, v[0], v[1]), v[2], i);
    });
    EXPECT_THAT(values_of<double>(d_x), i == 0 ? ElementsAre(2, 0, 4) : ElementsAre(2, 4, 0));
  }
}

TEST(Elementwise, GradientsAreFiniteAtTheEdges) {
  const Tensor base = Tensor::from<double>({0, 0, -2}, {3}), power = Tensor::from<double>({0, 2, 2}, {3});
  const Tensor d = Tensor::full(DType::f64, {3}, 1);
  const auto slope = [&](int64_t i) {
    return values_of<double>(evaluate({base, power, d}, [&](Graph& g, const std::vector<Value>& v) {
      return pull_back(g, pow(g, v[0], v[1]), v[2], i);
    }));
  };
  EXPECT_THAT(slope(0), ElementsAre(0, 0, -4));
  EXPECT_THAT(slope(1), ElementsAre(0, 0, 0));
  using Complex = std::complex<double>;
  const Tensor z = Tensor::from<Complex>({{0, 0}, {3, 4}}, {2}), d_abs = Tensor::from<double>({1, 5}, {2});
  const Tensor d_z =
      evaluate({z, d_abs}, [](Graph& g, const std::vector<Value>& v) { return pull_back(g, abs(g, v[0]), v[1], 0); });
  EXPECT_EQ(values_of<Complex>(d_z)[0], Complex(0, 0));
  EXPECT_NEAR(std::abs(values_of<Complex>(d_z)[1] - Complex(3, 4)), 0, 1e-15);
}

TEST(Elementwise, BroadcastsToAndSumsBack) {
  const Tensor x = Tensor::from<double>({1, 2, 3}, {3, 1});
  const Tensor wide = evaluate({x}, [](Graph& g, const std::vector<Value>& v) {
    return broadcast_to(g, v[0], Shape{2, 3, 2});
  });
  EXPECT_THAT(values_of<double>(wide), ElementsAre(1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3));
  const Tensor back = evaluate({wide}, [](Graph& g, const std::vector<Value>& v) {
    return sum_to(g, v[0], Shape{3, 1});
  });
  EXPECT_THAT(values_of<double>(back), ElementsAre(4, 8, 12));
  Graph g;
  const Value v = g.add_input("x", f32({3, 1}));
  EXPECT_ERROR(broadcast_to(g, v, Shape{2, 4}), "[broadcast_to] [3, 1] does not broadcast to [2, 4]");
  EXPECT_ERROR(sum_to(g, v, Shape{2, 1}), "[sum_to] [2, 1] does not broadcast to [3, 1]");
  EXPECT_ERROR(broadcast_to(g, v, Shape{Dim::symbol("n"), 3, 1}), "[broadcast_to] the shape is symbolic");
}

}  // namespace
}  // namespace gregale::ops
