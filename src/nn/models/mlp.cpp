// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

using Activation = Value (*)(Graph&, Value);

Activation activation_of(const std::string& name) {
  if (name == "gelu") return ops::gelu;
  if (name == "relu") return ops::relu;
  if (name == "silu") return ops::silu;
  GREGALE_CHECK(name == "tanh", invalid_argument, "[mlp] activation '{}' is none of gelu, relu, silu, tanh", name);
  return ops::tanh;
}

}  // namespace

Value mlp(Scope& scope, const std::string& name, Value x, const MlpOptions& options) {
  Graph& g = scope.graph();
  const Activation activation = activation_of(options.activation);
  GREGALE_CHECK(options.depth >= 0, invalid_argument, "[mlp] depth {} is negative", options.depth);
  GREGALE_CHECK(options.width >= 1 && options.out >= 1, invalid_argument, "[mlp] width {} and out {} must be positive",
                options.width, options.out);
  const auto fan_in = [&] {
    const Shape& shape = g.type(x).shape;
    GREGALE_CHECK(shape.rank() >= 1 && shape[shape.rank() - 1].is_constant(), shape,
                  "[mlp] '{}' needs a constant last axis, got {}", name, to_string(g.type(x)));
    return static_cast<double>(std::max<int64_t>(shape[shape.rank() - 1].value(), 1));
  };
  for (int64_t i = 0; i < options.depth; ++i) {
    const auto he = Initialiser::normal(std::sqrt(2 / fan_in()));
    x = activation(g, linear(scope, fmt::format("{}/{}", name, i), x, options.width, true, he));
    x = dropout(scope, x, options.dropout);
  }
  const auto last = options.zero_head ? Initialiser::zeros() : Initialiser::normal(std::sqrt(1 / fan_in()));
  return linear(scope, name + "/out", x, options.out, true, last);
}

}  // namespace gregale::nn
