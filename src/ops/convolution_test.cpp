// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/convolution.hpp"

#include "ops/graphs_for_tests.hpp"

namespace gregale::ops {
namespace {

using Values = std::vector<Value>;

/// By hand, on a padded copy of the image, so that nothing is shared with the operator's own walk.
std::vector<double> by_hand(const Tensor& x, const Tensor& weights, const Conv2dOptions& o) {
  const int64_t n = x.extent(0), c = x.extent(1), h = x.extent(2), w = x.extent(3);
  const int64_t k = weights.extent(0), r = weights.extent(2), s = weights.extent(3), cg = c / o.groups,
                kg = k / o.groups;
  const int64_t ph = h + o.pads[0] + o.pads[2], pw = w + o.pads[1] + o.pads[3];
  std::vector<double> padded(static_cast<size_t>(n * c * ph * pw)), result;
  for (int64_t p = 0; p < n * c; ++p)
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j)
        padded[static_cast<size_t>((p * ph + i + o.pads[0]) * pw + j + o.pads[1])] =
            x.as<double>()[static_cast<size_t>((p * h + i) * w + j)];
  for (int64_t b = 0; b < n; ++b)
    for (int64_t out = 0; out < k; ++out)
      for (int64_t i = 0; i + o.dilations[0] * (r - 1) < ph; i += o.strides[0])
        for (int64_t j = 0; j + o.dilations[1] * (s - 1) < pw; j += o.strides[1]) {
          double sum = 0;
          for (int64_t in = 0; in < cg; ++in)
            for (int64_t u = 0; u < r; ++u)
              for (int64_t v = 0; v < s; ++v) {
                const int64_t channel = (out / kg) * cg + in;
                sum += padded[static_cast<size_t>(((b * c + channel) * ph + i + u * o.dilations[0]) * pw + j +
                                                  v * o.dilations[1])] *
                       weights.as<double>()[static_cast<size_t>(((out * cg + in) * r + u) * s + v)];
              }
          result.push_back(sum);
        }
  return result;
}

struct Case {
  Extents x, weights;
  Conv2dOptions options;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{1, 1, 3, 3}, {1, 1, 3, 3}, {}},
      {{2, 3, 5, 6}, {4, 3, 3, 3}, {.pads = {1, 1, 1, 1}}},
      {{1, 2, 7, 8}, {3, 2, 3, 2}, {.strides = {2, 3}, .pads = {2, 0, 1, 3}}},
      {{2, 2, 9, 7}, {2, 2, 3, 2}, {.pads = {0, 2, 1, 0}, .dilations = {3, 2}}},
      {{1, 6, 5, 5}, {4, 3, 2, 2}, {.groups = 2}},
      {{2, 4, 6, 7}, {8, 1, 3, 3}, {.strides = {2, 1}, .pads = {1, 2, 0, 1}, .dilations = {1, 2}, .groups = 4}},
      {{1, 2, 2, 2}, {1, 2, 1, 1}, {.strides = {3, 3}, .pads = {3, 0, 0, 5}}},
  };
  return all;
}

TEST(Conv2d, AgreesWithLoopsOverAPaddedCopy) {
  for (const Case& c : cases()) {
    const Tensor x = sample_uniform(c.x, 1), weights = sample_uniform(c.weights, 2);
    const Tensor y =
        evaluate({x, weights}, [&](Graph& g, const Values& v) { return conv2d(g, v[0], v[1], c.options); });
    const auto expected = by_hand(x, weights, c.options);
    ASSERT_EQ(static_cast<size_t>(y.size()), expected.size()) << to_string(c.x);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(y.as<double>()[i], expected[i], 1e-12) << to_string(c.x);
  }
}

