// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/random.hpp"

#include <cmath>
#include <cstring>

#include "ops/graphs_for_tests.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

using Values = std::vector<Value>;
using Key = std::vector<int64_t>;

Tensor key_of(Key key) { return Tensor::from(key, {2}); }

Tensor draw(const OpDef& op, Key key, int64_t stream, Extents shape, DType dtype) {
  return evaluate({key_of(std::move(key))}, [&](Graph& g, const Values& v) {
    return g.add1(op, v, {{"shape", shape}, {"stream", stream}, {"dtype", dtype}});
  });
}

TEST(Random, IsAFunctionOfKeyStreamAndPosition) {
  for (const OpDef* op : {&random_uniform_op(), &random_normal_op()}) {
    const Tensor a = draw(*op, {7, 3}, 5, {4, 9}, DType::f32);
    EXPECT_TRUE(a.identical(draw(*op, {7, 3}, 5, {4, 9}, DType::f32)));
    EXPECT_TRUE(a.reshaped({36}).identical(draw(*op, {7, 3}, 5, {36}, DType::f32)));
    for (const Tensor& other : {draw(*op, {8, 3}, 5, {4, 9}, DType::f32), draw(*op, {7, 4}, 5, {4, 9}, DType::f32),
                                draw(*op, {7, 3}, 6, {4, 9}, DType::f32)})
      EXPECT_FALSE(a.identical(other));
    // f64 graphs see the f32 values, widened.
    EXPECT_TRUE(a.cast(DType::f64).identical(draw(*op, {7, 3}, 5, {4, 9}, DType::f64)));
  }
}

TEST(Random, IsTheGeneratorOfTheLibrary) {
  const RandomKey key{.seed = 7, .step = 3, .stream = 4000000000u};
  const Tensor u = draw(random_uniform_op(), {7, 3}, 4000000000, {9}, DType::f32),
               n = draw(random_normal_op(), {7, 3}, 4000000000, {9}, DType::f32);
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(u.as<float>()[i], gregale::random_uniform(key, i));
    EXPECT_EQ(n.as<float>()[i], gregale::random_normal(key, i));
  }
}

TEST(Random, HasTheMomentsItShould) {
  const int64_t count = 40000;
  const auto moments = [&](const OpDef& op) {
    const Tensor t = draw(op, {1, 2}, 3, {count}, DType::f64);
    double sum = 0, squares = 0;
    for (double v : t.as<double>()) sum += v, squares += v * v;
    const double mean = sum / static_cast<double>(count);
    return std::pair(mean, squares / static_cast<double>(count) - mean * mean);
  };
  // Five standard errors.
  const auto [u_mean, u_variance] = moments(random_uniform_op());
  EXPECT_NEAR(u_mean, 0.5, 5 * 0.2887 / 200);
  EXPECT_NEAR(u_variance, 1.0 / 12, 5 * 0.0745 / 200);
  const auto [n_mean, n_variance] = moments(random_normal_op());
  EXPECT_NEAR(n_mean, 0, 5 * 1.0 / 200);
  EXPECT_NEAR(n_variance, 1, 5 * std::sqrt(2.0) / 200);
}

TEST(Random, LoweringGivesTheSameBits) {
  const auto team = make_thread_team(2, TeamKind::std_thread);
  for (const OpDef* op : {&random_uniform_op(), &random_normal_op()})
    for (int64_t count : {0, 1, 7, 100003}) {
      const Key key{-9, 12};
      Graph g;
      const Value v = g.add_input("key", Type(DType::i64, Shape{2}));
      const Value y = g.add1(*op, {v}, {{"shape", Key{count}}, {"stream", int64_t{17}}});
      const NodeView view = view_of(g, g.nodes()[static_cast<size_t>(g.producer(y))]);
      Kernel kernel = op->lowerings.at(0).make(view, Target{}).value();
      Tensor given(DType::f32, {count});
      const void* inputs[] = {key.data()};
      void* outputs[] = {given.data()};
      kernel.run({inputs, outputs, nullptr, *team});
      EXPECT_TRUE(given.identical(draw(*op, key, 17, {count}, DType::f32))) << op->name << " " << count;
    }
}

TEST(Random, Refuses) {
  Graph g;
  const Value key = g.add_input("key", Type(DType::i64, Shape{2})),
              three = g.add_input("three", Type(DType::i64, Shape{3}));
  const Value x = g.add_input("x", Type(DType::f32, Shape{4})), i = g.add_input("i", Type(DType::i64, Shape{4}));
  EXPECT_ERROR(random_normal(g, three, {4}, 0), "[random_normal] key is i64[3]; expected i64[2]");
  EXPECT_ERROR(random_uniform(g, key, {4}, -1), "[random_uniform] stream -1 does not fit 32 bits");
  EXPECT_ERROR(random_uniform(g, key, {4}, int64_t{1} << 32), "does not fit 32 bits");
  EXPECT_ERROR(dropout(g, x, key, 1.0, 0), "[dropout] rate 1 is outside [0, 1)");
  EXPECT_ERROR(dropout(g, x, key, std::nan(""), 0), "is outside [0, 1)");
  EXPECT_ERROR(dropout(g, i, key, 0.5, 0), "[dropout] x has dtype i64; expected a real float");
}

TEST(Dropout, KeepsTheMeanAndZeroesTheFraction) {
  const int64_t count = 40000;
  const double rate = 0.3;
  const Tensor y = evaluate({Tensor::full(DType::f64, {count}, 1), key_of({4, 5})},
                            [&](Graph& g, const Values& v) { return dropout(g, v[0], v[1], rate, 6); });
  double sum = 0;
  int64_t zeros = 0;
  for (double v : y.as<double>()) {
    sum += v;
    zeros += v == 0;
    EXPECT_TRUE(v == 0 || v == 1 / (1 - rate));
  }
  const double error = std::sqrt(rate * (1 - rate) / static_cast<double>(count));
  EXPECT_NEAR(static_cast<double>(zeros) / static_cast<double>(count), rate, 5 * error);
  EXPECT_NEAR(sum / static_cast<double>(count), 1, 5 * error / (1 - rate));
}

TEST(Dropout, GradientUsesTheSameMask) {
  const Tensor x = sample_uniform({100}, 1, 1, 2), d = sample_uniform({100}, 2, 1, 2);
  const Build build = [](Graph& g, const Values& v) { return dropout(g, v[0], v[1], 0.4, 3); };
  const Tensor y = evaluate({x, key_of({1, 1})}, build);
  const Tensor d_x = evaluate({x, key_of({1, 1}), d}, [&](Graph& g, const Values& v) {
    return pull_back(g, build(g, {v[0], v[1]}), v[2], 0);
  });
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(y.as<double>()[i] == 0, d_x.as<double>()[i] == 0);
  EXPECT_TRUE(evaluate({x, key_of({1, 1})}, [](Graph& g, const Values& v) {
                return dropout(g, v[0], v[1], 0, 3);
              }).identical(x));
}

}  // namespace
}  // namespace gregale::ops
