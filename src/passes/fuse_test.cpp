// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "exec/plan.hpp"
#include "gregale/exec.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/interpret.hpp"
#include "kernels/kernel_cache.hpp"
#include "passes/passes.hpp"
#include "tile/ledger.hpp"
#include "tile/lower_region.hpp"

namespace gregale::passes {
namespace {

Tensor values(const Extents& extents, uint32_t stream, double scale = 1) {
  Tensor t(DType::f32, extents);
  for (uint64_t i = 0; float& x : t.as<float>())
    x = static_cast<float>(scale * (2 * random_uniform(RandomKey{1, 2, stream}, i++) - 1));
  return t;
}

/// A graph whose weights are constants, and the inputs of one run.
struct Case {
  explicit Case(const std::string& name) : graph(name) {}
  Graph graph;
  std::vector<Tensor> inputs;
  uint32_t streams = 0;
  Value input(const Extents& extents) {
    inputs.push_back(values(extents, ++streams));
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(DType::f32, Shape(extents)));
  }
  Value weights(const Extents& extents, double scale) { return graph.constant(values(extents, ++streams, scale)); }
  Value linear(Value x, int64_t in, int64_t out) {
    const Value w = weights({in, out}, 1 / std::sqrt(static_cast<double>(in)));
    return ops::add(graph, ops::matmul(graph, x, w), weights({out}, 0.1));
  }
};

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

int64_t steps_of(const Executable& e) {
  const std::string text = e.describe();
  return std::count(text.begin(), text.end(), '\n') - 1;
}

void expect_near(const Tensor& got, const Tensor& expected, double tolerance) {
  double scale = 0, worst = 0;
  for (const float x : expected.as<float>()) scale = std::max(scale, static_cast<double>(std::abs(x)));
  for (size_t i = 0; i < expected.as<float>().size(); ++i) {
    const double error =
        std::abs(static_cast<double>(got.as<float>()[i]) - static_cast<double>(expected.as<float>()[i]));
    worst = std::isfinite(error) ? std::max(worst, error) : 1e30;
  }
  EXPECT_LE(worst, tolerance * scale);
}

std::vector<Isa> isas() {
  std::vector<Isa> all{Isa::reference};
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (Target::detect().isa >= isa) all.push_back(isa);
  return all;
}

void check(const Case& c, double tolerance = 2e-6, Precision precision = Precision::fp32) {
  const std::vector<Tensor> expected =
      interpret(precision == Precision::bf16 ? lower_precision(c.graph) : c.graph, c.inputs);
  for (const Isa isa : isas()) {
    SCOPED_TRACE(fmt::format("{} {}", c.graph.name(), to_string(isa)));
    CompileOptions options;
    options.precision = precision;
    options.target = Target::detect().capped(isa);
    const Executable e = compile(c.graph, options);
    SCOPED_TRACE(e.describe());
    ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
    const std::vector<Tensor> got = e.run(one, c.inputs);
    for (size_t i = 0; i < got.size(); ++i) expect_near(got[i], expected[i], tolerance);
    const std::vector<Tensor> again = e.run(two, c.inputs);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(again[i])) << "two threads, result " << i;
  }
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

/// Every group's program: text and back, the interpreter of tile programs against the executor, the prediction of bytes
/// against the simulated cache.
void check_programs(const Case& c) {
  CompileOptions options;
  options.target.cores = 2;
  const Executable e = compile(c.graph, options);
  int groups = 0;
  for (const auto& group : e.groups()) {
    if (group.program == nullptr) continue;
    ++groups;
    const tile::TileProgram& p = group.program->program();
    SCOPED_TRACE(tile::print(p));
    EXPECT_EQ(tile::print(tile::parse_program(tile::print(p))), tile::print(p));
    const tile::Traffic predicted = tile::predict(p, options.target),
                        counted = tile::simulate(*group.program, options.target, 2);
    EXPECT_NEAR(predicted.bytes / counted.bytes, 1, 0.1)
        << predicted.bytes << " predicted, " << counted.bytes << " counted";
    EXPECT_LE(predicted.least, counted.bytes * 1.01);
    std::vector<Tensor> memory, same;
    std::vector<void*> arguments, twice;
    for (const tile::Buffer& b : p.buffers) {
      if (b.scope != tile::Scope::argument) continue;
      Tensor t = values({b.elements}, static_cast<uint32_t>(memory.size()), 0.2);
      ASSERT_EQ(b.dtype, DType::f32);
      memory.push_back(t);
      Tensor u(DType::f32, {b.elements});
      std::memcpy(u.data(), t.data(), static_cast<size_t>(t.bytes()));
      same.push_back(u);
    }
    for (Tensor& t : memory) arguments.push_back(t.data());
    for (Tensor& t : same) twice.push_back(t.data());
    tile::interpret(p, arguments);
    const auto team = make_thread_team(2);
    Tensor scratch(DType::u8, {group.program->memory_bytes() + 64}),
        threads(DType::u8, {2 * group.program->thread_bytes() + 64});
    group.program->run(*team, twice.data(), static_cast<std::byte*>(scratch.data()),
                       static_cast<std::byte*>(threads.data()));
    for (size_t i = 0; i < memory.size(); ++i) expect_near(same[i], memory[i], 1e-5);
  }
  EXPECT_GT(groups, 0);
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
