// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gregale/autodiff.hpp"
#include "gregale/fourier.hpp"
#include "gregale/op.hpp"
#include "ir/inference.hpp"
#include "passes/compiled_case_for_tests.hpp"

// Fourier layers: transforms in groups with what they feed.
namespace gregale::passes {
namespace {

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

void check_spectral(const Block& b, double tolerance = 1e-5, Precision precision = Precision::fp32) {
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
  check_spectral(Block({.batch = 1, .h = 6, .w = 10, .blocks = 2, .in = 16}));
  check_spectral(Block({.batch = 2, .h = 9, .w = 12, .blocks = 3, .in = 8, .hidden = 40}));
  check_spectral(Block({.batch = 1, .h = 7, .w = 9, .blocks = 1, .in = 20, .hidden = 30}));
  check_spectral(Block({.batch = 1, .h = 1, .w = 8, .blocks = 2, .in = 4}));
  check_spectral(Block({.batch = 1, .h = 5, .w = 1, .blocks = 2, .in = 4}));
}

/// Transforms stay f32; what bf16 costs is in the perceptrons.
TEST(FuseSpectral, Bf16) {
  check_spectral(Block({.h = 12, .w = 20, .blocks = 2, .in = 16, .hidden = 96}), 2e-2, Precision::bf16);
}

/// Meridional transforms and the perceptron of the modes are one program; nothing copies.
TEST(FuseSpectral, OneGroupAMode) {
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    CompileOptions options = declared_options();
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

/// What is not compulsory falls to less than half.
TEST(FuseSpectral, HalvesElementwiseTraffic) {
  const Block b({.h = 30, .w = 60, .blocks = 4, .in = 32, .hidden = 512});
  CompileOptions options = declared_options();
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
  const CompileOptions options = declared_options();
  const Executable e = compile(Block({.h = 30, .w = 60, .blocks = 4, .in = 32, .hidden = 512}).graph, options);
  int transforms = 0;
  for (const auto& group : e.groups()) {
    if (group.program == nullptr || !(has(group, "fft") || has(group, "rfft") || has(group, "irfft"))) continue;
    ++transforms;
    check_program(*group.program, options.target);
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
  check_spectral(b, 2e-5);
}

}  // namespace
}  // namespace gregale::passes
