// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/compiled_case_for_tests.hpp"

namespace gregale::passes {
namespace {

Case mlp(int64_t rows, int64_t width, int64_t hidden, int layers = 1) {
  Case c("mlp");
  Value x = c.input({rows, width});
  for (int i = 0; i < layers; ++i) x = c.linear(ops::gelu(c.graph, c.linear(x, width, hidden)), hidden, width);
  c.graph.set_outputs({x});
  return c;
}

Case attention(int64_t b, int64_t l, int64_t heads, int64_t d, bool weights) {
  Case c("attention");
  Graph& g = c.graph;
  const int64_t width = heads * d;
  const Value x = c.input({b, l, width});
  const auto heads_of = [&](Value v) {
    return ops::transpose(g, ops::reshape(g, v, Shape{b, l, heads, d}), {0, 2, 1, 3});
  };
  const Value q = heads_of(weights ? c.linear(x, width, width) : c.input({b, l, width}));
  const Value k = heads_of(weights ? c.linear(x, width, width) : c.input({b, l, width}));
  const Value v = heads_of(weights ? c.linear(x, width, width) : c.input({b, l, width}));
  const Value scores = ops::mul(g, ops::matmul(g, q, k, false, true), 1 / std::sqrt(static_cast<double>(d)));
  const Value context = ops::matmul(g, ops::softmax(g, scores), v);
  Value y = ops::reshape(g, ops::transpose(g, context, {0, 2, 1, 3}), Shape{b, l, width});
  if (weights) y = ops::add(g, c.linear(y, width, width), x);
  g.set_outputs({y});
  return c;
}

Case norms(int64_t rows, int64_t width) {
  Case c("norms");
  Graph& g = c.graph;
  const Value x = c.input({rows, width}), r = c.input({rows, width});
  const Value sum = ops::add(g, ops::mul(g, x, 0.5), r);
  const Value y = ops::layer_norm(g, sum, c.weights({width}, 1), c.weights({width}, 1));
  g.set_outputs({ops::tanh(g, y), ops::mean(g, ops::square(g, y), {-1})});
  return c;
}

Case spectral(int64_t modes, int64_t blocks, int64_t in) {
  Case c("spectral");
  Graph& g = c.graph;
  const Value z =
      ops::transpose(g, ops::reshape(g, c.input({modes, blocks * in}), Shape{modes, blocks, in}), {1, 0, 2});
  const Value h =
      ops::relu(g, ops::add(g, ops::matmul(g, z, c.weights({blocks, in, in}, 0.3)), c.weights({blocks, 1, in}, 0.1)));
  const Value o = ops::softshrink(
      g, ops::add(g, ops::matmul(g, h, c.weights({blocks, in, in}, 0.3)), c.weights({blocks, 1, in}, 0.1)), 0.05);
  g.set_outputs({ops::reshape(g, ops::transpose(g, o, {1, 0, 2}), Shape{modes, blocks * in})});
  return c;
}

TEST(Fuse, Mlp) {
  check(mlp(37, 24, 40));
  check(mlp(1, 64, 64, 2));
  check(mlp(512, 64, 64, 2));
  check(mlp(130, 96, 1100));
}
TEST(Fuse, Attention) {
  check(attention(2, 33, 3, 16, false));
  check(attention(1, 128, 2, 64, true));
  check(attention(2, 70, 2, 32, true));
}
/// A matrix of one row a batch, and a b of its own for each.
TEST(Fuse, OneRowABatch) {
  Case c("rows");
  Graph& g = c.graph;
  const Value x = c.input({5, 1, 3}), y = c.input({5, 3, 40});
  g.set_outputs({ops::reshape(g, ops::tanh(g, ops::matmul(g, x, y)), Shape{5, 40})});
  check(c);
}
TEST(Fuse, Norms) {
  check(norms(70, 48));
  check(norms(3, 2000));
}
TEST(Fuse, SpectralBlocks) {
  check(spectral(90, 4, 12));
  check(spectral(501, 2, 48));
}

/// bf16 rounds where the policy says and nowhere else: against the interpreter of the lowered graph only values near
/// the middle of two neighbours differ.
TEST(Fuse, Bf16) {
  check(mlp(130, 96, 200), 4e-3, Precision::bf16);
  check(mlp(64, 64, 64, 2), 4e-3, Precision::bf16);
  check(attention(2, 70, 2, 32, true), 8e-3, Precision::bf16);
  check(norms(70, 48), 2e-6, Precision::bf16);
}
/// As near as fp32, on tiles where there are some.
TEST(Fuse, Fp32InParts) {
  check(mlp(130, 160, 600), 2e-6, Precision::fp32x3);
  check(mlp(33, 1100, 70), 2e-6, Precision::fp32x3);
  check(attention(2, 70, 2, 64, true), 2e-6, Precision::fp32x3);
}
/// What a row of a product gives depends on that row alone, also where others are out of tiles' range.
TEST(Fuse, RowsInPartsByThemselves) {
  const int64_t rows = 90, columns = 160;
  const Tensor x = values({rows, columns}, 9);
  Tensor wild = x.clone();
  for (const int64_t row : {3, 40, 89})
    for (int64_t j = 0; j < columns; ++j)
      wild.as<float>()[static_cast<size_t>(row * columns + j)] *= row == 40 ? 1e-38f : 1e30f;
  const auto run = [&](const Tensor& input) {
    Case c("rows");
    const Value in = c.graph.add_input("x", input.type());
    c.graph.set_outputs({ops::relu(c.graph, c.linear(in, columns, 300))});
    CompileOptions options;
    options.precision = Precision::fp32x3;
    ExecutionContext context(make_thread_team(2));
    return compile(c.graph, options).run(context, {input})[0];
  };
  const Tensor all = run(x), beside = run(wild);
  Tensor few(DType::f32, {7, columns});
  std::memcpy(few.data(), x.data(), static_cast<size_t>(few.bytes()));
  const Tensor some = run(few);
  EXPECT_EQ(std::memcmp(some.data(), all.data(), static_cast<size_t>(some.bytes())), 0);
  for (int64_t i = 0; i < rows; ++i) {
    if (i == 3 || i == 40 || i == 89) continue;
    EXPECT_EQ(std::memcmp(all.as<float>().data() + i * 300, beside.as<float>().data() + i * 300, 300 * 4), 0) << i;
  }
  for (int64_t j = 0; j < 300; ++j) EXPECT_TRUE(std::isfinite(beside.as<float>()[static_cast<size_t>(3 * 300 + j)]));
}
/// What bf16 costs in all.
TEST(Fuse, Bf16IsCloseToFp32) {
  for (const Case& c : {mlp(130, 96, 200), attention(2, 70, 2, 32, true)}) {
    CompileOptions options;
    options.precision = Precision::bf16;
    ExecutionContext context(make_thread_team(1));
    const std::vector<Tensor> low = compile(c.graph, options).run(context, c.inputs),
                              full = interpret(c.graph, c.inputs);
    expect_near(low[0], full[0], 2e-2);
    double difference = 0;
    for (size_t i = 0; i < full[0].as<float>().size(); ++i)
      difference = std::max(difference, static_cast<double>(std::abs(low[0].as<float>()[i] - full[0].as<float>()[i])));
    EXPECT_GT(difference, 1e-5) << "nothing was rounded";
  }
}

/// The products of a small network meet in one program; attention's scores never leave it.
TEST(Fuse, JoinsProductsWhereBytesFall) {
  EXPECT_EQ(steps_of(compile(mlp(512, 64, 64, 2).graph)), 1);
  EXPECT_EQ(steps_of(compile(attention(2, 128, 12, 64, false).graph)), 1);
  EXPECT_EQ(steps_of(compile(norms(70, 48).graph)), 1);
}

/// Rows never know of other rows.
TEST(Fuse, BitsDoNotDependOnTheNumberOfRows) {
  const Case large = mlp(300, 64, 128, 2);
  ExecutionContext context(make_thread_team(2));
  const Tensor whole = compile(large.graph).run(context, large.inputs)[0];
  for (const int64_t rows : {1, 7, 64, 129}) {
    Case small = mlp(rows, 64, 128, 2);
    small.inputs = {Tensor(DType::f32, {rows, 64})};
    std::memcpy(small.inputs[0].data(), large.inputs[0].data(), static_cast<size_t>(small.inputs[0].bytes()));
    const Tensor part = compile(small.graph).run(context, small.inputs)[0];
    EXPECT_EQ(0, std::memcmp(part.data(), whole.data(), static_cast<size_t>(part.bytes()))) << rows;
  }
}

TEST(Fuse, ProgramsAreWhatTheySay) {
  check_programs(mlp(512, 64, 64, 2));
  check_programs(mlp(700, 256, 1024));
  check_programs(attention(2, 128, 4, 64, true));
  check_programs(norms(2000, 768));
  check_programs(spectral(2000, 4, 64));
}

}  // namespace
}  // namespace gregale::passes
