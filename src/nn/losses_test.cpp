// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

const double kMissing = std::nan("");

double value(const std::string& name, const std::vector<double>& prediction, const std::vector<double>& truth,
             const std::vector<double>& weights = {}, Extents weight_extents = {}) {
  Graph g;
  const Value p = g.add_input("p", Type(DType::f64, {2, 3})), t = g.add_input("t", Type(DType::f64, {2, 3}));
  std::vector<Tensor> inputs{Tensor::from(prediction, {2, 3}), Tensor::from(truth, {2, 3})};
  Value w;
  if (!weights.empty()) {
    inputs.push_back(Tensor::from(weights, weight_extents));
    w = g.add_input("w", inputs.back().type());
  }
  const Value l = loss(g, name, p, t, w);
  EXPECT_EQ(g.type(l), Type(DType::f64, Shape{}));
  g.set_outputs({l});
  return interpret(g, inputs)[0].as<double>()[0];
}

const std::vector<double> kP{1, 2, 3, 4, 5, 6}, kT{1, 0, 4, 4, 2, 10};  // differences 0 2 -1 0 3 -4

TEST(Losses, Unweighted) {
  EXPECT_DOUBLE_EQ(value("mse", kP, kT), 30.0 / 6);
  EXPECT_DOUBLE_EQ(value("mae", kP, kT), 10.0 / 6);
  EXPECT_DOUBLE_EQ(value("relative_l2", kP, kT), (std::sqrt(5.0 / 17) + std::sqrt(25.0 / 120)) / 2);
}

TEST(Losses, WeightsBroadcast) {
  // Weights 1, 2, 3 a column: they count in both rows.
  const std::vector<double> w{1, 2, 3};
  EXPECT_DOUBLE_EQ(value("mse", kP, kT, w, {3}), (2 * 4 + 3 * 1 + 2 * 9 + 3 * 16) / 12.0);
  EXPECT_DOUBLE_EQ(value("mae", kP, kT, w, {3}), (2 * 2 + 3 * 1 + 2 * 3 + 3 * 4) / 12.0);
  EXPECT_DOUBLE_EQ(value("relative_l2", kP, kT, w, {3}),
                   (std::sqrt((2 * 4 + 3) / (1 + 3 * 16.0)) + std::sqrt((2 * 9 + 3 * 16) / (16 + 2 * 4 + 300.0))) / 2);
}

TEST(Losses, MissingPointsCountNothing) {
  const std::vector<double> truth{1, kMissing, 4, kMissing, 2, 10}, w{1, 0, 2, 0, 1, 1};
  EXPECT_DOUBLE_EQ(value("mse", kP, truth, w, {2, 3}), (2 * 1 + 9 + 16) / 5.0);
  EXPECT_DOUBLE_EQ(value("mae", kP, truth, w, {2, 3}), (2 * 1 + 3 + 4) / 5.0);
  EXPECT_DOUBLE_EQ(value("relative_l2", kP, truth, w, {2, 3}), (std::sqrt(2 / 33.0) + std::sqrt(25 / 104.0)) / 2);
}

TEST(Losses, NothingToCountIsZero) {
  const std::vector<double> truth(6, kMissing), w(6, 0.0);
  for (const char* name : {"mse", "mae", "relative_l2"}) EXPECT_EQ(value(name, kP, truth, w, {2, 3}), 0) << name;
  EXPECT_EQ(value("relative_l2", kT, kT), 0);
}

TEST(Losses, RefuseWhatDoesNotFit) {
  Graph g;
  const Value p = g.add_input("p", Type(DType::f32, {2, 3})), t = g.add_input("t", Type(DType::f32, {2, 1}));
  EXPECT_THROW(mse_loss(g, p, t), Error);
  EXPECT_THROW(mse_loss(g, t, t, p), Error) << "weights larger than the fields";
  try {
    loss(g, "rmse", p, p);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(e.what(), "[loss] 'rmse' is none of mse, mae, relative_l2");
  }
}

}  // namespace
}  // namespace gregale::nn
