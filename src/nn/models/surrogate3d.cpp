// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

const std::vector<int64_t> kToLast{0, 2, 3, 4, 1}, kToFirst{0, 4, 1, 2, 3};

/// Of a cube of `size` (odd) points with zeros around the volume, channels last.
Value convolution3d(Scope& scope, const std::string& name, Value x, int64_t out, int64_t size, double gain) {
  Graph& g = scope.graph();
  const int64_t in = g.type(x).shape[4].value(), pad = size / 2;
  const auto init = Initialiser::normal(std::sqrt(gain / static_cast<double>(in * size * size * size)));
  const Value weights = scope.parameter(name + "/weight", {size, size, size, in, out}, init);
  const Value bias = scope.parameter(name + "/bias", {out}, Initialiser::zeros(), false);
  return ops::add(g, ops::conv3d_ndhwc(g, x, weights, {.pads = {pad, pad, pad, pad, pad, pad}}), bias);
}

}  // namespace

Value surrogate3d(Scope& scope, const std::string& name, Value x, const Surrogate3dOptions& options) {
  Graph& g = scope.graph();
  const Shape shape = g.type(x).shape;
  bool fits = shape.rank() == 5;
  for (int64_t axis = 1; fits && axis < 5; ++axis) fits = shape[axis].is_constant() && shape[axis].value() > 0;
  GREGALE_CHECK(fits, shape, "[surrogate3d] needs [b, c, d, h, w] with constant extents beyond the batch, got {}",
                to_string(g.type(x)));
  GREGALE_CHECK(options.width >= 1 && options.depth >= 1 && options.out >= 1, invalid_argument,
                "[surrogate3d] width {}, depth {} and out {} must be positive", options.width, options.depth,
                options.out);
  x = ops::transpose(g, x, kToLast);
  for (int64_t layer = 0; layer < options.depth; ++layer) {
    const Value y = ops::gelu(g, convolution3d(scope, fmt::format("{}/{}", name, layer), x, options.width, 3, 2));
    x = layer == 0 ? y : ops::add(g, x, y);
  }
  return ops::transpose(g, convolution3d(scope, name + "/head", x, options.out, 1, 1), kToFirst);
}

}  // namespace gregale::nn
