// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
//
// Trains a small network on a function of two variables, and tells how well it did.
#include <cmath>
#include <cstdio>

#include "gregale/train.hpp"

using namespace gregale;

int main() {
  // 256 points of z = sin(3x) y, x and y between -1 and 1.
  Tensor points(DType::f32, {256, 2}), values(DType::f32, {256, 1});
  for (uint64_t i = 0; i < 256; ++i) {
    const float x = 2 * random_uniform({}, 2 * i) - 1, y = 2 * random_uniform({}, 2 * i + 1) - 1;
    points.as<float>()[2 * i] = x;
    points.as<float>()[2 * i + 1] = y;
    values.as<float>()[i] = std::sin(3 * x) * y;
  }

  // The program: a network, and how far it is from the values.
  Graph graph("fit");
  const Value x = graph.add_input("points", points.type()), z = graph.add_input("values", values.type());
  nn::Scope scope(graph);
  const Value loss = nn::mse_loss(graph, nn::mlp(scope, "net", x, {.width = 32, .depth = 2}), z);

  // Training: forward, backward and update are one compiled step.
  TrainingStep step(std::move(graph), scope, loss, {.optimizer = {.learning_rate = 5e-3}});
  VariableValues state = step.initial_state(/*seed=*/0);
  ExecutionContext context;
  double error = 0;
  for (int i = 0; i < 600; ++i) error = step.run(context, {points, values}, state).loss;
  std::printf("mean square error after 600 steps: %.6f\n", error);
  return error < 1e-3 ? 0 : 1;
}
