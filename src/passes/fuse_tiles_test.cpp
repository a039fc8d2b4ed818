// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What is lowered for a tile unit, as programs that any machine can interpret.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "passes/compiled_case_for_tests.hpp"

namespace gregale::passes {
namespace {

using tile::Contract;
using tile::LoweredRegion;
using tile::Move;
using tile::TileProgram;

/// A declared machine with a tile unit: 2 MB of L2 a core.
Target tile_unit() {
  Target t;
  t.isa = Isa::amx;
  t.features.amx_bf16 = t.features.avx512_bf16 = true;
  t.cores = 2;
  t.l1_bytes = 48 << 10;
  t.l2_bytes = 2 << 20;
  return t;
}

/// bf16 operands, f32 sums, as the pass for precision makes them.
Value product(Graph& g, Value a, Value b) { return ops::matmul(g, a, b, false, false, true); }

/// One group of bf16 operators: weights are inputs that never change.
struct TileCase {
  Graph graph{"group"};
  std::vector<Tensor> inputs;
  std::vector<tile::Given> given;
  Value input(const Extents& extents, DType dtype, bool is_constant = false, double scale = 1) {
    inputs.push_back(values(extents, static_cast<uint32_t>(inputs.size()) + 1, scale).cast(dtype));
    given.push_back(is_constant ? tile::Given::constant : tile::Given::later);
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(dtype, Shape(extents)));
  }
  Value weights(const Extents& extents) {
    return input(extents, DType::bf16, true, 1 / std::sqrt(static_cast<double>(extents[0])));
  }
};

TileProgram lowered(const TileCase& c, LoweredRegion& region) {
  Result<LoweredRegion> made = tile::lower_region(c.graph, tile_unit(), c.given);
  EXPECT_TRUE(made) << made.error().message();
  region = std::move(made).value();
  tile::verify(region.program);
  return region.program;
}

/// Interprets the program, its packed operands made as it says, and holds it against the graph's interpreter.
void expect_interprets(const TileCase& c, const LoweredRegion& region, double tolerance) {
  SCOPED_TRACE(tile::print(region.program));
  const TileProgram& p = region.program;
  std::vector<Tensor> memory;
  for (const tile::Buffer& b : p.buffers)
    if (b.scope == tile::Scope::argument) memory.emplace_back(b.dtype, Extents{b.elements});
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const auto packed = std::find_if(region.packed.begin(), region.packed.end(),
                                     [&](const auto& one) { return one.input == static_cast<int32_t>(i); });
    if (packed != region.packed.end()) {
      tile::interpret(packed->pack, {const_cast<void*>(c.inputs[i].data()), memory[i].data()});
    } else {
      std::memcpy(memory[i].data(), c.inputs[i].data(), static_cast<size_t>(c.inputs[i].bytes()));
    }
  }
  std::vector<void*> arguments;
  for (Tensor& t : memory) arguments.push_back(t.data());
  tile::interpret(p, arguments);
  const std::vector<Tensor> expected = interpret(c.graph, c.inputs);
  for (size_t i = 0; i < expected.size(); ++i)
    expect_near(memory[c.inputs.size() + i].cast(DType::f32), expected[i].cast(DType::f32), tolerance);
}

template <class Kind>
std::vector<const Kind*> calls_of(const TileProgram& p) {
  std::vector<const Kind*> found;
  for (const tile::Phase& phase : p.phases)
    for (const tile::Stage& stage : phase.stages)
      for (const tile::Call& call : stage.calls)
        if (const auto* kind = std::get_if<Kind>(&call.what)) found.push_back(kind);
  return found;
}

