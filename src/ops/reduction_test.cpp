// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ops/graphs_for_tests.hpp"

namespace gregale::ops {
namespace {

using ::testing::ElementsAre;

TEST(Reduction, InfersShapes) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", Type(DType::f32, {n, 3, 4}));
  EXPECT_EQ(g.type(sum(g, x)), Type(DType::f32, {}));
  EXPECT_EQ(g.type(sum(g, x, {}, true)), Type(DType::f32, {1, 1, 1}));
  EXPECT_EQ(g.type(mean(g, x, {-1, 1})), Type(DType::f32, {n}));
  EXPECT_EQ(g.type(max(g, x, {0})), Type(DType::f32, {3, 4}));
  EXPECT_ERROR(sum(g, x, {3}), "[sum] axis 3 is out of range for rank 3");
  EXPECT_ERROR(mean(g, x, {1, -2}), "[mean] axis 1 is given twice");
  const Value empty = g.add_input("e", Type(DType::f32, {3, 0}));
  EXPECT_ERROR(max(g, empty, {1}), "[max] axis 1 is empty: there is no greatest element");
  EXPECT_EQ(g.type(max(g, empty, {0})), Type(DType::f32, {0}));
  const Value b = g.add_input("b", Type(DType::boolean, {3}));
  EXPECT_ERROR(sum(g, b), "[sum] x has dtype bool; expected a number (cast it to count)");
  const Value i = g.add_input("i", Type(DType::i64, {3}));
  EXPECT_ERROR(mean(g, i), "[mean] x has dtype i64; expected a real float");
}

TEST(Reduction, GradientsKeepSymbols) {
  Graph g;
  const Dim n = Dim::symbol("n", 64);
  const Value x = g.add_input("x", Type(DType::f32, {n, 3, 4}));
  const Value d = g.add_input("d", Type(DType::f32, {3}));
  const Type expected = g.type(x);
  for (auto* op : {sum, mean, max, min}) EXPECT_EQ(g.type(pull_back(g, op(g, x, {0, 2}, false), d, 0)), expected);
}

TEST(Reduction, MeanOverASymbolDividesByItsExtent) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f64, {Dim::symbol("n", 64), 2}));
  const Value d = g.add_input("d", Type(DType::f64, {2}));
  g.set_outputs({pull_back(g, mean(g, x, {0}), d, 0)});
  const Graph bound = bind_symbols(g, {{"n", 4}});
  const Tensor d_x = interpret(bound, {Tensor(DType::f64, {4, 2}), Tensor::from<double>({4, 8}, {2})})[0];
  EXPECT_THAT(values_of<double>(d_x), ElementsAre(1, 2, 1, 2, 1, 2, 1, 2));
}

TEST(Reduction, MaxPropagatesNanAndKeepsIntegers) {
  const double nan = std::nan("");
  const Tensor x = Tensor::from<double>({1, nan, 3, 4, 6, 5}, {2, 3});
  for (auto* op : {max, min}) {
    const Tensor y = evaluate({x}, [&](Graph& g, const std::vector<Value>& v) { return op(g, v[0], {1}, false); });
    EXPECT_TRUE(std::isnan(values_of<double>(y)[0]));
    EXPECT_EQ(values_of<double>(y)[1], op == max ? 6 : 4);
  }
  const Tensor big = Tensor::from<int64_t>({INT64_MAX - 1, INT64_MAX, -5}, {3});
  const Tensor most = evaluate({big}, [](Graph& g, const std::vector<Value>& v) { return max(g, v[0]); });
  EXPECT_THAT(values_of<int64_t>(most), ElementsAre(INT64_MAX));
  const Tensor total = evaluate({Tensor::from<int64_t>({INT64_MAX, 1, -3}, {3})},
                                [](Graph& g, const std::vector<Value>& v) { return sum(g, v[0]); });
  EXPECT_THAT(values_of<int64_t>(total), ElementsAre(INT64_MAX - 2));
}

TEST(Reduction, TiesShareTheCotangent) {
  const Tensor x = Tensor::from<double>({5, 5, 1, 5}, {4}), d = Tensor::scalar(6.0);
  const Tensor d_x =
      evaluate({x, d}, [](Graph& g, const std::vector<Value>& v) { return pull_back(g, max(g, v[0]), v[1], 0); });
  EXPECT_THAT(values_of<double>(d_x), ElementsAre(2, 2, 0, 2));
}

TEST(Reduction, OfNothing) {
  const Tensor none(DType::f64, {2, 0});
  const auto reduce = [&](auto* op) {
    return values_of<double>(
        evaluate({none}, [&](Graph& g, const std::vector<Value>& v) { return op(g, v[0], {1}, false); }));
  };
  EXPECT_THAT(reduce(sum), ElementsAre(0, 0));
  EXPECT_TRUE(std::isnan(reduce(mean)[0]));
}

}  // namespace
}  // namespace gregale::ops
