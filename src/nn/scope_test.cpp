// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

TEST(Scope, HandsTheSameParameterOutAgain) {
  Graph g;
  Scope scope(g);
  const Value a = scope.parameter("w", {3, 2}, Initialiser::ones());
  EXPECT_EQ(scope.parameter("w", {3, 2}, Initialiser::ones()), a);
  EXPECT_NE(scope.parameter("v", {4}, Initialiser::zeros(), false), a);
  ASSERT_EQ(scope.parameters().size(), 2u);
  EXPECT_EQ(scope.values().size(), 2u);
  EXPECT_EQ(scope.parameter_count(), 10);
  EXPECT_TRUE(scope.parameters()[0].decay);
  EXPECT_FALSE(scope.parameters()[1].decay);
  EXPECT_EQ(g.variables().size(), 2u);
  EXPECT_THROW(scope.parameter("w", {2, 3}, Initialiser::ones()), Error);
}

TEST(Scope, AModelAppliedTwiceHasItsParametersOnce) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {4, 3}));
  Scope scope(g);
  const MlpOptions options{.width = 5, .depth = 1, .out = 3};
  mlp(scope, "net", mlp(scope, "net", x, options), options);
  EXPECT_EQ(scope.parameters().size(), 4u);
  EXPECT_EQ(scope.parameter_count(), 3 * 5 + 5 + 5 * 3 + 3);
}

struct Moments {
  double mean = 0, deviation = 0, greatest = 0;
};
Moments moments(const Tensor& t) {
  Moments m;
  const auto n = static_cast<double>(t.size());
  for (float x : t.as<float>()) {
    m.mean += static_cast<double>(x) / n;
    m.deviation += static_cast<double>(x) * static_cast<double>(x) / n;
    m.greatest = std::max(m.greatest, std::fabs(static_cast<double>(x)));
  }
  m.deviation = std::sqrt(m.deviation - m.mean * m.mean);
  return m;
}

Tensor draw(Initialiser initialiser, const std::string& name = "w", uint64_t seed = 3) {
  return initial_value({name, 0, Type(DType::f32, {200, 100}), initialiser, true}, seed);
}

TEST(Initialise, HasTheMomentsItSays) {
  const double error = 1 / std::sqrt(20000.0);  // of a mean of this many, in deviations
  const Moments normal = moments(draw(Initialiser::normal(0.5)));
  EXPECT_NEAR(normal.mean, 0, 4 * 0.5 * error);
  EXPECT_NEAR(normal.deviation, 0.5, 4 * 0.5 * error);
  EXPECT_GT(normal.greatest, 1.5);

  const Moments uniform = moments(draw(Initialiser::uniform(2)));
  EXPECT_NEAR(uniform.mean, 0, 4 * 1.2 * error);
  EXPECT_NEAR(uniform.deviation, 2 / std::sqrt(3.0), 4 * error);
  EXPECT_LE(uniform.greatest, 2);
  EXPECT_GT(uniform.greatest, 1.99);

  // Cut at two deviations, the deviation is sqrt(1 - 2 a phi(a) / (2 Phi(a) - 1)) with a = 2.
  const Moments truncated = moments(draw(Initialiser::truncated_normal(0.02)));
  EXPECT_NEAR(truncated.mean, 0, 4 * 0.02 * error);
  EXPECT_NEAR(truncated.deviation, 0.02 * 0.8796, 4 * 0.02 * error);
  EXPECT_LE(truncated.greatest, 0.04 * (1 + 1e-6));
  EXPECT_GT(truncated.greatest, 0.039);

  EXPECT_EQ(moments(draw(Initialiser::zeros())).greatest, 0);
  const Tensor ones = draw(Initialiser::ones());
  for (float x : ones.as<float>()) ASSERT_EQ(x, 1);
}

TEST(Initialise, TruncatedNormalHasTheRightDistribution) {
  // Fractions below some points against the distribution function: this holds the quantile function to its inverse.
  const Tensor t = draw(Initialiser::truncated_normal(1));
  const auto phi = [](double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); };
  for (double z : {-1.8, -1.5, -1.0, -0.3, 0.0, 0.5, 1.2, 1.6, 1.9}) {
    double below = 0;
    for (float x : t.as<float>()) below += static_cast<double>(x) < z;
    const double p = (phi(z) - phi(-2)) / (phi(2) - phi(-2));
    EXPECT_NEAR(below / 20000, p, 4 * std::sqrt(p * (1 - p) / 20000)) << z;
  }
}

TEST(Initialise, DependsOnSeedAndNameAlone) {
  const auto init = Initialiser::truncated_normal(1);
  EXPECT_TRUE(draw(init).identical(draw(init)));
  EXPECT_FALSE(draw(init).identical(draw(init, "w", 4)));
  EXPECT_FALSE(draw(init).identical(draw(init, "v")));

  const auto values = [&](bool swapped) {
    Graph g;
    Scope scope(g);
    if (swapped) scope.parameter("other", {7}, init);
    scope.parameter("w", {200, 100}, init);
    if (!swapped) scope.parameter("other", {7}, init);
    return scope.initial_values(3);
  };
  const VariableValues a = values(false), b = values(true);
  EXPECT_TRUE(a.at("w").identical(b.at("w")));
  EXPECT_TRUE(a.at("other").identical(b.at("other")));
  EXPECT_TRUE(a.at("w").identical(draw(init)));
}

}  // namespace
}  // namespace gregale::nn
