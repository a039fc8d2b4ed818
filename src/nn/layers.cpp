// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

/// The extent of the last axis, which layers must know.
int64_t channels(Graph& g, Value x, const char* who, const std::string& name) {
  const Shape& shape = g.type(x).shape;
  GREGALE_CHECK(shape.rank() >= 1 && shape[shape.rank() - 1].is_constant(), shape,
                "[{}] '{}' needs a constant last axis, got {}", who, name, to_string(g.type(x)));
  return shape[shape.rank() - 1].value();
}

}  // namespace

Value linear(Scope& scope, const std::string& name, Value x, int64_t out, bool bias, Initialiser weights) {
  Graph& g = scope.graph();
  const int64_t in = channels(g, x, "linear", name);
  GREGALE_CHECK(out >= 1, invalid_argument, "[linear] '{}' cannot have {} outputs", name, out);
  const Value w = scope.parameter(name + "/weight", {in, out}, weights);
  Shape shape = g.type(x).shape;
  // One matrix where the number of rows is known, so that the gradient of the weights is one product and no sum of
  // many.
  const bool flatten = shape.rank() != 2 && shape.is_constant();
  if (flatten) x = ops::reshape(g, x, {shape.elements() / std::max<int64_t>(in, 1), in});
  Value y = ops::matmul(g, x, w);
  if (bias) y = ops::add(g, y, scope.parameter(name + "/bias", {out}, Initialiser::zeros(), false));
  if (!flatten) return y;
  shape[shape.rank() - 1] = Dim(out);
  return ops::reshape(g, y, shape);
}

Value layer_norm(Scope& scope, const std::string& name, Value x, double epsilon) {
  Graph& g = scope.graph();
  const int64_t c = channels(g, x, "layer_norm", name);
  const Value gamma = scope.parameter(name + "/gamma", {c}, Initialiser::ones(), false);
  const Value beta = scope.parameter(name + "/beta", {c}, Initialiser::zeros(), false);
  return ops::layer_norm(g, x, gamma, beta, epsilon);
}

Value dropout(Scope& scope, Value x, double rate) {
  GREGALE_CHECK(rate >= 0 && rate < 1, invalid_argument, "[dropout] rate {} is outside [0, 1)", rate);
  if (rate == 0 || !scope.key().valid()) return x;
  return ops::dropout(scope.graph(), x, scope.key(), rate, scope.next_stream());
}

Value feed_forward(Scope& scope, const std::string& name, Value x, int64_t hidden, int64_t out, double dropout_rate) {
  x = ops::gelu(scope.graph(), linear(scope, name + "/fc1", x, hidden));
  x = dropout(scope, x, dropout_rate);
  return dropout(scope, linear(scope, name + "/fc2", x, out), dropout_rate);
}

}  // namespace gregale::nn