TEST(TileUnit, PairsOfProductsShareBlocksOfHiddenColumns) {
  for (const int64_t hidden : {512, 704}) {
    TileCase c;
    Graph& g = c.graph;
    const Value x = c.input({70, 96}, DType::bf16), w1 = c.weights({96, hidden}), b1 = c.input({hidden}, DType::f32),
                w2 = c.weights({hidden, 80}), residual = c.input({70, 80}, DType::bf16);
    const Value h = ops::gelu(g, ops::add(g, product(g, x, w1), b1));
    const Value y = product(g, ops::cast(g, h, DType::bf16), w2);
    g.set_outputs({ops::add(g, y, ops::cast(g, residual, DType::f32))});
    LoweredRegion region;
    const TileProgram p = lowered(c, region);
    const auto dim = std::find_if(p.dims.begin(), p.dims.end(), [](const tile::Dim& d) { return d.name == "hidden"; });
    ASSERT_NE(dim, p.dims.end()) << tile::print(p);
    EXPECT_LT(dim->steps.back(), hidden);
    EXPECT_EQ(calls_of<Contract>(p).size(), 2u);
    expect_interprets(c, region, 0.01);
  }
}

/// fp32 with a constant that parts hold; with any other, vector units multiply.
TEST(TileUnit, MultipliesFp32InParts) {
  for (const tile::Given weights : {tile::Given::in_parts, tile::Given::constant}) {
    for (const bool norm : {false, true}) {
      TileCase c;
      Graph& g = c.graph;
      const Value x = c.input({150, 540}, DType::f32), w = c.input({540, 200}, DType::f32, true, 0.05),
                  b = c.input({200}, DType::f32), residual = c.input({150, 200}, DType::f32);
      c.given[1] = weights;
      Value y = ops::add(g, ops::gelu(g, ops::add(g, ops::matmul(g, x, w), b)), residual);
      if (norm) y = ops::layer_norm(g, y, b, b, 1e-5);
      g.set_outputs({y});
      LoweredRegion region;
      const TileProgram p = lowered(c, region);
      const bool parts = weights == tile::Given::in_parts;
      ASSERT_EQ(calls_of<Contract>(p).size(), 1u);
      EXPECT_EQ(calls_of<Contract>(p)[0]->compute, parts ? kernels::Compute::fp32x3 : kernels::Compute::f32);
      ASSERT_EQ(region.packed.size(), 1u);
      EXPECT_EQ(region.packed[0].pack.buffers[1].dtype, parts ? DType::bf16 : DType::f32);
      EXPECT_EQ(tile::print(tile::parse_program(tile::print(p))), tile::print(p));
      expect_interprets(c, region, 2e-6);
    }
  }
}

/// A few rows times whole numbers that bytes hold: half the bytes of bf16, the same results.
TEST(TileUnit, MultipliesFewRowsByBytes) {
  for (const int64_t rows : {1, 32, 33}) {
    for (const tile::Given weights : {tile::Given::bytes, tile::Given::constant}) {
      TileCase c;
      Graph& g = c.graph;
      const Value x = c.input({rows, 540}, DType::bf16), w = c.input({540, 300}, DType::bf16, true),
                  scale = c.input({300}, DType::f32);
      for (bf16& e : c.inputs[1].as<bf16>()) e = to_bf16(std::nearbyint(127 * to_f32(e)));
      c.given[1] = weights;
      g.set_outputs({ops::mul(g, product(g, x, w), scale)});
      LoweredRegion region;
      const TileProgram p = lowered(c, region);
      const bool bytes = weights == tile::Given::bytes && rows <= 32;
      ASSERT_EQ(region.packed.size(), 1u);
      EXPECT_EQ(region.packed[0].pack.buffers[1].dtype, bytes ? DType::i8 : DType::bf16);
      EXPECT_EQ(p.buffers[1].dtype, bytes ? DType::i8 : DType::bf16);
      EXPECT_EQ(tile::print(tile::parse_program(tile::print(p))), tile::print(p));
      expect_interprets(c, region, 2e-6);
    }
  }
}