// <d, B(x, w)> = <x, d_input(d, w)> = <d_weights(x, d), w>, and so again for each one's own gradients.
TEST(Conv2d, TheThreeAreEachOthersAdjoints) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(to_string(c.x));
    const Tensor x = sample_uniform(c.x, 3), weights = sample_uniform(c.weights, 4);
    const Build forward = [&](Graph& g, const Values& v) { return conv2d(g, v[0], v[1], c.options); };
    const Tensor y = evaluate({x, weights}, forward);
    const Tensor d = sample_uniform(y.extents(), 5);
    const Build d_input = [&](Graph& g, const Values& v) {
      return conv2d_d_input(g, v[0], v[1], c.x[2], c.x[3], c.options);
    };
    const Build d_weights = [&](Graph& g, const Values& v) {
      return conv2d_d_weights(g, v[0], v[1], c.weights[2], c.weights[3], c.options);
    };
    const double product = dot(d, y), tolerance = 1e-12 * static_cast<double>(y.size() * 50);
    EXPECT_NEAR(dot(x, evaluate({d, weights}, d_input)), product, tolerance);
    EXPECT_NEAR(dot(evaluate({x, d}, d_weights), weights), product, tolerance);
    for (size_t i : {0, 1}) {
      expect_adjoint({x, weights}, i, forward);
      expect_adjoint({d, weights}, i, d_input);
      expect_adjoint({x, d}, i, d_weights);
    }
  }
}

TEST(Conv2d, KeepsASymbolicBatch) {
  const Dim n = Dim::symbol("n", 64);
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{n, 4, 8, 8})),
              w = g.add_input("w", Type(DType::f32, Shape{6, 2, 3, 3}));
  const Value y = conv2d(g, x, w, {.strides = {2, 2}, .pads = {1, 1, 1, 1}, .groups = 2});
  EXPECT_EQ(g.type(y).shape, (Shape{n, 6, 4, 4}));
  const Value d_x = pull_back(g, y, y, 0), d_w = pull_back(g, y, y, 1);
  EXPECT_EQ(g.type(d_x), g.type(x));
  EXPECT_EQ(g.type(d_w), g.type(w));
}

TEST(Conv2d, SaysWhatDoesNotFit) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{1, 4, 3, 4})),
              w = g.add_input("w", Type(DType::f32, Shape{6, 2, 3, 3})),
              flat = g.add_input("flat", Type(DType::f32, Shape{4, 4})),
              wide = g.add_input("wide", Type(DType::f64, Shape{6, 4, 3, 3}));
  EXPECT_ERROR(conv2d(g, flat, w), "[conv2d] x must have rank 4, not 2");
  EXPECT_ERROR(conv2d(g, x, wide), "[conv2d] x is f32 but weights is f64");
  EXPECT_ERROR(conv2d(g, x, w), "[conv2d] weights have 2 channels a group, expected 4 (4 / 1 groups)");
  EXPECT_ERROR(conv2d(g, x, w, {.groups = 3}), "[conv2d] 3 groups do not divide 4 input and 6 output channels");
  EXPECT_ERROR(conv2d(g, x, w, {.groups = 0}), "[conv2d] 0 groups do not divide 4 input and 6 output channels");
  EXPECT_ERROR(conv2d(g, x, w, {.dilations = {2, 2}, .groups = 2}),
               "[conv2d] the kernel's reach 5x5 exceeds the padded image 3x4");
  EXPECT_ERROR(conv2d(g, x, w, {.strides = {0, 1}, .groups = 2}), "[conv2d] strides holds 0, outside [1, ");
  EXPECT_ERROR(conv2d(g, x, w, {.pads = {1, 1}, .groups = 2}), "[conv2d] pads has 2 entries, not 4");
  EXPECT_ERROR(conv2d(g, x, w, {.pads = {INT64_MAX, 0, 0, 0}, .groups = 2}), "[conv2d] pads holds");
  const Value d = g.add_input("d", Type(DType::f32, Shape{1, 6, 2, 2}));
  EXPECT_ERROR(conv2d_d_input(g, d, w, 3, 4, {.groups = 2}),
               "[conv2d_d_input] d_y is f32[1,6,2,2]; expected f32[1,6,1,2]");
  EXPECT_ERROR(conv2d_d_weights(g, x, d, 3, 3, {.groups = 2}),
               "[conv2d_d_weights] d_y is f32[1,6,2,2]; expected f32[1,6,1,2]");
}

}  // namespace
}  // namespace gregale::ops
