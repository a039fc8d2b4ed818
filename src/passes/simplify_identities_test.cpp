// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/op.hpp"
#include "passes/simplify_for_tests.hpp"

namespace gregale::passes {
namespace {

using namespace ops;
const Type kNarrow(DType::bf16, Shape{4, 3}), kFloat(DType::f32, Shape{4, 3});

#define RETURN(expression) [](Graph& g, const Operands& x) { return Operands{expression}; }

Value cast_node(Graph& g, Value x, DType dtype) { return g.add1(standard_ops().at("cast"), {x}, {{"dtype", dtype}}); }

Value whole(Graph& g, Value x) { return cast(g, round(g, x), DType::i32, true); }
Value seven(Graph& g) { return scalar(g, DType::i32, 7); }

TEST(SimplifyIdentities, NeutralElements) {
  becomes("", {kReal}, RETURN(add(g, x[0], 0.0)));
  becomes("", {kReal}, RETURN(add(g, scalar(g, DType::f64, 0), x[0])));
  becomes("", {kReal}, RETURN(sub(g, x[0], scalar(g, DType::f64, 0))));
  becomes("", {kReal}, RETURN(mul(g, x[0], 1.0)));
  becomes("", {kReal}, RETURN(mul(g, g.constant(Tensor::full(DType::f64, {4, 3}, 1)), x[0])));
  becomes("", {kReal}, RETURN(div(g, x[0], scalar(g, DType::f64, 1))));
  becomes("", {kInteger}, RETURN(add(g, mul(g, x[0], scalar(g, DType::i64, 1)), scalar(g, DType::i64, 0))));
  becomes("", {kComplex}, RETURN(mul(g, x[0], scalar(g, DType::c128, 1))));
  // 0 x is not 0 where x is infinite or NaN, x - x neither; 0 - x and 1 / x are no identities.
  stays({kReal}, RETURN(mul(g, x[0], 0.0)));
  stays({kReal}, RETURN(sub(g, x[0], x[0])));
  stays({kReal}, RETURN(sub(g, scalar(g, DType::f64, 0), x[0])));
  // The constant makes the result larger.
  stays({kRow}, RETURN(mul(g, x[0], g.constant(Tensor::full(DType::f64, {4, 3}, 1)))));
  // Not all elements are 1, or NaN is among them.
  stays({kRow}, RETURN(mul(g, x[0], g.constant(Tensor::from<double>({1, 1, 2}, {3})))));
  stays({kRow}, RETURN(mul(g, x[0], g.constant(Tensor::from<double>({1, NAN, 1}, {3})))));
}

TEST(SimplifyIdentities, InversesOfThemselves) {
  becomes("", {kReal}, RETURN(neg(g, neg(g, x[0]))));
  becomes("", {kComplex}, RETURN(conj(g, conj(g, x[0]))));
  becomes("", {Type(DType::boolean, Shape{4})}, RETURN(logical_not(g, logical_not(g, x[0]))));
  becomes("", {kReal}, RETURN(reverse(g, reverse(g, x[0], {1}), {-1})));
  stays({kReal}, RETURN(reverse(g, reverse(g, x[0], {1}), {0})));
}

TEST(SimplifyIdentities, PartsOfComplexNumbers) {
  becomes("", {kReal, kReal}, RETURN(real(g, complex(g, x[0], x[1]))));
  becomes("", {kReal, kReal}, RETURN(imag(g, complex(g, x[0], x[1]))));
  becomes("broadcast_to", {kReal, kRow}, RETURN(imag(g, complex(g, x[0], x[1]))));
  becomes("", {kReal}, RETURN(real(g, cast(g, x[0], DType::c128))));
  becomes("", {kComplex}, RETURN(complex(g, real(g, x[0]), imag(g, x[0]))));
  stays({kComplex}, RETURN(complex(g, imag(g, x[0]), real(g, x[0]))));
  stays({kComplex, kComplex}, RETURN(complex(g, real(g, x[0]), imag(g, x[1]))));
}

TEST(SimplifyIdentities, NothingMoves) {
  becomes("", {kReal}, RETURN(reshape(g, x[0], Shape{4, 3})));
  becomes("", {kReal}, RETURN(g.add1(standard_ops().at("broadcast_to"), {x[0]}, {{"shape", Extents{4, 3}}})));
  becomes("", {kReal}, RETURN(g.add1(standard_ops().at("sum_to"), {x[0]}, {{"shape", Extents{4, 3}}})));
  becomes("", {kReal}, RETURN(slice(g, x[0], {0, -3}, {4, 3})));
  becomes("", {kReal}, RETURN(pad(g, x[0], {0, 0}, {0, 0})));
  becomes("", {kReal}, RETURN(concat(g, {x[0]}, 0)));
  becomes("", {kReal}, RETURN(stop_gradient(g, x[0])));
  becomes("reshape", {kReal}, RETURN(broadcast_to(g, x[0], Shape{1, 4, 3})));
  becomes("reshape", {Type(DType::f64, Shape{1, 4, 3})}, RETURN(sum_to(g, x[0], Shape{4, 3})));
  becomes("reshape", {Type(DType::f64, Shape{4, 1, 3})}, RETURN(reverse(g, transpose(g, x[0], {1, 0, 2}), {0})));
  stays({kReal}, RETURN(slice(g, x[0], {0, 1}, {4, 3})));
  stays({kReal}, RETURN(pad(g, x[0], {0, 0}, {0, 1})));
  stays({kRow}, RETURN(broadcast_to(g, x[0], Shape{4, 3})));
  stays({kReal}, RETURN(reverse(g, x[0], {0})));
}

TEST(SimplifyIdentities, ReductionsOverExtentsOfOne) {
  const Type type(DType::f64, Shape{4, 1, 3, 1});
  becomes("reshape", {type}, RETURN(sum(g, x[0], {1, -1})));
  becomes("reshape", {type}, RETURN(mean(g, x[0], {1})));
  becomes("reshape", {type}, RETURN(max(g, x[0], {3})));
  becomes("", {type}, RETURN(min(g, x[0], {1}, true)));
  stays({type}, RETURN(sum(g, x[0], {1, 2})));
}

TEST(SimplifyIdentities, Casts) {
  // Whoever made the integers knew that they hold every value.
  becomes("round", {kFloat}, RETURN(cast(g, cast(g, round(g, x[0]), DType::i32, true), DType::f32)));
  stays({kFloat}, RETURN(cast(g, cast(g, round(g, x[0]), DType::i32), DType::f32)));
  becomes("round,add", {kFloat}, RETURN(cast(g, add(g, whole(g, x[0]), seven(g)), DType::f32)));
  becomes("round,round,reshape,add", {kFloat, Type(DType::f32, Shape{3})},
          RETURN(cast(g, add(g, whole(g, x[0]), reshape(g, whole(g, x[1]), Shape{1, 3})), DType::f32)));
  // f32 does not hold the constant, and the sum is read as i32.
  stays({kFloat}, RETURN(cast(g, add(g, whole(g, x[0]), scalar(g, DType::i32, (1 << 24) + 1)), DType::f32)));
  stays({kFloat}, RETURN(add(g, whole(g, x[0]), seven(g))));
  becomes("", {kReal}, RETURN(cast_node(g, x[0], DType::f64)));
  becomes("", {kFloat}, RETURN(cast(g, cast(g, x[0], DType::f64), DType::f32)));
  becomes("", {kNarrow}, RETURN(cast(g, cast(g, x[0], DType::f32), DType::bf16)));
  becomes("", {Type(DType::c64, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::c128), DType::c64)));
  becomes("", {Type(DType::boolean, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::f32), DType::boolean)));
  becomes("", {Type(DType::i16, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::f32), DType::i16)));
  // These round, truncate or lose range.
  stays({kFloat}, RETURN(cast(g, cast(g, x[0], DType::bf16), DType::f32)));
  stays({kNarrow}, RETURN(cast(g, cast(g, x[0], DType::f16), DType::bf16)));
  stays({Type(DType::f16, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::bf16), DType::f16)));
  stays({kFloat}, RETURN(cast(g, cast(g, x[0], DType::i64), DType::f32)));
  stays({Type(DType::i32, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::f32), DType::i32)));
  stays({Type(DType::i32, Shape{3})}, RETURN(cast(g, cast(g, x[0], DType::i16), DType::i32)));
  stays({kInteger}, RETURN(cast(g, cast(g, x[0], DType::boolean), DType::i64)));
}

