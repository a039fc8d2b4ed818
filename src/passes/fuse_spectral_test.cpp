// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "exec/plan.hpp"
#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "gregale/fourier.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/inference.hpp"
#include "ir/interpret.hpp"
#include "passes/passes.hpp"
#include "tile/ledger.hpp"

// Fourier layers: transforms in groups with what they feed.
namespace gregale::passes {
namespace {

Tensor values(const Extents& extents, uint32_t stream, double scale = 1) {
  Tensor t(DType::f32, extents);
  for (uint64_t i = 0; float& x : t.as<float>())
    x = static_cast<float>(scale * (2 * random_uniform(RandomKey{3, 4, stream}, i++) - 1));
  return t;
}

struct Sizes {
  int64_t batch = 1, h = 0, w = 0, blocks = 0, in = 0, hidden = 0;
};

/// A block of FourCastNet's network as nn::afno_block builds it; weights are inputs where they are trained.
struct Block {
  explicit Block(const Sizes& s, bool trained = false) : graph("block") {
    Graph& g = graph;
    const int64_t c = s.blocks * s.in, modes = s.w / 2 + 1, two = 2 * s.in;
    const auto given = [&](const Extents& extents, double scale) {
      if (!trained) return g.constant(values(extents, ++stream, scale));
      inputs.push_back(values(extents, ++stream, scale));
      weights.push_back(g.add_input(fmt::format("w{}", weights.size()), Type(DType::f32, Shape(extents))));
      return weights.back();
    };
    inputs.push_back(values({s.batch, s.h, s.w, c}, ++stream));
    x = g.add_input("x", Type(DType::f32, Shape{s.batch, s.h, s.w, c}));
    const auto norm = [&](Value v) { return ops::layer_norm(g, v, given({c}, 1), given({c}, 0.1)); };
    const auto rows_of = [&](Value v) {
      return ops::transpose(g, ops::reshape(g, v, Shape{s.batch, s.h, s.w, s.blocks, s.in}), {0, 1, 3, 2, 4});
    };
    const auto perceptron = [&](Value z) {
      return ops::add(g, ops::matmul(g, z, given({s.blocks, two, two}, 0.2)), given({s.blocks, 1, two}, 0.1));
    };
    const Value rows = rows_of(norm(x));
    Value z = ops::rfft_parts(g, rows, 3);
    z = ops::fft_parts(g, ops::transpose(g, z, {2, 0, 3, 1, 4}), 3);
    const Shape apart = g.type(z).shape;
    z = ops::reshape(g, z, Shape{s.blocks, s.batch * modes * s.h, two});
    z = ops::softshrink(g, perceptron(ops::relu(g, perceptron(z))), 0.01);
    z = ops::fft_parts(g, ops::reshape(g, z, apart), 3, true);
    z = ops::irfft_parts(g, ops::transpose(g, z, {1, 3, 0, 2, 4}), 3, s.w);
    z = ops::add(g, ops::add(g, z, rows), rows_of(x));
    Value y = ops::reshape(g, ops::transpose(g, z, {0, 1, 3, 2, 4}), Shape{s.batch, s.h, s.w, c});
    if (s.hidden > 0) {
      const auto linear = [&](Value v, int64_t from, int64_t to) {
        return ops::add(g, ops::matmul(g, v, given({from, to}, 0.1)), given({to}, 0.1));
      };
      y = ops::add(g, y, linear(ops::gelu(g, linear(norm(y), c, s.hidden)), s.hidden, c));
    }
    g.set_outputs({y});
  }
  Graph graph;
  std::vector<Tensor> inputs;
  Value x;
  std::vector<Value> weights;
  uint32_t stream = 0;
};

void expect_near(const Tensor& got, const Tensor& expected, double tolerance) {
  double scale = 0, worst = 0;
  for (size_t i = 0; i < expected.as<float>().size(); ++i) {
    const double e = static_cast<double>(expected.as<float>()[i]);
    const double error = std::abs(static_cast<double>(got.as<float>()[i]) - e);
    scale = std::max(scale, std::abs(e));
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

void check(const Block& b, double tolerance = 1e-5, Precision precision = Precision::fp32) {
  const std::vector<Tensor> expected = interpret(b.graph, b.inputs);
  for (const Isa isa : isas()) {
    CompileOptions options;
    options.precision = precision;
    options.target = Target::detect().capped(isa);
    const Executable e = compile(b.graph, options);
    SCOPED_TRACE(e.describe());
    ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
    const std::vector<Tensor> got = e.run(one, b.inputs), again = e.run(two, b.inputs);
    for (size_t i = 0; i < got.size(); ++i) {
      expect_near(got[i], expected[i], tolerance);
      EXPECT_TRUE(got[i].identical(again[i])) << "two threads, result " << i;
    }
  }
}

bool has(const Executable::Group& group, const char* op) {
  if (group.body == nullptr) return group.op == op;
  return std::any_of(group.body->nodes().begin(), group.body->nodes().end(),
                     [&](const Node& n) { return n.op->name == op; });
}

TEST(FuseSpectral, SameResults) {
  check(Block({.batch = 1, .h = 6, .w = 10, .blocks = 2, .in = 16}));
  check(Block({.batch = 2, .h = 9, .w = 12, .blocks = 3, .in = 8, .hidden = 40}));
  check(Block({.batch = 1, .h = 7, .w = 9, .blocks = 1, .in = 20, .hidden = 30}));
  check(Block({.batch = 1, .h = 1, .w = 8, .blocks = 2, .in = 4}));
  check(Block({.batch = 1, .h = 5, .w = 1, .blocks = 2, .in = 4}));
}

/// Transforms stay f32; what bf16 costs is in the perceptrons.
TEST(FuseSpectral, Bf16) {
  check(Block({.h = 12, .w = 20, .blocks = 2, .in = 16, .hidden = 96}), 2e-2, Precision::bf16);
}

/// Meridional transforms and the perceptron of the modes are one program; nothing copies.
TEST(FuseSpectral, OneGroupAMode) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    CompileOptions options;
    options.precision = precision;
    const Executable e = compile(Block({.h = 30, .w = 60, .blocks = 4, .in = 32, .hidden = 512}).graph, options);
    SCOPED_TRACE(e.describe());
    int both = 0;
    for (const Executable::Group& group : e.groups()) {
      both += has(group, "fft") && has(group, "matmul");
      EXPECT_NE(group.body, nullptr) << group.op << " stands alone";
      if (group.body == nullptr) continue;
      const auto transforms = std::count_if(group.body->nodes().begin(), group.body->nodes().end(),
                                            [](const Node& n) { return n.op->name == "fft"; });
      EXPECT_TRUE(transforms == 0 || transforms == 2) << transforms;
    }
    EXPECT_EQ(both, 1);
  }
}

/// Bytes of a run that neither a product nor a transform has to read or write: operands of elementwise operators and
/// norms, and, where no product or transform is in a group, its results.
double elementwise_bytes(const Executable& e) {
  double bytes = 0;
  const auto is_seed = [](const Node& n) {
    return n.op->name == "matmul" || n.op->name == "fft" || n.op->name == "rfft" || n.op->name == "irfft";
  };
  for (const Executable::Group& group : e.groups()) {
    if (group.body == nullptr) {
      const bool seed = group.op == "matmul" || group.op == "fft" || group.op == "rfft" || group.op == "irfft";
      if (!seed && group.lowering != "view") bytes += static_cast<double>(group.operand_bytes);
      continue;
    }
    const Graph& body = *group.body;
    bool seeds = false;
    std::vector<bool> needed(static_cast<size_t>(body.value_count()), false);  // by a seed, perhaps moved
    for (auto n = body.nodes().rbegin(); n != body.nodes().rend(); ++n) {
      seeds |= is_seed(*n);
      if (is_seed(*n) || (n->op->result_as_view && needed[static_cast<size_t>(n->outputs[0].id)]))
        for (const Value v : n->inputs) needed[static_cast<size_t>(v.id)] = true;
    }
    for (const Value v : body.inputs())
      if (!needed[static_cast<size_t>(v.id)]) bytes += static_cast<double>(body.type(v).bytes());
    for (const Value v : body.outputs())
      if (!seeds) bytes += static_cast<double>(body.type(v).bytes());
  }
  return bytes;
}

/// What is not compulsory falls to less than half.
TEST(FuseSpectral, HalvesElementwiseTraffic) {
  const Block b({.h = 30, .w = 60, .blocks = 4, .in = 32, .hidden = 512});
  CompileOptions options;
  const double fused = elementwise_bytes(compile(b.graph, options));
  options.fuse = false;
  const double apart = elementwise_bytes(compile(b.graph, options));
  RecordProperty("fused", fmt::format("{}", fused));
  RecordProperty("apart", fmt::format("{}", apart));
  EXPECT_LE(fused, 0.5 * apart) << fused << " of " << apart;
  EXPECT_GT(fused, 0);
}

/// Every group's program: text and back, interpreter against executor, predicted bytes against counted ones.
TEST(FuseSpectral, ProgramsAreWhatTheySay) {
  CompileOptions options;
  options.target.cores = 2;
  const Executable e = compile(Block({.h = 30, .w = 60, .blocks = 4, .in = 32, .hidden = 512}).graph, options);
  int transforms = 0;
  for (const auto& group : e.groups()) {
    if (group.program == nullptr || !(has(group, "fft") || has(group, "rfft") || has(group, "irfft"))) continue;
    ++transforms;
    const tile::TileProgram& p = group.program->program();
    SCOPED_TRACE(tile::print(p));
    EXPECT_EQ(tile::print(tile::parse_program(tile::print(p))), tile::print(p));
    const tile::Traffic predicted = tile::predict(p, options.target),
                        counted = tile::simulate(*group.program, options.target, 2);
    EXPECT_NEAR(predicted.bytes / counted.bytes, 1, 0.1)
        << predicted.bytes << " predicted, " << counted.bytes << " counted";
    std::vector<Tensor> memory, same;
    for (const tile::Buffer& b : p.buffers) {
      if (b.scope != tile::Scope::argument) continue;
      ASSERT_EQ(b.dtype, DType::f32);
      memory.push_back(values({b.elements}, static_cast<uint32_t>(memory.size()), 0.2));
      same.push_back(values({b.elements}, static_cast<uint32_t>(same.size()), 0.2));
    }
    std::vector<void*> arguments, twice;
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
  EXPECT_EQ(transforms, 3);
}

/// Training compiles the same way: gradients of transforms are transforms.
TEST(FuseSpectral, Gradients) {
  Block b({.batch = 2, .h = 6, .w = 10, .blocks = 2, .in = 8, .hidden = 40}, true);
  Graph& g = b.graph;
  const Value loss = ops::sum(g, ops::square(g, g.outputs()[0]));
  std::vector<Value> wrt{b.x};
  wrt.insert(wrt.end(), b.weights.begin(), b.weights.end());
  g.set_outputs(gradients(g, loss, wrt));
  check(b, 2e-5);
}

}  // namespace
}  // namespace gregale::passes
