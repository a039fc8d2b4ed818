// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/exec.hpp"
#include "gregale/nn.hpp"
#include "gregale/random.hpp"

namespace gregale {
namespace {

/// Compiled with its weights frozen it gives what the interpreter gives, and the input is still there at the end.
TEST(Resnet, RunsAsItIsInterpreted) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {2, 3, 37, 45}));
  nn::Scope scope(g);
  g.set_outputs({nn::resnet(scope, "r", x, {.classes = 5, .width = 2})});
  VariableValues state = scope.initial_values(1);
  Tensor image(DType::f32, {2, 3, 37, 45});
  for (uint64_t i = 0; float& v : image.as<float>()) v = random_normal({3, 0, 0}, i++);
  const Tensor expected = interpret(g, {image}, &state)[0];
  const Executable program = compile(freeze(g, state));
  EXPECT_EQ(program.reference_steps(), 0) << program.describe();
  ExecutionContext context(make_thread_team(2));
  const Tensor y = program.run(context, {image})[0];
  for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(y.as<float>()[i], expected.as<float>()[i], 1e-4);
  EXPECT_GT(std::abs(y.as<float>()[0] - y.as<float>()[5]), 1e-3) << "two images, one answer";
}

}  // namespace
}  // namespace gregale
