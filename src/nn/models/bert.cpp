// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {

Value bert_layer(Scope& scope, const std::string& name, Value x, const BertLayerOptions& options) {
  Graph& g = scope.graph();
  const Shape shape = g.type(x).shape;
  GREGALE_CHECK(shape.rank() == 3 && shape[2].is_constant(), shape,
                "[bert_layer] needs [b, l, width] with a constant width, got {}", to_string(g.type(x)));
  const int64_t width = shape[2].value(), heads = options.heads;
  GREGALE_CHECK(heads >= 1, invalid_argument, "[bert_layer] heads {} must be positive", heads);
  GREGALE_CHECK(width >= 1 && width % heads == 0, invalid_argument,
                "[bert_layer] width {} is not a multiple of heads {}", width, heads);
  GREGALE_CHECK(options.hidden >= 1, invalid_argument, "[bert_layer] hidden {} must be positive", options.hidden);
  const int64_t head = width / heads;
  constexpr double kEpsilon = 1e-12;  // the published one

  const auto heads_of = [&](const char* part) {  // [b, heads, l, head]
    const Value y = linear(scope, name + "/attention/" + part, x, width);
    return ops::transpose(g, ops::reshape(g, y, {shape[0], shape[1], heads, head}), {0, 2, 1, 3});
  };
  const Value query = heads_of("query"), key = heads_of("key"), value = heads_of("value");
  Value scores = ops::matmul(g, query, key, false, /*transpose_b=*/true);
  scores = ops::mul(g, scores, 1 / std::sqrt(static_cast<double>(head)));
  Value context = ops::matmul(g, ops::softmax(g, scores), value);
  context = ops::reshape(g, ops::transpose(g, context, {0, 2, 1, 3}), shape);
  context = dropout(scope, linear(scope, name + "/attention/output", context, width), options.dropout);
  x = layer_norm(scope, name + "/norm1", ops::add(g, x, context), kEpsilon);
  const Value y = feed_forward(scope, name + "/mlp", x, options.hidden, width, options.dropout);
  return layer_norm(scope, name + "/norm2", ops::add(g, x, y), kEpsilon);
}

}  // namespace gregale::nn
