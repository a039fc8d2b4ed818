// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "passes/simplify_for_tests.hpp"

namespace gregale::passes {
namespace {

using namespace ops;
const Type kHalf(DType::f16, Shape{4, 3});

#define RETURN(expression) [](Graph& g, const Operands& x) { return Operands{expression}; }

/// Element 0 of the first constant that is left.
double constant_left(const Graph& g) {
  for (const Node& node : g.nodes())
    if (node.op->name == kConstantOp)
      return std::get<Tensor>(node.attributes.at("value")).cast(DType::f64).as<double>()[0];
  return NAN;
}

TEST(SimplifyAlgebra, Signs) {
  becomes("sub", {kReal, kReal}, RETURN(add(g, x[0], neg(g, x[1]))));
  becomes("sub", {kReal, kReal}, RETURN(add(g, neg(g, x[0]), x[1])));
  becomes("add", {kComplex, kComplex}, RETURN(sub(g, x[0], neg(g, x[1]))));
  becomes("sub", {kReal, kReal}, RETURN(neg(g, sub(g, x[0], x[1]))));
  becomes("mul", {kReal, kReal}, RETURN(mul(g, neg(g, x[0]), neg(g, x[1]))));
  becomes("div", {kReal, kReal}, RETURN(div(g, neg(g, x[0]), neg(g, x[1]))));
  becomes("neg", {kReal}, RETURN(mul(g, x[0], -1.0)));
  becomes("mul", {kReal}, RETURN(neg(g, mul(g, x[0], 0.3))));
  stays({kReal, kReal}, RETURN(sub(g, neg(g, x[0]), x[1])));
  stays({kComplex}, RETURN(mul(g, x[0], scalar(g, DType::c128, -1))));
}

TEST(SimplifyAlgebra, Distributive) {
  becomes("add,mul", {kReal, kReal, kReal}, RETURN(add(g, mul(g, x[0], x[2]), mul(g, x[1], x[2]))));
  becomes("sub,mul", {kReal, kReal, kReal}, RETURN(sub(g, mul(g, x[2], x[0]), mul(g, x[1], x[2]))));
  becomes("add,div", {kReal, kReal}, RETURN(add(g, div(g, x[0], x[1]), div(g, x[1], x[1]))));
  becomes("add,mul", {kInteger, kInteger, kInteger}, RETURN(add(g, mul(g, x[0], x[2]), mul(g, x[1], x[2]))));
  becomes("add,mul", {kComplex, kComplex, kComplex}, RETURN(add(g, mul(g, x[0], x[2]), mul(g, x[1], x[2]))));
  stays({kReal, kReal, kReal}, RETURN(add(g, div(g, x[2], x[0]), div(g, x[2], x[1]))));
  stays({kHalf, kHalf, kHalf}, RETURN(add(g, mul(g, x[0], x[2]), mul(g, x[1], x[2]))));
  // Both products are needed anyway.
  stays({kReal, kReal, kReal}, [](Graph& g, const Operands& x) {
    const Value a = mul(g, x[0], x[2]), b = mul(g, x[1], x[2]);
    return Operands{a, b, add(g, a, b)};
  });
}

TEST(SimplifyAlgebra, Doubles) {
  becomes("mul", {kReal}, RETURN(add(g, x[0], x[0])));
  becomes("square", {kReal}, RETURN(mul(g, x[0], x[0])));
  becomes("square", {kInteger}, RETURN(mul(g, x[0], x[0])));
  stays({kComplex}, RETURN(mul(g, x[0], x[0])));
  stays({kComplex}, RETURN(add(g, x[0], x[0])));
}

TEST(SimplifyAlgebra, Inverses) {
  becomes("div", {kReal, kReal}, RETURN(mul(g, reciprocal(g, x[0]), x[1])));
  becomes("div", {kReal, kReal}, RETURN(mul(g, x[1], reciprocal(g, x[0]))));
  becomes("mul", {kReal, kReal}, RETURN(div(g, x[1], reciprocal(g, x[0]))));
  becomes("reciprocal", {kReal}, RETURN(div(g, scalar(g, DType::f64, 1), x[0])));
  becomes("exp,rsqrt", {kReal}, RETURN(reciprocal(g, sqrt(g, exp(g, x[0])))));
  becomes("exp,sqrt", {kReal}, RETURN(reciprocal(g, rsqrt(g, exp(g, x[0])))));
  // The reciprocal is needed anyway, and the product costs no more than the quotient.
  stays({kReal, kReal}, [](Graph& g, const Operands& x) {
    const Value r = reciprocal(g, x[0]);
    return Operands{r, mul(g, r, x[1])};
  });
  stays({kReal}, [](Graph& g, const Operands& x) {
    const Value root = sqrt(g, exp(g, x[0]));
    return Operands{root, reciprocal(g, root)};
  });
}

TEST(SimplifyAlgebra, Exponentials) {
  becomes("add,exp", {kReal, kReal}, RETURN(mul(g, exp(g, x[0]), exp(g, x[1]))));
  becomes("sub,exp", {kReal, kReal}, RETURN(div(g, exp(g, x[0]), exp(g, x[1]))));
  stays({kReal, kReal}, [](Graph& g, const Operands& x) {
    const Value a = exp(g, x[0]);
    return Operands{a, mul(g, a, exp(g, x[1]))};
  });
  // A row and a matrix: as many bytes as before and more exponentials than the row has.
  stays({kReal, kRow}, [](Graph& g, const Operands& x) {
    const Value a = exp(g, x[0]);
    return Operands{a, mul(g, a, exp(g, x[1]))};
  });
}

TEST(SimplifyAlgebra, Powers) {
  becomes("square", {kReal}, RETURN(pow(g, x[0], scalar(g, DType::f64, 2))));
  becomes("", {kReal}, RETURN(pow(g, x[0], scalar(g, DType::f64, 1))));
  becomes("reciprocal", {kReal}, RETURN(pow(g, x[0], scalar(g, DType::f64, -1))));
  becomes("exp,sqrt", {kReal}, RETURN(pow(g, exp(g, x[0]), scalar(g, DType::f64, 0.5))));
  becomes("square,mean,add,rsqrt", {kReal},
          RETURN(pow(g, add(g, mean(g, square(g, x[0]), {1}), 1e-5), scalar(g, DType::f64, -0.5))));
  stays({kReal}, RETURN(pow(g, exp(g, x[0]), scalar(g, DType::f64, 3))));
  // sqrt(-inf) is NaN, the power is not: x may be anything.
  stays({kReal}, RETURN(pow(g, x[0], scalar(g, DType::f64, 0.5))));
  stays({kReal}, RETURN(pow(g, add(g, square(g, x[0]), -0.5), scalar(g, DType::f64, 0.5))));
}

TEST(SimplifyAlgebra, MaximumWithZero) {
  becomes("relu", {kReal}, RETURN(maximum(g, x[0], scalar(g, DType::f64, 0))));
  becomes("relu", {kReal}, RETURN(maximum(g, scalar(g, DType::f64, 0), x[0])));
  stays({kReal}, RETURN(minimum(g, x[0], scalar(g, DType::f64, 0))));
  stays({kReal}, RETURN(maximum(g, x[0], scalar(g, DType::f64, 1))));
  stays({kInteger}, RETURN(maximum(g, x[0], scalar(g, DType::i64, 0))));
  const double inf = std::numeric_limits<double>::infinity();
  const Graph g = program({kRow}, RETURN(maximum(g, x[0], scalar(g, DType::f64, 0))));
  const Tensor special = Tensor::from<double>({NAN, -inf, inf}, {3});
  EXPECT_TRUE(std::isnan(interpret(simplify(g), {special})[0].as<double>()[0]));
}

TEST(SimplifyAlgebra, SumsOfScaledValues) {
  becomes("sum,mul", {kReal}, RETURN(sum(g, mul(g, x[0], 0.3), {1})));
  becomes("mean,mul", {kReal}, RETURN(mean(g, div(g, x[0], scalar(g, DType::f64, 3)))));
  becomes("sum,neg", {kReal}, RETURN(sum(g, neg(g, x[0]))));
  becomes("sum_to,mul", {kReal}, RETURN(sum_to(g, mul(g, x[0], 0.3), Shape{3})));
  becomes("max,mul", {kReal}, RETURN(max(g, mul(g, x[0], 0.3), {0})));
  becomes("sum,mul", {kInteger}, RETURN(sum(g, mul(g, x[0], scalar(g, DType::i64, 3)), {1})));
  stays({kReal}, RETURN(max(g, mul(g, x[0], -0.3), {0})));
  stays({kReal}, RETURN(max(g, neg(g, x[0]), {0})));
  stays({kReal}, RETURN(sum(g, mul(g, x[0], 1e-30), {1})));  // one or the other might underflow
  stays({kReal, kReal}, RETURN(sum(g, mul(g, x[0], x[1]), {1})));
  stays({kReal}, [](Graph& g, const Operands& x) {
    const Value scaled = mul(g, x[0], 0.3);
    return Operands{scaled, sum(g, scaled, {1})};
  });
}

TEST(SimplifyConstants, Factors) {
  becomes("mul", {kReal}, RETURN(mul(g, mul(g, x[0], 0.3), 0.5)));
  becomes("mul", {kReal}, RETURN(mul(g, scalar(g, DType::f64, 5), neg(g, x[0]))));
  becomes("mul", {kReal}, RETURN(div(g, mul(g, scalar(g, DType::f64, 3), x[0]), scalar(g, DType::f64, 7))));
  becomes("", {kReal}, RETURN(mul(g, mul(g, x[0], 0.25), 4.0)));
  becomes("mul", {kInteger}, RETURN(mul(g, mul(g, x[0], scalar(g, DType::i64, 3)), scalar(g, DType::i64, -7))));
  becomes("mul", {kReal}, RETURN(mul(g, mul(g, x[0], g.constant(Tensor::from<double>({1, 2, 3}, {3}))), 0.3)));
  const Graph g = program({kReal}, RETURN(mul(g, mul(g, x[0], 0.3), 0.5)));
  EXPECT_EQ(constant_left(simplify(g)), 0.15);
  // A scale, a bias, the next scale.
  becomes("mul,add", {kReal}, RETURN(div(g, add(g, mul(g, x[0], 0.3), 0.5), scalar(g, DType::f64, 7))));
  becomes("mul,add", {kReal},
          RETURN(mul(g, add(g, mul(g, x[0], g.constant(Tensor::from<double>({1, 2, 3}, {3}))), 0.5), 0.3)));
  stays({kReal}, [](Graph& g, const Operands& x) {
    const Value line = add(g, mul(g, x[0], 0.3), 0.5);
    return Operands{line, mul(g, line, 7.0)};
  });
  // The product of the constants would underflow where one after the other need not.
  stays({kReal}, RETURN(mul(g, mul(g, x[0], 1e200), 1e-200)));
  stays({kHalf}, RETURN(mul(g, mul(g, x[0], 0.3), 0.5)));
  stays({kReal}, [](Graph& g, const Operands& x) {
    const Value once = mul(g, x[0], 0.3);
    return Operands{once, mul(g, once, 0.5)};
  });
}

TEST(SimplifyConstants, Shifts) {
  becomes("add", {kReal}, RETURN(add(g, add(g, x[0], 0.3), 0.5)));
  becomes("sub", {kReal}, RETURN(sub(g, scalar(g, DType::f64, 1), add(g, x[0], -0.5))));
  becomes("add", {kReal}, RETURN(sub(g, scalar(g, DType::f64, 3), sub(g, scalar(g, DType::f64, 1), x[0]))));
  becomes("sub", {kReal}, RETURN(add(g, sub(g, scalar(g, DType::f64, 3), x[0]), 1.0)));
  becomes("add", {kReal}, RETURN(sub(g, sub(g, x[0], scalar(g, DType::f64, 3)), scalar(g, DType::f64, 1))));
  becomes("add", {kReal}, RETURN(add(g, add(g, x[0], g.constant(Tensor::from<double>({1, 2, 3}, {3}))), 0.5)));
  becomes("", {kInteger}, RETURN(sub(g, add(g, x[0], scalar(g, DType::i64, 5)), scalar(g, DType::i64, 5))));
  // Rounding on purpose: what is left of x after 2^52 was added is its whole part.
  stays({kReal}, RETURN(sub(g, add(g, x[0], 0x1p52), scalar(g, DType::f64, 0x1p52))));
  stays({kReal}, RETURN(add(g, add(g, x[0], 1.0), -0.99)));
}

TEST(SimplifyConstants, OperandsNotBroadcast) {
  becomes("add", {kReal, kRow}, RETURN(add(g, x[0], broadcast_to(g, x[1], Shape{4, 3}))));
  becomes("mul", {kReal}, RETURN(mul(g, x[0], g.constant(Tensor::full(DType::f64, {4, 3}, 0.3)))));
  becomes("select", {Type(DType::boolean, Shape{4, 3}), kReal, kRow},
          RETURN(select(g, x[0], x[1], broadcast_to(g, x[2], Shape{4, 3}))));
  const Graph g = program({kReal}, RETURN(mul(g, x[0], g.constant(Tensor::full(DType::f64, {4, 3}, 0.3)))));
  EXPECT_EQ(burden_of(simplify(g)).bytes, 8 * (12 + 1 + 12));
  stays({kRow, kRow}, RETURN(add(g, x[0], broadcast_to(g, x[1], Shape{4, 3}))));
  stays({kRow}, RETURN(mul(g, x[0], g.constant(Tensor::full(DType::f64, {4, 3}, 0.3)))));
  // Zeros of two signs are not one value.
  stays({kRow}, RETURN(maximum(g, x[0], g.constant(Tensor::from<double>({0.0, -0.0, 1}, {3})))));
}

TEST(Simplify, RoundsDoNotWorkAgainstEachOther) {
  // Both reshapes could go on by themselves, each counting on the other to leave tanh to it.
  const Graph g = program({kReal}, [](Graph& g, const Operands& x) {
    const Value a = neg(g, x[0]), t = tanh(g, reshape(g, a, Shape{2, 6})), b = reshape(g, t, Shape{4, 3});
    return Operands{a, b, reshape(g, b, Shape{12})};
  });
  const Graph simple = simplified(g);
  EXPECT_EQ(ops_of(simple), "neg,tanh,reshape");
}

}  // namespace
}  // namespace gregale::passes
