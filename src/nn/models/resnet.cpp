// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

constexpr int64_t kExpansion = 4;  ///< channels a bottleneck gives, over those of its 3x3 convolution

std::array<int64_t, 4> blocks_of(int64_t depth) {
  if (depth == 50) return {3, 4, 6, 3};
  if (depth == 101) return {3, 4, 23, 3};
  GREGALE_CHECK(depth == 152, invalid_argument, "[resnet] depth {} is none of 50, 101, 152", depth);
  return {3, 8, 36, 3};
}

/// A square convolution that keeps the image's size but for its stride, with the normalisation folded into it.
Value convolution(Scope& scope, const std::string& name, Value x, int64_t out, int64_t kernel, int64_t stride,
                  double gain = 2) {
  Graph& g = scope.graph();
  const int64_t in = g.type(x).shape[1].value(), pad = kernel / 2;
  const auto init = Initialiser::normal(std::sqrt(gain / static_cast<double>(in * kernel * kernel)));
  const Value weights = scope.parameter(name + "/weight", {out, in, kernel, kernel}, init);
  const Value bias = scope.parameter(name + "/bias", {out}, Initialiser::zeros(), false);
  const Value y = ops::conv2d(g, x, weights, {.strides = {stride, stride}, .pads = {pad, pad, pad, pad}});
  return ops::add(g, y, ops::reshape(g, bias, {out, 1, 1}));
}

/// 1x1, 3x3 with the stride, 1x1; plus the operand, brought to the result's shape where that differs.
Value bottleneck(Scope& scope, const std::string& name, Value x, int64_t width, int64_t stride) {
  Graph& g = scope.graph();
  Value y = ops::relu(g, convolution(scope, name + "/conv1", x, width, 1, 1));
  y = ops::relu(g, convolution(scope, name + "/conv2", y, width, 3, stride));
  // Smaller weights than the others' start: no normalisation keeps the sum over all blocks from growing.
  y = convolution(scope, name + "/conv3", y, kExpansion * width, 1, 1, 0.25);
  if (stride != 1 || g.type(x).shape[1] != Dim(kExpansion * width))
    x = convolution(scope, name + "/shortcut", x, kExpansion * width, 1, stride, 1);
  return ops::relu(g, ops::add(g, y, x));
}

}  // namespace

Value resnet(Scope& scope, const std::string& name, Value x, const ResnetOptions& options) {
  Graph& g = scope.graph();
  const Shape shape = g.type(x).shape;
  bool fits = shape.rank() == 4;
  for (int64_t axis = 1; fits && axis < 4; ++axis) fits = shape[axis].is_constant() && shape[axis].value() > 0;
  GREGALE_CHECK(fits, shape, "[resnet] needs [b, c, h, w] with constant extents beyond the batch, got {}",
                to_string(g.type(x)));
  GREGALE_CHECK(options.width >= 1 && options.classes >= 1, invalid_argument,
                "[resnet] width {} and classes {} must be positive", options.width, options.classes);
  const std::array<int64_t, 4> blocks = blocks_of(options.depth);
  x = ops::relu(g, convolution(scope, name + "/stem", x, options.width, 7, 2));
  x = ops::max_pool2d(g, x, {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}});
  for (size_t stage = 0; stage < blocks.size(); ++stage)
    for (int64_t block = 0; block < blocks[stage]; ++block)
      x = bottleneck(scope, fmt::format("{}/{}/{}", name, stage, block), x, options.width << stage,
                     stage > 0 && block == 0 ? 2 : 1);
  x = ops::mean(g, x, {2, 3});
  const double features = static_cast<double>(g.type(x).shape[1].value());
  return linear(scope, name + "/head", x, options.classes, true, Initialiser::normal(std::sqrt(1 / features)));
}

}  // namespace gregale::nn
