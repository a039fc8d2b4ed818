// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <numeric>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

// Below this a sum of weights or of squares is nothing: divisions and roots stay finite, gradients zero.
constexpr double kNothing = 1e-24;

struct Fields {
  Value difference, truth;  // zero where the weight is: what is missing may be NaN
  Value weights;            // invalid, or of the fields' shape
};

Fields prepare(Graph& g, const char* who, Value prediction, Value truth, Value weights) {
  const Type type = g.type(prediction);
  GREGALE_CHECK(g.type(truth) == type, shape, "[{}] prediction is {} but truth is {}", who, to_string(type),
                to_string(g.type(truth)));
  if (!weights.valid()) return {ops::sub(g, prediction, truth), truth, {}};
  const Type& w = g.type(weights);
  GREGALE_CHECK(w.dtype == type.dtype && broadcast(w.shape, type.shape, who) == type.shape, shape,
                "[{}] weights {} do not broadcast to the fields {}", who, to_string(w), to_string(type));
  const Value zero = ops::scalar(g, type.dtype, 0);
  const Value counts = ops::not_equal(g, weights, zero);
  return {ops::select(g, counts, ops::sub(g, prediction, truth), zero), ops::select(g, counts, truth, zero),
          ops::broadcast_like(g, weights, prediction)};
}

Value weighted_mean(Graph& g, Value x, Value weights) {
  if (!weights.valid()) return ops::mean(g, x);
  const Value total = ops::sum(g, weights);
  return ops::div(g, ops::sum(g, ops::mul(g, x, weights)),
                  ops::maximum(g, total, ops::scalar(g, g.type(total).dtype, kNothing)));
}

}  // namespace

Value mse_loss(Graph& g, Value prediction, Value truth, Value weights) {
  const Fields f = prepare(g, "mse_loss", prediction, truth, weights);
  return weighted_mean(g, ops::square(g, f.difference), f.weights);
}

Value mae_loss(Graph& g, Value prediction, Value truth, Value weights) {
  const Fields f = prepare(g, "mae_loss", prediction, truth, weights);
  return weighted_mean(g, ops::abs(g, f.difference), f.weights);
}

Value relative_l2_loss(Graph& g, Value prediction, Value truth, Value weights) {
  const Fields f = prepare(g, "relative_l2_loss", prediction, truth, weights);
  const Type type = g.type(prediction);
  GREGALE_CHECK(type.rank() >= 2, shape, "[relative_l2_loss] needs a first axis of samples and fields after it, got {}",
                to_string(type));
  std::vector<int64_t> axes(static_cast<size_t>(type.rank() - 1));
  std::iota(axes.begin(), axes.end(), 1);
  const auto sum_of_squares = [&](Value x) {
    x = ops::square(g, x);
    return ops::sum(g, f.weights.valid() ? ops::mul(g, x, f.weights) : x, axes);
  };
  const Value least = ops::scalar(g, type.dtype, kNothing);
  const Value error = sum_of_squares(f.difference), size = sum_of_squares(f.truth);
  const Value ratio = ops::sqrt(g, ops::div(g, ops::maximum(g, error, least), ops::maximum(g, size, least)));
  // A sample that is met exactly, or wholly missing, counts 0 and pulls at nothing: a root has no slope there.
  return ops::mean(g, ops::select(g, ops::greater(g, error, least), ratio, ops::scalar(g, type.dtype, 0)));
}

Value loss(Graph& g, const std::string& name, Value prediction, Value truth, Value weights) {
  if (name == "mse") return mse_loss(g, prediction, truth, weights);
  if (name == "mae") return mae_loss(g, prediction, truth, weights);
  GREGALE_CHECK(name == "relative_l2", invalid_argument, "[loss] '{}' is none of mse, mae, relative_l2", name);
  return relative_l2_loss(g, prediction, truth, weights);
}

}  // namespace gregale::nn