TEST(SimplifyIdentities, SignsAndModuli) {
  becomes("square", {kReal}, RETURN(square(g, abs(g, x[0]))));
  becomes("square", {kReal}, RETURN(square(g, neg(g, x[0]))));
  becomes("abs", {kReal}, RETURN(abs(g, abs(g, neg(g, x[0])))));
  becomes("cos", {kReal}, RETURN(cos(g, neg(g, x[0]))));
  becomes("abs", {kComplex}, RETURN(abs(g, conj(g, x[0]))));
  becomes("exp", {kReal}, RETURN(abs(g, exp(g, x[0]))));
  becomes("relu", {kReal}, RETURN(relu(g, relu(g, x[0]))));
  stays({kComplex}, RETURN(square(g, abs(g, x[0]))));
  stays({kReal}, RETURN(sin(g, abs(g, x[0]))));
  stays({kReal}, RETURN(relu(g, tanh(g, x[0]))));
  // The negative is needed all the same.
  becomes("neg,square", {kReal}, [](Graph& g, const Operands& x) {
    const Value n = neg(g, x[0]);
    return Operands{n, square(g, n)};
  });
}

TEST(SimplifyIdentities, SymbolsAndState) {
  const Type symbolic(DType::f64, Shape{Dim::symbol("n", 100), 3});
  becomes("", {symbolic}, RETURN(neg(g, neg(g, mul(g, x[0], 1.0)))));
  for (const char* name : {"broadcast_like", "sum_to_like"})
    becomes("", {symbolic, symbolic}, [&](Graph& g, const Operands& x) {
      return Operands{g.add1(standard_ops().at(name), {x[0], x[1]})};
    });
  becomes("", {symbolic}, RETURN(transpose(g, transpose(g, x[0], {1, 0}), {1, 0})));
  becomes("", {symbolic},
          RETURN(reshape(g, reshape(g, x[0], Shape{3, Dim::symbol("n", 100)}), Shape{Dim::symbol("n", 100), 3})));
  becomes("matmul", {symbolic, symbolic}, RETURN(matmul(g, transpose(g, x[0], {1, 0}), x[1])));
  stays({symbolic}, RETURN(sum(g, slice_axis(g, x[0], 1, 0, 2), {0})));

  Graph g;
  const Value input = g.add_input("x", kReal);
  const int64_t a = g.add_variable("a", kReal);
  const Value old = g.read(a);
  g.write(a, neg(g, neg(g, input)));
  g.write(a, add(g, mul(g, g.read(a), 1.0), neg(g, old)));
  g.set_outputs({stop_gradient(g, old), g.read(a)});
  const Graph simple = simplify(g);
  verify(simple);
  EXPECT_EQ(ops_of(simple), "write,sub,write");
  Tensor x = random_tensor(kReal, 1), start = random_tensor(kReal, 2);
  VariableValues expected_state{{"a", start.clone()}}, state{{"a", start.clone()}};
  const auto expected = interpret(g, {x}, &expected_state), got = interpret(simple, {x}, &state);
  EXPECT_TRUE(got[0].identical(expected[0]));
  EXPECT_TRUE(got[1].identical(expected[1]));
  EXPECT_TRUE(state.at("a").identical(expected_state.at("a")));
}

TEST(SimplifyIdentities, BodiesOfRepeats) {
  Graph body("body");
  const Value b = body.add_input("b", kReal);
  body.set_outputs({tanh(body, neg(body, neg(body, b)))});
  const Graph simple =
      simplified(program({kReal}, [&](Graph& g, const Operands& x) { return repeat(g, 3, {x[0]}, {}, body); }));
  EXPECT_EQ(ops_of(simple), "repeat");
  EXPECT_EQ(ops_of(simple.nodes()[0].regions[0]), "tanh");
}

}  // namespace
}  // namespace gregale::passes
