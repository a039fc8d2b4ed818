// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "gregale/ops.hpp"
#include "onnx/compose.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {
namespace {

/// The loss of log probabilities [n, c, d...] for classes [n, d...], operand 1, with weights of classes, operand 2.
Value negative_log_likelihood(OnnxNode& n, Value log_p) {
  Graph& g = n.graph();
  const Type type = g.type(log_p);
  const Extents extents = type.shape.extents();
  const auto rank = static_cast<int64_t>(extents.size());
  if (rank < 2) n.fail(fmt::format("its operand has rank {}", rank));
  Extents targets = extents;
  targets.erase(targets.begin() + 1);
  if (n.extents(1) != targets) n.fail(fmt::format("classes are {} for {}", to_string(n.type(1)), to_string(type)));
  const int64_t classes = extents[1];
  Extents apart = extents;
  apart[1] = 1;
  const Value target = ops::cast(g, n.input(1), DType::i64);
  const Value which = ops::equal(g, ops::reshape(g, target, Shape(apart)), positions(g, DType::i64, classes, 1, rank));
  const Value zero = scalar_like(g, log_p, 0);
  // What each class weighs where it is the target.
  Value weight;
  if (n.has_input(2)) {
    if (n.extents(2) != Extents{classes}) n.fail(fmt::format("weights are {}", to_string(n.type(2))));
    Extents shape(static_cast<size_t>(rank), 1);
    shape[1] = classes;
    const Value chosen = ops::select(g, which, ops::reshape(g, n.input(2), Shape(std::move(shape))), zero);
    weight = ops::sum(g, chosen, {1});
  }
  Value loss = ops::neg(g, ops::sum(g, ops::select(g, which, log_p, zero), {1}));
  if (n.has("ignore_index")) {
    const Value ignored = ops::equal(g, target, integer_scalar(g, DType::i64, n.integer("ignore_index", 0)));
    weight = ops::select(g, ignored, zero, weight.valid() ? weight : scalar_like(g, log_p, 1));
  }
  if (weight.valid()) loss = ops::mul(g, loss, weight);
  const std::string reduction = n.string("reduction", "mean");
  if (reduction == "none") return loss;
  if (reduction == "sum") return ops::sum(g, loss);
  if (reduction != "mean") n.fail(fmt::format("reduction is '{}'", reduction));
  return weight.valid() ? ops::div(g, ops::sum(g, loss), ops::sum(g, weight)) : ops::mean(g, loss);
}

// --- optimisers: rate, count of updates, then all tensors, all their gradients, all of each state ---

using Domain = const char*;
constexpr Domain kTraining = "ai.onnx.preview.training";

/// update(x, gradient, states) gives the new x and states; results are all x, then all of each state.
std::vector<Value> update_each(OnnxNode& n, int64_t states,
                               const std::function<std::vector<Value>(Value, Value, std::vector<Value>)>& update) {
  const int64_t each = 2 + states, tensors = (n.input_count() - 2) / each;
  if (tensors < 1 || 2 + tensors * each != n.input_count()) n.fail(fmt::format("it has {} inputs", n.input_count()));
  std::vector<Value> results(static_cast<size_t>(tensors * (1 + states)));
  for (int64_t i = 0; i < tensors; ++i) {
    const auto operand = [&](int64_t kind) { return n.input(2 + kind * tensors + i); };
    std::vector<Value> state;
    for (int64_t s = 0; s < states; ++s) state.push_back(operand(2 + s));
    const std::vector<Value> updated = update(operand(0), operand(1), std::move(state));
    for (int64_t k = 0; k < 1 + states; ++k)
      results[static_cast<size_t>(k * tensors + i)] = updated[static_cast<size_t>(k)];
  }
  return results;
}

/// The rate, as x's dtype.
Value rate_of(OnnxNode& n, Value x) { return ops::cast(n.graph(), as_scalar(n, 0), n.graph().type(x).dtype); }
/// The count of updates, as x's dtype.
Value count_of(OnnxNode& n, Value x) { return ops::cast(n.graph(), as_scalar(n, 1), n.graph().type(x).dtype); }
/// gradient + coefficient x
Value regularised(Graph& g, Value gradient, Value x, double coefficient) {
  return coefficient == 0 ? gradient : ops::add(g, gradient, ops::mul(g, x, coefficient));
}

std::vector<Value> adagrad(OnnxNode& n) {
  Graph& g = n.graph();
  const double decay = n.real("decay_factor", 0), epsilon = n.real("epsilon", 0), norm = n.real("norm_coefficient", 0);
  return update_each(n, 1, [&](Value x, Value gradient, std::vector<Value> h) {
    const Value slower = ops::add(g, ops::mul(g, count_of(n, x), decay), 1.0);
    const Value rate = ops::div(g, rate_of(n, x), slower);
    const Value d = regularised(g, gradient, x, norm);
    const Value squares = ops::add(g, h[0], ops::square(g, d));
    const Value step = ops::div(g, d, ops::add(g, ops::sqrt(g, squares), epsilon));
    return std::vector{ops::sub(g, x, ops::mul(g, step, rate)), squares};
  });
}

std::vector<Value> adam(OnnxNode& n) {
  Graph& g = n.graph();
  const double alpha = n.real("alpha", 0.9), beta = n.real("beta", 0.999), epsilon = n.real("epsilon", 1e-6);
  const double norm = n.real("norm_coefficient", 0), after = n.real("norm_coefficient_post", 0);
  return update_each(n, 2, [&](Value x, Value gradient, std::vector<Value> state) {
    const Value d = regularised(g, gradient, x, norm);
    const Value v = ops::add(g, ops::mul(g, state[0], alpha), ops::mul(g, d, 1 - alpha));
    const Value h = ops::add(g, ops::mul(g, state[1], beta), ops::mul(g, ops::square(g, d), 1 - beta));
    const Value count = count_of(n, x);
    const auto missing = [&](double base) {  // 1 - base^count
      return ops::add(g, ops::neg(g, ops::pow(g, scalar_like(g, x, base), count)), 1.0);
    };
    const Value first = ops::equal(g, count, scalar_like(g, x, 0));
    const Value corrected = ops::mul(g, rate_of(n, x), ops::div(g, ops::sqrt(g, missing(beta)), missing(alpha)));
    const Value rate = ops::select(g, first, rate_of(n, x), corrected);
    const Value step = ops::div(g, ops::mul(g, v, rate), ops::add(g, ops::sqrt(g, h), epsilon));
    Value y = ops::sub(g, x, step);
    if (after != 0) y = ops::mul(g, y, 1 - after);
    return std::vector{y, v, h};
  });
}

std::vector<Value> momentum(OnnxNode& n) {
  Graph& g = n.graph();
  const double alpha = n.real("alpha", 0.9), beta = n.real("beta", 1), norm = n.real("norm_coefficient", 0);
  const std::string mode = n.string("mode", "standard");
  if (mode != "standard" && mode != "nesterov") n.fail(fmt::format("mode is '{}'", mode));
  return update_each(n, 1, [&](Value x, Value gradient, std::vector<Value> v) {
    const Value d = regularised(g, gradient, x, norm);
    // The first update takes the gradient as it is.
    const Value share = ops::select(g, ops::equal(g, count_of(n, x), scalar_like(g, x, 0)), scalar_like(g, x, 1),
                                    scalar_like(g, x, beta));
    const Value speed = ops::add(g, ops::mul(g, v[0], alpha), ops::mul(g, d, share));
    const Value step = mode == "standard" ? speed : ops::add(g, d, ops::mul(g, speed, alpha));
    return std::vector{ops::sub(g, x, ops::mul(g, step, rate_of(n, x))), speed};
  });
}

}  // namespace

std::vector<OnnxMapping> loss_mappings() {
  constexpr int64_t always = std::numeric_limits<int64_t>::max();
  return {
      {"NegativeLogLikelihoodLoss", 1, [](OnnxNode& n) { return std::vector{negative_log_likelihood(n, n.input(0))}; }},
      {"SoftmaxCrossEntropyLoss", 1,
       [](OnnxNode& n) {
         if (n.rank(0) < 2) n.fail(fmt::format("its operand has rank {}", n.rank(0)));
         const Value log_p = log_softmax(n.graph(), n.input(0), 1);
         return std::vector{negative_log_likelihood(n, log_p), log_p};
       }},
      {"Adagrad", 1, adagrad, always, kTraining},
      {"Adam", 1, adam, always, kTraining},
      {"Momentum", 1, momentum, always, kTraining},
  };
}

}  // namespace gregale::onnx
