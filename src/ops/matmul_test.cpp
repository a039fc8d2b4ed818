// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/graphs_for_tests.hpp"

namespace gregale::ops {
namespace {

using ::testing::ElementsAre;

TEST(Matmul, InfersShapes) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", Type(DType::f32, {n, 3, 4}));
  const Value w = g.add_input("w", Type(DType::f32, {4, 5}));
  EXPECT_EQ(g.type(matmul(g, x, w)), Type(DType::f32, {n, 3, 5}));
  EXPECT_EQ(g.type(matmul(g, x, x, false, true)), Type(DType::f32, {n, 3, 3}));
  EXPECT_EQ(g.type(matmul(g, w, x, true, true)).shape, (Shape{n, 5, 3}));
  EXPECT_ERROR(matmul(g, w, w), "[matmul] f32[4,5] times f32[4,5]: 5 columns meet 4 rows");
  EXPECT_ERROR(matmul(g, x, w, true), "[matmul] f32[n<=64,3,4] transposed times f32[4,5]: 3 columns meet 4 rows");
  const Value v = g.add_input("v", Type(DType::f32, {4}));
  EXPECT_ERROR(matmul(g, x, v), "[matmul] operands are f32[n<=64,3,4] and f32[4]; each needs two axes or more");
  const Value other = g.add_input("o", Type(DType::f32, {2, 4, 5}));
  const Value third = g.add_input("t", Type(DType::f32, {3, 3, 4}));
  EXPECT_ERROR(matmul(g, third, other), "[matmul]");
  const Value i = g.add_input("i", Type(DType::i64, {4, 4})), m = g.add_input("m", Type(DType::boolean, {4, 4}));
  EXPECT_EQ(g.type(matmul(g, i, i)), Type(DType::i64, {4, 4}));
  EXPECT_ERROR(matmul(g, m, m), "[matmul] a has dtype bool");
}

TEST(Matmul, GradientsKeepSymbols) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", Type(DType::f32, {n, 3, 4})), w = g.add_input("w", Type(DType::f32, {4, 5}));
  const Value d = g.add_input("d", Type(DType::f32, {n, 3, 5}));
  const Value y = matmul(g, x, w);
  const Type x_type = g.type(x), w_type = g.type(w);
  EXPECT_EQ(g.type(pull_back(g, y, d, 0)), x_type);
  EXPECT_EQ(g.type(pull_back(g, y, d, 1)), w_type);
}

TEST(Matmul, MultipliesByHand) {
  const Tensor a = Tensor::from<double>({1, 2, 3, 4, 5, 6}, {2, 3}),
               b = Tensor::from<double>({1, 0, 2, 1, 0, -1}, {3, 2});
  const Tensor y = evaluate({a, b}, [](Graph& g, const std::vector<Value>& v) { return matmul(g, v[0], v[1]); });
  EXPECT_THAT(values_of<double>(y), ElementsAre(5, -1, 14, -1));
  // The same numbers read as 3 x 2 and 2 x 3, transposed.
  const Tensor at = Tensor::from<double>({1, 4, 2, 5, 3, 6}, {3, 2}),
               bt = Tensor::from<double>({1, 2, 0, 0, 1, -1}, {2, 3});
  const Tensor yt =
      evaluate({at, bt}, [](Graph& g, const std::vector<Value>& v) { return matmul(g, v[0], v[1], true, true); });
  EXPECT_THAT(values_of<double>(yt), ElementsAre(5, -1, 14, -1));
}

TEST(Matmul, OverNothingIsZero) {
  const Tensor y = evaluate({Tensor(DType::f64, {2, 0}), Tensor(DType::f64, {0, 2})},
                            [](Graph& g, const std::vector<Value>& v) { return matmul(g, v[0], v[1]); });
  EXPECT_THAT(values_of<double>(y), ElementsAre(0, 0, 0, 0));
}

TEST(Matmul, IsAdjointInBothOperands) {
  using Complex = std::complex<double>;
  const auto product = [](Graph& g, const std::vector<Value>& v) { return matmul(g, v[0], v[1], false, true); };
  const std::vector<Tensor> operands{sample_complex({2, 1, 3, 4}, 1), sample_complex({3, 2, 4}, 2)};
  ASSERT_EQ(operands[0].dtype(), dtype_v<Complex>);
  expect_adjoint(operands, 0, product);
  expect_adjoint(operands, 1, product);
}

}  // namespace
}  // namespace gregale::ops
