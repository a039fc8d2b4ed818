// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Groups of the backward pass.
#include "gregale/autodiff.hpp"
#include "passes/compiled_case_for_tests.hpp"

namespace gregale::passes {
namespace {

/// Replaces a case's results by the gradients of a mean square in the given values.
void differentiate(Case& c, Value y, const std::vector<Value>& wrt) {
  c.graph.set_outputs(gradients(c.graph, ops::mean(c.graph, ops::square(c.graph, y)), wrt));
}

/// A layer norm between a linear layer and a residual: its gradient, the residual's and the bias gradient.
Case normalisation(int64_t rows, int64_t columns) {
  Case c(fmt::format("normalisation{}x{}", rows, columns));
  Graph& g = c.graph;
  const Value x = c.input({rows, columns}), gamma = c.input({columns}), beta = c.input({columns}),
              bias = c.input({columns}), target = c.input({rows, columns});
  const Value h = ops::add(g, x, bias);
  const Value y = ops::add(g, ops::layer_norm(g, h, gamma, beta, 1e-3), h);
  differentiate(c, ops::sub(g, y, target), {x, gamma, beta, bias});
  return c;
}

Case perceptron(int64_t rows, int64_t width, int64_t hidden) {
  Case c("perceptron");
  Graph& g = c.graph;
  const Value x = c.input({rows, width}), w1 = c.input({width, hidden}), b1 = c.input({hidden}),
              w2 = c.input({hidden, width});
  const Value h = ops::gelu(g, ops::add(g, ops::matmul(g, ops::mul(g, x, 0.3), w1), b1));
  differentiate(c, ops::matmul(g, h, w2), {x, w1, b1, w2});
  return c;
}

int64_t groups_with(const Executable& e, const std::string& name) {
  int64_t count = 0;
  for (const auto& group : e.groups())
    count += group.body != nullptr && group.body->name().find(name) != std::string::npos;
  return count;
}

TEST(FuseBackward, NormalisationWithResidualAndBias) {
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{40, 24}, {1, 7}, {33, 129}, {200, 64}})
    check(normalisation(rows, columns), 2e-5);
}

TEST(FuseBackward, NormalisationIsOneGroupWithItsSums) {
  const Case c = normalisation(256, 64);
  const Executable e = compile(c.graph);
  SCOPED_TRACE(e.describe());
  int64_t sums = 0;
  for (const auto& group : e.groups())
    if (group.program != nullptr) sums += tile::print(group.program->program()).find("column_sum") != std::string::npos;
  EXPECT_EQ(sums, 1) << "the gradients of scale, shift and bias are sums of the group that makes d_x";
  EXPECT_EQ(steps_of(e), 1);
}

TEST(FuseBackward, SumsOverRowsDoNotDependOnTheTarget) {
  const Case c = normalisation(300, 48);
  std::vector<std::vector<Tensor>> results;
  for (const int cores : {1, 2, 7})
    for (const int64_t l2 : {int64_t{1} << 18, int64_t{1} << 21}) {
      CompileOptions options;
      options.target.cores = cores;
      options.target.l2_bytes = l2;
      ExecutionContext context(make_thread_team(2));
      results.push_back(compile(c.graph, options).run(context, c.inputs));
      for (size_t i = 0; i < results[0].size(); ++i) EXPECT_TRUE(results.back()[i].identical(results[0][i])) << i;
    }
}

TEST(FuseBackward, DerivativesOfActivationsAreEpilogues) {
  const Case c = perceptron(96, 64, 128);
  check(c, 1e-5);
  const Executable e = compile(c.graph);
  SCOPED_TRACE(e.describe());
  EXPECT_EQ(groups_with(e, "matmul mul erf"), 1);
}

TEST(FuseBackward, ProgramsAreWhatTheySay) { check_programs(normalisation(256, 64)); }

TEST(FuseBackward, Bf16) {
  check(normalisation(64, 32), 2e-2, Precision::bf16);
  check(perceptron(64, 48, 96), 2e-2, Precision::bf16);
}

}  // namespace
}  // namespace gregale::passes
