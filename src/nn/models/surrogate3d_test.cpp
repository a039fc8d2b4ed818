// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

Tensor uniform(const Extents& extents, uint32_t stream) {
  Tensor t(DType::f64, extents);
  for (uint64_t i = 0; double& v : t.as<double>()) v = 2 * random_uniform({3, 0, stream}, i++) - 1;
  return t;
}

/// One number of the network by hand: every sum over a neighbourhood that is cut off at the faces of the volume.
class ByHand {
 public:
  ByHand(const VariableValues& values, const Tensor& x) : values_(values), x_(x) {}
  double operator()(int64_t layers, int64_t width, int64_t channel, int64_t z, int64_t y, int64_t x) const {
    double sum = number("net/head/bias", channel);
    const auto out = values_.at("net/head/weight").extent(4);
    for (int64_t c = 0; c < width; ++c)
      sum += number("net/head/weight", c * out + channel) * hidden(layers - 1, width, c, z, y, x);
    return sum;
  }

 private:
  double number(const std::string& name, int64_t at) const {
    return values_.at(name).as<double>()[static_cast<size_t>(at)];
  }
  double hidden(int64_t layer, int64_t width, int64_t k, int64_t z, int64_t y, int64_t x) const {
    const std::string name = "net/" + std::to_string(layer);
    const int64_t in = layer == 0 ? x_.extent(1) : width;
    double sum = number(name + "/bias", k);
    for (int64_t t = 0; t < 3; ++t)
      for (int64_t r = 0; r < 3; ++r)
        for (int64_t s = 0; s < 3; ++s) {
          const int64_t a = z + t - 1, b = y + r - 1, c = x + s - 1;
          if (a < 0 || a >= x_.extent(2) || b < 0 || b >= x_.extent(3) || c < 0 || c >= x_.extent(4)) continue;
          for (int64_t channel = 0; channel < in; ++channel) {
            const double v = layer == 0 ? input(channel, a, b, c) : hidden(layer - 1, width, channel, a, b, c);
            sum += v * number(name + "/weight", (((t * 3 + r) * 3 + s) * in + channel) * width + k);
          }
        }
    const double gelu = sum / 2 * (1 + std::erf(sum / std::sqrt(2.0)));
    return layer == 0 ? gelu : gelu + hidden(layer - 1, width, k, z, y, x);
  }
  double input(int64_t channel, int64_t z, int64_t y, int64_t x) const {
    return x_.as<double>()[static_cast<size_t>(((channel * x_.extent(2) + z) * x_.extent(3) + y) * x_.extent(4) + x)];
  }

  const VariableValues& values_;
  const Tensor& x_;
};

TEST(Surrogate3d, AgreesWithLoopsByHand) {
  constexpr int64_t kLayers = 2, kWidth = 3, kOut = 2;
  Graph g;
  Scope scope(g, {}, DType::f64);
  const Tensor x = uniform({1, 2, 3, 4, 2}, 1);
  const Value in = g.add_input("x", Type(DType::f64, Shape(x.extents())));
  const Value y = surrogate3d(scope, "net", in, {.width = kWidth, .depth = kLayers, .out = kOut});
  EXPECT_EQ(g.type(y).shape, (Shape{1, kOut, 3, 4, 2}));
  g.set_outputs({y});
  VariableValues values = scope.initial_values(5);
  uint32_t stream = 2;
  for (auto& [name, value] : values)
    if (name.ends_with("bias")) value = uniform(value.extents(), stream++);
  const Tensor got = interpret(g, {x}, &values)[0];
  const ByHand expected(values, x);
  for (int64_t c = 0; c < kOut; ++c)
    for (int64_t i = 0; i < 24; ++i)
      EXPECT_NEAR(got.as<double>()[static_cast<size_t>(c * 24 + i)],
                  expected(kLayers, kWidth, c, i / 8, i / 2 % 4, i % 2), 1e-12);
}

TEST(Surrogate3d, SaysWhatDoesNotFit) {
  Graph g;
  Scope scope(g);
  const Value plane = g.add_input("x", Type(DType::f32, Shape{1, 2, 8, 8}));
  EXPECT_THROW(surrogate3d(scope, "net", plane, {}), Error);
  const Value volume = g.add_input("v", Type(DType::f32, Shape{1, 1, 4, 4, 4}));
  EXPECT_THROW(surrogate3d(scope, "net", volume, {.width = 0}), Error);
}

}  // namespace
}  // namespace gregale::nn
