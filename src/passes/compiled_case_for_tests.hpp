// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "exec/plan.hpp"
#include "gregale/exec.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/interpret.hpp"
#include "kernels/kernel_cache.hpp"
#include "passes/passes.hpp"
#include "tile/ledger.hpp"
#include "tile/lower_region.hpp"

/// What the tests of compiled graphs share.
namespace gregale::passes {

inline Tensor values(const Extents& extents, uint32_t stream, double scale = 1) {
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

inline int64_t steps_of(const Executable& e) {
  const std::string text = e.describe();
  return std::count(text.begin(), text.end(), '\n') - 1;
}

inline void expect_near(const Tensor& got, const Tensor& expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  double scale = 0, worst = 0;
  for (const float x : expected.as<float>()) scale = std::max(scale, static_cast<double>(std::abs(x)));
  for (size_t i = 0; i < expected.as<float>().size(); ++i) {
    const double error =
        std::abs(static_cast<double>(got.as<float>()[i]) - static_cast<double>(expected.as<float>()[i]));
    worst = std::isfinite(error) ? std::max(worst, error) : 1e30;
  }
  EXPECT_LE(worst, tolerance * scale);
}

inline std::vector<Isa> isas() {
  std::vector<Isa> all{Isa::reference};
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx})
    if (Target::detect().isa >= isa) all.push_back(isa);
  return all;
}

inline void check(const Case& c, double tolerance = 2e-6, Precision precision = Precision::fp32) {
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

/// Bytes of a run that neither a product nor a transform has to read or write: operands of elementwise operators and
/// norms, and what a group gives beyond a result for each product or transform.
inline double elementwise_bytes(const Executable& e) {
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
    size_t seeds = 0;
    std::vector<bool> needed(static_cast<size_t>(body.value_count()), false);  // by a seed, perhaps moved
    for (auto n = body.nodes().rbegin(); n != body.nodes().rend(); ++n) {
      seeds += is_seed(*n);
      if (is_seed(*n) || (n->op->result_as_view && needed[static_cast<size_t>(n->outputs[0].id)]))
        for (const Value v : n->inputs) needed[static_cast<size_t>(v.id)] = true;
    }
    for (const Value v : body.inputs())
      if (!needed[static_cast<size_t>(v.id)]) bytes += static_cast<double>(body.type(v).bytes());
    for (size_t i = seeds; i < body.outputs().size(); ++i)
      bytes += static_cast<double>(body.type(body.outputs()[i]).bytes());
  }
  return bytes;
}

/// Every group's program: text and back, the interpreter of tile programs against the executor, the prediction of bytes
/// against the simulated cache.
inline void check_program(const tile::CompiledProgram& program, const Target& target) {
  const tile::TileProgram& p = program.program();
  SCOPED_TRACE(tile::print(p));
  EXPECT_EQ(tile::print(tile::parse_program(tile::print(p))), tile::print(p));
  const tile::Traffic predicted = tile::predict(p, target), counted = tile::simulate(program, target, 2);
  EXPECT_NEAR(predicted.bytes / counted.bytes, 1, 0.1)
      << predicted.bytes << " predicted, " << counted.bytes << " counted";
  EXPECT_LE(predicted.least, counted.bytes * 1.01);
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
  Tensor scratch(DType::u8, {program.memory_bytes() + 64}), threads(DType::u8, {2 * program.thread_bytes() + 64});
  program.run(*team, twice.data(), static_cast<std::byte*>(scratch.data()), static_cast<std::byte*>(threads.data()));
  for (size_t i = 0; i < memory.size(); ++i) expect_near(same[i], memory[i], 1e-5);
}

/// The same programs on every machine: what the formula is held to.
inline CompileOptions declared_options() {
  CompileOptions options;
  options.target = Target::detect().capped(Isa::avx2);
  options.target.cores = 2;
  options.target.l2_bytes = 1 << 20;
  return options;
}

inline void check_programs(const Case& c) {
  const CompileOptions options = declared_options();
  const Executable e = compile(c.graph, options);
  int groups = 0;
  for (const auto& group : e.groups()) {
    if (group.program == nullptr) continue;
    ++groups;
    check_program(*group.program, options.target);
  }
  EXPECT_GT(groups, 0);
}

}  // namespace gregale::passes