TEST(TileUnit, KnowsWhatBytesHold) {
  const auto given = [](float odd, const Target& target) {
    const Tensor t = Tensor::from(std::vector<float>{1, -128, 0, 127, odd}, {5}).cast(DType::bf16);
    return tile::given(&t, target, false);
  };
  EXPECT_EQ(given(-7, tile_unit()), tile::Given::bytes);
  EXPECT_EQ(given(-7, Target()), tile::Given::constant);
  for (const float odd : {0.5f, 128.0f, -129.0f, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(given(odd, tile_unit()), tile::Given::constant) << odd;
}

TEST(TileUnit, HoldsConstantsInParts) {
  const auto given = [](float odd, const Target& target, bool in_parts = true) {
    const Tensor t = Tensor::from(std::vector<float>{1, -0.5f, 0, 1e-20f, odd}, {5});
    return tile::given(&t, target, in_parts);
  };
  EXPECT_EQ(given(3, tile_unit()), tile::Given::in_parts);
  EXPECT_EQ(given(3, tile_unit(), false), tile::Given::constant);
  EXPECT_EQ(given(3, Target()), tile::Given::constant);
  const float kInfinity = std::numeric_limits<float>::infinity();
  for (const float odd : {1e-35f, -1e-42f, 1e30f, kInfinity, std::numeric_limits<float>::quiet_NaN()})
    EXPECT_EQ(given(odd, tile_unit()), tile::Given::constant) << odd;
  EXPECT_EQ(tile::given(nullptr, tile_unit(), true), tile::Given::later);
}

TEST(TileUnit, SplitsNoSumsAndCopiesRowsThatShareCacheSets) {
  for (const auto& [depth, copies] : {std::pair<int64_t, size_t>{768, 1}, {800, 0}, {72, 1}}) {
    TileCase c;
    Graph& g = c.graph;
    const Value x = c.input({12, depth}, DType::bf16), w = c.weights({depth, 1024});
    g.set_outputs({ops::cast(g, product(g, x, w), DType::bf16)});
    LoweredRegion region;
    const TileProgram p = lowered(c, region);
    EXPECT_EQ(calls_of<Move>(p).size(), copies) << tile::print(p);
    ASSERT_EQ(calls_of<Contract>(p).size(), 1u);
    EXPECT_EQ(calls_of<Contract>(p)[0]->sum, -1);
    expect_interprets(c, region, 0.01);
  }
}

TEST(TileUnit, CopiesEachBlockOfALongSumOnce) {
  TileCase c;
  Graph& g = c.graph;
  const Value x = c.input({12, 4160}, DType::bf16), w = c.weights({4160, 1024});
  g.set_outputs({product(g, x, w)});
  LoweredRegion region;
  const TileProgram p = lowered(c, region);
  ASSERT_EQ(calls_of<Move>(p).size(), 1u) << tile::print(p);
  EXPECT_GE(calls_of<Contract>(p)[0]->sum, 0);
  expect_interprets(c, region, 1e-4);
}

TEST(TileUnit, ResidualsJoinTheEpilogue) {
  TileCase c;
  Graph& g = c.graph;
  const Value x = c.input({64, 96}, DType::bf16), w = c.weights({96, 64}), residual = c.input({64, 64}, DType::bf16);
  g.set_outputs({ops::add(g, ops::cast(g, residual, DType::f32), product(g, x, w))});
  LoweredRegion region;
  const TileProgram p = lowered(c, region);
  EXPECT_TRUE(calls_of<tile::Express>(p).empty()) << tile::print(p);
  expect_interprets(c, region, 1e-5);
}

TEST(TileUnit, ConvolutionsMultiplyWholeBands) {
  // 128 channels do not lie an odd number of cache lines apart: pixels of a band do.
  for (const auto& [side, channels] : {std::pair<int64_t, int64_t>{7, 128}, {12, 96}}) {
    TileCase c;
    Graph& g = c.graph;
    const Value x = c.input({2, side, side, channels}, DType::bf16),
                w = c.input({3, 3, channels, 64}, DType::bf16, true, 0.05);
    g.set_outputs({ops::relu(g, ops::conv2d_nhwc(g, x, w, {.pads = {1, 1, 1, 1}}))});
    LoweredRegion region;
    const TileProgram p = lowered(c, region);
    ASSERT_EQ(calls_of<Contract>(p).size(), 1u);
    EXPECT_GT(calls_of<Contract>(p)[0]->m.constant, side) << tile::print(p);
    expect_interprets(c, region, 1e-4);
  }
}

}  // namespace
}  // namespace gregale::passes
