// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
//
// Every public header, and one use of each layer below them: build a graph, differentiate it, compile it, run it; and
// an emulator that is not there, so that the readers of files are linked too.
#include <cstdio>

#include "gregale/autodiff.hpp"
#include "gregale/context.hpp"
#include "gregale/dtype.hpp"
#include "gregale/emulator.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "gregale/graph.hpp"
#include "gregale/nn.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "gregale/tensor.hpp"
#include "gregale/train.hpp"
#include "gregale/type.hpp"

using namespace gregale;

int main() {
  Graph graph("consumer");
  const Value x = graph.add_input("x", {DType::f32, {3}});
  const Value y = ops::sum(graph, ops::square(graph, x));
  const Value d_x = gradients(graph, y, {x}).at(0);
  graph.set_outputs({y, d_x}, {"y", "d_x"});
  Tensor two(DType::f32, {3});
  for (float& element : two.as<float>()) element = 2;
  ExecutionContext context;
  const std::vector<Tensor> results = compile(graph).run(context, {two});
  const char* refusal = "none";
  try {
    Emulator::load("there-is-no-such-file.safetensors");
  } catch (const Error& error) {
    refusal = to_string(error.code());
  }
  std::printf("%g %g %s\n", results.at(0).as<float>()[0], results.at(1).as<float>()[0], refusal);
  return 0;
}
