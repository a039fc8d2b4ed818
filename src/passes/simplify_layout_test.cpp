// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/simplify_for_tests.hpp"

namespace gregale::passes {
namespace {

using namespace ops;
const Type kCube(DType::f64, Shape{2, 3, 4});

#define RETURN(expression) [](Graph& g, const Operands& x) { return Operands{expression}; }

TEST(SimplifyLayout, Transposes) {
  becomes("", {kReal}, RETURN(transpose(g, transpose(g, x[0], {1, 0}), {-1, 0})));
  becomes("transpose", {kCube}, RETURN(transpose(g, transpose(g, x[0], {1, 0, 2}), {0, 2, 1})));
  becomes("", {kCube}, RETURN(transpose(g, x[0], {0, 1, 2})));
  becomes("", {kCube}, RETURN(transpose(g, transpose(g, x[0], {1, 2, 0}), {2, 0, 1})));
  const Type ones(DType::f64, Shape{1, 3, 1, 4});
  becomes("reshape", {ones}, RETURN(transpose(g, x[0], {1, 0, 3, 2})));
  stays({ones}, RETURN(transpose(g, x[0], {0, 3, 2, 1})));
  stays({kCube}, RETURN(transpose(g, x[0], {0, 2, 1})));
  // The first is needed anyway: the second then comes from where the first does, at the same cost.
  const Graph both = simplified(program({kCube}, [](Graph& g, const Operands& x) {
    const Value t = transpose(g, x[0], {1, 0, 2});
    return Operands{t, transpose(g, t, {0, 2, 1})};
  }));
  EXPECT_EQ(ops_of(both), "transpose,transpose");
}

TEST(SimplifyLayout, Reshapes) {
  becomes("reshape", {kCube}, RETURN(reshape(g, reshape(g, x[0], Shape{6, 4}), Shape{24})));
  becomes("", {kCube}, RETURN(reshape(g, reshape(g, x[0], Shape{6, 4}), Shape{2, 3, 4})));
  stays({kCube}, RETURN(reshape(g, transpose(g, x[0], {1, 0, 2}), Shape{24})));
}

TEST(SimplifyLayout, MeetThroughElementwiseOperators) {
  becomes("tanh", {kReal}, RETURN(transpose(g, tanh(g, transpose(g, x[0], {1, 0})), {1, 0})));
  becomes("mul,tanh,neg", {kReal},
          RETURN(transpose(g, neg(g, tanh(g, mul(g, transpose(g, x[0], {1, 0}), 0.5))), {1, 0})));
  becomes("sub", {kReal, Type(DType::f64, Shape{})},
          RETURN(transpose(g, sub(g, x[1], transpose(g, x[0], {1, 0})), {1, 0})));
  becomes("tanh", {kReal}, RETURN(reshape(g, tanh(g, reshape(g, x[0], Shape{12})), Shape{4, 3})));
  becomes("conj", {kComplex}, RETURN(transpose(g, conj(g, transpose(g, x[0], {1, 0})), {1, 0})));
  becomes("real", {kComplex}, RETURN(transpose(g, real(g, transpose(g, x[0], {1, 0})), {1, 0})));
  // softmax is no elementwise operator, a row beside it belongs to one of the axes.
  stays({kReal}, RETURN(transpose(g, softmax(g, transpose(g, x[0], {1, 0})), {1, 0})));
  stays({kReal, Type(DType::f64, Shape{4})}, RETURN(transpose(g, add(g, transpose(g, x[0], {1, 0}), x[1]), {1, 0})));
  // What lies between is needed as it is.
  stays({kReal}, [](Graph& g, const Operands& x) {
    const Value t = tanh(g, transpose(g, x[0], {1, 0}));
    return Operands{t, transpose(g, t, {1, 0})};
  });
}

TEST(SimplifyLayout, TransposesAlike) {
  becomes("sub,transpose", {kReal, kReal}, RETURN(sub(g, transpose(g, x[0], {1, 0}), transpose(g, x[1], {1, 0}))));
  becomes("mul", {kReal, kReal},
          RETURN(transpose(g, mul(g, transpose(g, x[0], {1, 0}), transpose(g, x[1], {1, 0})), {1, 0})));
  stays({Type(DType::f64, Shape{3, 3, 3}), Type(DType::f64, Shape{3, 3, 3})},
        RETURN(add(g, transpose(g, x[0], {1, 0, 2}), transpose(g, x[1], {0, 2, 1}))));
  stays({kReal, kReal}, [](Graph& g, const Operands& x) {
    const Value a = transpose(g, x[0], {1, 0}), b = transpose(g, x[1], {1, 0});
    return Operands{a, b, add(g, a, b)};
  });
}

TEST(SimplifyLayout, Reductions) {
  becomes("sum", {kReal}, RETURN(sum(g, transpose(g, x[0], {1, 0}), {0})));
  becomes("max", {kCube}, RETURN(max(g, transpose(g, x[0], {2, 0, 1}), {0})));
  becomes("mean,transpose", {kCube}, RETURN(mean(g, transpose(g, x[0], {2, 1, 0}), {1})));
  becomes("min,reshape", {kCube}, RETURN(min(g, transpose(g, x[0], {2, 0, 1}), {0}, true)));
  becomes("sum", {kCube}, RETURN(sum(g, sum(g, x[0], {1}), {1})));
  becomes("mean", {kCube}, RETURN(mean(g, mean(g, x[0], {0}, true), {0, 2})));
  becomes("max", {kCube}, RETURN(max(g, max(g, x[0], {2}))));
  stays({kCube}, RETURN(sum(g, max(g, x[0], {1}), {1})));
  stays({kCube}, [](Graph& g, const Operands& x) {
    const Value s = sum(g, x[0], {1});
    return Operands{s, sum(g, s, {1})};
  });
}

TEST(SimplifyLayout, Slices) {
  becomes("slice", {kCube}, RETURN(slice(g, slice(g, x[0], {0, 1, 0}, {2, 3, 4}, {1, 1, 2}), {0, 1, 0}, {1, 2, 2})));
  const Graph g =
      program({Type(DType::f64, Shape{20})}, RETURN(slice(g, slice(g, x[0], {1}, {20}, {3}), {2}, {6}, {2})));
  EXPECT_EQ(ops_of(simplified(g)), "slice");
  becomes("", {kReal, kReal, kReal}, RETURN(slice_axis(g, concat(g, {x[0], x[1], x[2]}, 1), 1, 3, 6)));
  becomes("slice", {kReal, kReal}, RETURN(slice_axis(g, concat(g, {x[0], x[1]}, 0), 0, 5, 8, 2)));
  becomes("", {kReal}, RETURN(slice(g, pad(g, x[0], {1, 0}, {1, 2}, "periodic"), {1, 0}, {5, 3})));
  becomes("slice", {kReal}, RETURN(slice(g, pad(g, x[0], {1, 0}, {1, 2}), {2, 0}, {5, 3})));
  // Two pieces, some padding, what lies between.
  stays({kReal, kReal}, RETURN(slice_axis(g, concat(g, {x[0], x[1]}, 0), 0, 3, 6)));
  stays({kReal}, RETURN(slice(g, pad(g, x[0], {1, 0}, {1, 2}), {0, 0}, {4, 3})));
  stays({kReal}, RETURN(slice(g, pad(g, x[0], {0, 0}, {0, 0}, "zero", {1, 1}), {0, 0}, {3, 3})));
}

TEST(SimplifyLayout, Concatenations) {
  becomes("", {kReal}, RETURN(concat(g, {slice_axis(g, x[0], 1, 0, 1), slice_axis(g, x[0], 1, 1, 3)}, 1)));
  becomes("slice", {kReal}, RETURN(concat(g, {slice_axis(g, x[0], 0, 1, 2), slice_axis(g, x[0], 0, 2, 4)}, 0)));
  becomes("concat", {kReal, kReal}, RETURN(concat(g, {concat(g, {x[0], x[1]}, 0), x[1]}, 0)));
  // Swapped, with a gap, with a step, of different values, along another axis.
  stays({kReal}, RETURN(concat(g, {slice_axis(g, x[0], 1, 1, 3), slice_axis(g, x[0], 1, 0, 1)}, 1)));
  stays({kReal}, RETURN(concat(g, {slice_axis(g, x[0], 0, 0, 1), slice_axis(g, x[0], 0, 2, 4)}, 0)));
  stays({kReal}, RETURN(concat(g, {slice_axis(g, x[0], 0, 0, 3, 2), slice_axis(g, x[0], 0, 3, 4)}, 0)));
  stays({kReal, kReal}, RETURN(concat(g, {slice_axis(g, x[0], 1, 0, 1), slice_axis(g, x[1], 1, 1, 3)}, 1)));
  stays({kReal, kReal}, RETURN(concat(g, {concat(g, {x[0], x[1]}, 0), concat(g, {x[1], x[0]}, 0)}, 1)));
  stays({Type(DType::f64, Shape{3, 3})},
        RETURN(concat(g, {slice_axis(g, x[0], 0, 0, 1), slice_axis(g, x[0], 0, 1, 2)}, 1)));
}

}  // namespace
}  // namespace gregale::passes
