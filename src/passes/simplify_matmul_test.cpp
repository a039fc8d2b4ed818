// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/simplify_for_tests.hpp"

namespace gregale::passes {
namespace {

using namespace ops;
const Type kA(DType::f64, Shape{5, 4}), kB(DType::f64, Shape{4, 3}), kWide(DType::f64, Shape{4, 50}),
    kTall(DType::f64, Shape{50, 4}), kBatch(DType::f64, Shape{2, 4, 3}), kSquare(DType::c128, Shape{4, 4}),
    kSmall(DType::f16, Shape{4, 4});

#define RETURN(expression) [](Graph& g, const Operands& x) { return Operands{expression}; }

std::pair<bool, bool> flags(const Graph& g) {
  for (const Node& node : g.nodes())
    if (node.op->name == "matmul")
      return {std::get<bool>(node.attributes.at("transpose_a")), std::get<bool>(node.attributes.at("transpose_b"))};
  return {};
}

TEST(SimplifyMatmul, TakesTransposesIn) {
  becomes("matmul", {kB, kB}, RETURN(matmul(g, transpose(g, x[0], {1, 0}), x[1])));
  becomes("matmul", {kB, kB}, RETURN(matmul(g, x[0], transpose(g, x[1], {1, 0}))));
  becomes("matmul", {kA, kB}, RETURN(matmul(g, transpose(g, x[0], {1, 0}), transpose(g, x[1], {1, 0}), true, true)));
  becomes("matmul", {kBatch, kBatch}, RETURN(matmul(g, transpose(g, x[0], {0, 2, 1}), x[1])));
  becomes("matmul", {kSquare, kSquare}, RETURN(matmul(g, x[0], transpose(g, x[1], {1, 0}))));
  const Graph g = program({kB, kB}, RETURN(matmul(g, transpose(g, x[0], {1, 0}), x[1])));
  EXPECT_EQ(flags(simplify(g)), std::pair(true, false));
  // One transpose of two products goes only when both have taken it in.
  becomes("matmul,matmul", {kB, kB, kB}, [](Graph& g, const Operands& x) {
    const Value t = transpose(g, x[0], {1, 0});
    return Operands{matmul(g, t, x[1]), matmul(g, x[2], t)};
  });
  becomes("tanh,mul,matmul", {kB, kB}, RETURN(matmul(g, mul(g, tanh(g, transpose(g, x[0], {1, 0})), 1e-30), x[1])));
  // Conjugation stays, other axes are no flag's.
  becomes("conj,matmul", {kSquare, kSquare}, RETURN(matmul(g, conj(g, transpose(g, x[0], {1, 0})), x[1])));
  stays({kBatch, kB}, RETURN(matmul(g, transpose(g, x[0], {1, 0, 2}), x[1], false, true)));
  stays({kB, kB}, [](Graph& g, const Operands& x) {  // what lies between is needed transposed
    const Value t = tanh(g, transpose(g, x[0], {1, 0}));
    return Operands{t, matmul(g, t, x[1])};
  });
}

TEST(SimplifyMatmul, IsTransposed) {
  becomes("matmul", {kA, kB}, RETURN(transpose(g, matmul(g, x[0], x[1]), {1, 0})));
  becomes("matmul", {kBatch, kB}, RETURN(transpose(g, matmul(g, x[0], x[1], false, true), {0, 2, 1})));
  becomes("matmul", {kSquare, kSquare}, RETURN(transpose(g, matmul(g, x[0], x[1], true), {1, 0})));
  stays({kBatch, kBatch}, RETURN(transpose(g, matmul(g, x[0], x[1], true), {1, 0, 2})));
  stays({kA, kB}, [](Graph& g, const Operands& x) {
    const Value product = matmul(g, x[0], x[1]);
    return Operands{product, transpose(g, product, {1, 0})};
  });
}

/// The shape of what is scaled; empty where nothing is.
Shape scaled_shape(const Graph& g) {
  for (const Node& node : g.nodes())
    if (node.op->name == "mul" || node.op->name == "neg") return g.type(node.outputs[0]).shape;
  return {};
}

Shape scaled_shape(const std::vector<Type>& types, const Build& build) {
  return scaled_shape(simplified(program(types, build)));
}

TEST(SimplifyMatmul, ScalesTheSmallestTensor) {
  const Shape row{5, 4}, wide{4, 50}, product{5, 50};
  EXPECT_EQ(scaled_shape({kA, kWide}, RETURN(mul(g, matmul(g, x[0], x[1]), 0.3))), row);
  EXPECT_EQ(scaled_shape({kWide, kA}, RETURN(neg(g, matmul(g, x[1], x[0])))), row);
  EXPECT_EQ(scaled_shape({kA, kWide}, RETURN(matmul(g, x[0], div(g, x[1], scalar(g, DType::f64, 4))))), row);
  // The left or the right operand is the only one smaller than the product.
  const Type a(DType::f64, Shape{3, 4}), b(DType::f64, Shape{4, 6});
  EXPECT_EQ(scaled_shape({a, b}, RETURN(mul(g, matmul(g, x[0], x[1]), 0.3))), (Shape{3, 4}));
  EXPECT_EQ(scaled_shape({a, b}, RETURN(mul(g, matmul(g, x[1], x[0], true, true), 0.3))), (Shape{3, 4}));
  EXPECT_EQ(scaled_shape({kTall, kB}, RETURN(matmul(g, mul(g, x[0], 0.3), x[1]))), (Shape{4, 3}));
  const Type c(DType::f64, Shape{2, 50}), d(DType::f64, Shape{50, 2});
  EXPECT_EQ(scaled_shape({c, d}, RETURN(matmul(g, mul(g, x[0], 0.3), x[1]))), (Shape{2, 2}));
  EXPECT_EQ(scaled_shape({c, d}, RETURN(matmul(g, mul(g, x[0], 0.3), neg(g, x[1])))), (Shape{2, 2}));
  // Constant weights take it in.
  becomes("matmul", {kA}, RETURN(mul(g, matmul(g, x[0], g.constant(Tensor::full(DType::f64, {4, 50}, 0.7))), 0.3)));
  becomes("matmul", {kA}, RETURN(matmul(g, mul(g, x[0], 0.3), g.constant(Tensor::full(DType::f64, {4, 50}, 0.7)))));
  becomes("matmul", {Type(DType::f64, Shape{400, 300})},
          RETURN(mul(g, matmul(g, x[0], g.constant(Tensor::full(DType::f64, {300, 400}, 0.7))), 0.3)));
}

TEST(SimplifyMatmul, LeavesScalesWhereTheyAre) {
  stays({kA, kWide}, RETURN(matmul(g, mul(g, x[0], 0.3), x[1])));
  stays({kA, kWide}, RETURN(mul(g, matmul(g, x[0], x[1]), 1e-30)));  // it may be what keeps the product in range
  stays({kSmall, Type(DType::f16, Shape{4, 9})}, RETURN(mul(g, matmul(g, x[0], x[1]), 0.3)));
  stays({kA, kWide, Type(DType::f64, Shape{})}, RETURN(mul(g, matmul(g, x[0], x[1]), x[2])));
  stays({kA, kWide}, [](Graph& g, const Operands& x) {  // the product is needed unscaled
    const Value product = matmul(g, x[0], x[1]);
    return Operands{product, mul(g, product, 0.3)};
  });
}

Tensor weights(Extents extents, uint32_t stream, DType dtype = DType::f64) {
  return random_tensor(Type(dtype, Shape(extents)), stream);
}

TEST(JoinMatmuls, OfOneLeftOperandWithConstants) {
  // Reading the left operand once saves more than slicing the results costs.
  const Type left(DType::f64, Shape{5, 60}), complex_left(DType::c128, Shape{5, 60});
  const Build plain = [](Graph& g, const Operands& x) {
    Operands results;
    for (const int64_t n : {3, 1, 2})
      results.push_back(matmul(g, x[0], g.constant(weights({60, n}, static_cast<uint32_t>(n)))));
    return results;
  };
  becomes("matmul,slice,slice,slice", {left}, plain);
  becomes("matmul,slice,slice", {left}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({3, 60}, 1)), false, true),
                    matmul(g, x[0], g.constant(weights({2, 60}, 2)), false, true)};
  });
  becomes("matmul,slice,slice", {complex_left}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({60, 2}, 1, DType::c128))),
                    matmul(g, x[0], g.constant(weights({60, 2}, 2, DType::c128)))};
  });
  becomes("matmul,slice,slice", {Type(DType::f64, Shape{60, 5})}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({60, 2}, 1)), true),
                    matmul(g, x[0], g.constant(weights({60, 2}, 2)), true)};
  });
  RuleCounts counts;
  const Graph g = program({left}, plain);
  const Graph joined = simplify(g, counts);
  EXPECT_EQ(counts.at("matmuls joined").bytes, burden_of(g).bytes - burden_of(joined).bytes);
}

TEST(JoinMatmuls, NotWhereItSavesNothing) {
  const Type left(DType::f64, Shape{5, 60});
  // Results as wide as the operand: slicing them moves more than is saved.
  stays({left}, [](Graph& g, const Operands& x) {
    Operands results;
    for (const uint32_t i : {1u, 2u, 3u}) results.push_back(matmul(g, x[0], g.constant(weights({60, 60}, i))));
    return results;
  });
  // Weights that are not constant, left operands that differ, one transposed and one not, a batch of weights.
  stays({left, Type(DType::f64, Shape{60, 2}), Type(DType::f64, Shape{60, 2})}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], x[1]), matmul(g, x[0], x[2])};
  });
  stays({left, left}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({60, 2}, 1))), matmul(g, x[1], g.constant(weights({60, 2}, 2)))};
  });
  stays({left}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({60, 2}, 1))),
                    matmul(g, x[0], g.constant(weights({2, 60}, 2)), false, true)};
  });
  stays({left}, [](Graph& g, const Operands& x) {
    return Operands{matmul(g, x[0], g.constant(weights({3, 60, 2}, 1))),
                    matmul(g, x[0], g.constant(weights({3, 60, 2}, 2)))};
  });
}

}  // namespace
}  // namespace gregale::passes
