// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Programs with symbolic dims: compiled a shape, when they are run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "passes/random_network_for_tests.hpp"

namespace gregale::passes {
namespace {

using testing::HasSubstr;

constexpr int64_t kBound = 64;

/// A perceptron of two layers over f32[n, 7].
Graph symbolic_perceptron() {
  Graph g("perceptron");
  const auto weights = [&](const Extents& extents, uint32_t stream) {
    Tensor t(DType::f32, extents);
    for (uint64_t i = 0; float& v : t.as<float>()) v = random_uniform(RandomKey{3, 0, stream}, i++) - 0.5f;
    return g.constant(t);
  };
  const Value x = g.add_input("x", Type(DType::f32, Shape{Dim::symbol("n", kBound), Dim(7)}));
  const Value hidden = ops::tanh(g, ops::add(g, ops::matmul(g, x, weights({7, 20}, 1)), weights({20}, 2)));
  g.set_outputs({ops::matmul(g, hidden, weights({20, 5}, 3))}, {"y"});
  return g;
}

Tensor rows(int64_t n, int64_t width = 7) {
  Tensor t(DType::f32, {n, width});
  for (uint64_t i = 0; float& v : t.as<float>()) v = random_uniform(RandomKey{3, 1, 0}, i++);
  return t;
}

ExecutionContext caller() { return ExecutionContext(make_thread_team(1, TeamKind::caller)); }

TEST(Symbolic, RunsEveryShapeAsItsOwnGraph) {
  ExecutionContext context(make_thread_team(2));
  for (uint32_t seed = 0; seed < 24; ++seed) {
    const RandomNetwork network(seed, Dim::symbol("n", kBound));
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SCOPED_TRACE(print(network.graph()));
    const Executable program = compile(network.graph());
    EXPECT_TRUE(program.is_symbolic());
    for (const int64_t n : {3, 1, 8, 3, 1}) {
      const auto inputs = network.inputs(0, n), got = program.run(context, inputs);
      const Executable constant = compile(bind_symbols(network.graph(), {{"n", n}}));
      EXPECT_FALSE(constant.is_symbolic());
      const auto expected = constant.run(context, inputs);
      ASSERT_EQ(got.size(), expected.size());
      for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(expected[i])) << n << ", result " << i;
      EXPECT_EQ(program.bind({{"n", n}})->describe(), constant.describe()) << "as fused as with constant extents";
    }
    EXPECT_EQ(program.compilations(), 3);
  }
}

TEST(Symbolic, KeepsTheProgramsUsedLast) {
  CompileOptions options;
  options.kept_programs = 2;
  options.fuse = false;  // so that there is an arena
  const Executable program = compile(symbolic_perceptron(), options);
  EXPECT_EQ(program.compilations(), 0) << "nothing is known before the first run";
  ExecutionContext context = caller();
  const auto run = [&](int64_t n) {
    EXPECT_EQ(program.run(context, {rows(n)})[0].extents(), (Extents{n, 5}));
    return program.compilations();
  };
  EXPECT_EQ(run(1), 1);
  EXPECT_EQ(run(60), 2);
  EXPECT_EQ(run(1), 2);
  const int64_t largest = program.arena_bytes();
  EXPECT_EQ(largest, program.bind({{"n", 60}})->arena_bytes());
  EXPECT_GE(largest, 60 * 20 * 4);
  EXPECT_EQ(run(1), 2);
  const auto outlives = program.bind({{"n", 60}});
  EXPECT_EQ(run(1), 2);
  EXPECT_EQ(run(3), 3) << "60 makes room";
  EXPECT_EQ(run(1), 3);
  EXPECT_EQ(program.arena_bytes(), largest) << "the context still holds it";
  EXPECT_THAT(program.describe(), HasSubstr("symbolic, 2 programs kept of 3 compiled"));
  EXPECT_EQ(program.prepared_bytes(),
            program.bind({{"n", 1}})->prepared_bytes() + program.bind({{"n", 3}})->prepared_bytes());
  EXPECT_EQ(outlives->run(context, {rows(60)})[0].extents(), (Extents{60, 5}));
  EXPECT_EQ(run(60), 4);
}

TEST(Symbolic, TakesOutputsOfTheCaller) {
  const Executable program = compile(symbolic_perceptron());
  ExecutionContext context = caller();
  const std::vector<Tensor> inputs{rows(4)};
  std::vector<Tensor> outputs = program.make_outputs(inputs);
  program.run(context, inputs, outputs);
  EXPECT_TRUE(outputs[0].identical(program.run(context, inputs)[0]));
  EXPECT_EQ(program.compilations(), 1);
  outputs = program.make_outputs({rows(5)});
  expect_error(ErrorCode::shape, "output", [&] { program.run(context, inputs, outputs); });
}

TEST(Symbolic, RefusesWhatDoesNotFit) {
  Graph g("g");
  const Dim n = Dim::symbol("n", 8), m = Dim::symbol("m");
  const Value x = g.add_input("x", Type(DType::f32, Shape{n, Dim(3)})), y = g.add_input("y", g.type(x)),
              z = g.add_input("z", Type(DType::f32, Shape{m}));
  g.set_outputs({ops::add(g, x, y), ops::neg(g, z)});
  const Executable program = compile(g);
  ExecutionContext context = caller();
  const Tensor two = rows(2, 3), four = rows(4, 3), nine = rows(9, 3), vector(DType::f32, {5});
  const auto run = [&](std::vector<Tensor> inputs) { return [&, inputs] { program.run(context, inputs); }; };
  expect_error(ErrorCode::invalid_argument, "'g' takes 3 inputs, got 2", run({two, two}));
  expect_error(ErrorCode::shape, "[run] input 'x' is f32[n<=8,3], got f32[9,3]: n is at most 8",
               run({nine, nine, vector}));
  expect_error(ErrorCode::shape, "[run] input 'y' is f32[n<=8,3], got f32[4,3]: n is 2 in another operand",
               run({two, four, vector}));
  expect_error(ErrorCode::shape, "[run] input 'z' is f32[m], got f32[2,3]", run({two, two, two}));
  expect_error(ErrorCode::shape, "[run] input 'x' is f32[n<=8,3], got f32[2,4]", run({rows(2, 4), two, vector}));
  expect_error(ErrorCode::shape, "got f64[2,3]", run({two.cast(DType::f64), two, vector}));
  EXPECT_EQ(program.compilations(), 0) << "nothing is compiled for what is refused";
  run({two, two, vector})();
  expect_error(ErrorCode::shape, "input 'y' is f32[2,3], got f32[4,3]", run({two, four, vector}));
  expect_error(ErrorCode::shape, "needs an extent for 'm'", [&] { program.bind({{"n", 2}}); });
  expect_error(ErrorCode::shape, "n = 9 is outside [0, 8]", [&] { program.bind({{"n", 9}, {"m", 1}}); });
  expect_error(ErrorCode::shape, "n = -1 is outside [0, 8]", [&] { program.bind({{"n", -1}, {"m", 1}}); });
  expect_error(ErrorCode::shape, "[groups] 'g' is symbolic", [&] { program.groups(); });
  expect_error(ErrorCode::shape, "[flops] 'g' is symbolic", [&] { program.flops(); });
  EXPECT_EQ(program.compilations(), 1);
  CompileOptions options;
  options.kept_programs = 0;
  expect_error(ErrorCode::invalid_argument, "kept_programs must be positive, not 0", [&] { compile(g, options); });
}

TEST(Symbolic, BindsVariablesToo) {
  const Type type(DType::f32, Shape{Dim::symbol("n"), Dim(2)});
  Graph g("g");
  const int64_t sum = g.add_variable("sum", type);
  const Value x = g.add_input("x", Type(DType::f32, Shape{2}));
  g.write(sum, ops::add(g, g.read(sum), x));
  g.set_outputs({g.read(sum)});
  const Executable program = compile(g);
  ExecutionContext context = caller();
  for (const int64_t n : {3, 5}) {
    VariableValues state{{"sum", Tensor::full(DType::f32, {n, 2}, 1)}};
    const std::vector<Tensor> got = program.run(context, {Tensor::full(DType::f32, {2}, 2)}, &state);
    EXPECT_TRUE(got[0].identical(Tensor::full(DType::f32, {n, 2}, 3)));
    EXPECT_TRUE(state.at("sum").identical(got[0]));
  }
  VariableValues empty;
  expect_error(ErrorCode::invalid_argument, "variable 'sum' has no value",
               [&] { program.run(context, {Tensor(DType::f32, {2})}, &empty); });
  EXPECT_EQ(program.compilations(), 2);
}

TEST(Symbolic, KeepsTheBudgetForEveryShape) {
  CompileOptions options;
  options.fuse = false;
  options.target.memory_budget = 1;
  try {
    compile(bind_symbols(symbolic_perceptron(), {{"n", 10}}), options);
    FAIL() << "accepted";
  } catch (const BudgetError& e) {
    options.target.memory_budget = e.least();
  }
  const Executable program = compile(symbolic_perceptron(), options);
  ExecutionContext context = caller();
  program.run(context, {rows(10)});
  expect_error(ErrorCode::out_of_memory, "'perceptron' needs", [&] { program.run(context, {rows(64)}); });
  EXPECT_EQ(program.compilations(), 1) << "what was refused is not kept";
  program.run(context, {rows(9)});
}

TEST(Symbolic, ServesThreadsTogether) {
  CompileOptions options;
  options.kept_programs = 3;
  const Executable program = compile(symbolic_perceptron(), options);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      ExecutionContext context = caller();
      const Tensor all = compile(bind_symbols(symbolic_perceptron(), {{"n", kBound}})).run(context, {rows(kBound)})[0];
      for (int64_t round = 0; round < 40; ++round) {
        const int64_t n = 1 + (round * (1 + static_cast<int64_t>(t)) + static_cast<int64_t>(t)) % 5;
        const Tensor got = program.run(context, {rows(n)})[0];  // rows are a prefix of all rows
        wrong[t] += !std::equal(got.as<float>().begin(), got.as<float>().end(), all.as<float>().begin());
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
  EXPECT_GE(program.compilations(), 5);
}

}  // namespace
}  // namespace gregale::passes
