// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The bf16 policy on random networks. GREGALE_FUZZ_GRAPHS=N runs N of them, GREGALE_FUZZ_FIRST=S those from seed S on.
#include <gtest/gtest.h>

#include "gregale/exec.hpp"
#include "passes/oracle_for_tests.hpp"
#include "passes/passes.hpp"
#include "passes/random_network_for_tests.hpp"

namespace gregale::passes {
namespace {

constexpr uint32_t kBf16Graphs = 60;

/// What rounding to bf16 may do to each result of the policy's graph. To nearest with 8 bits, it is off by up to 2^-9
/// of a value, be that an operand, a weight or a value that is kept. The network's condition decides what becomes of
/// it, not its depth, so it is measured: the worst of four evaluations in f64 in which everything that is rounded is
/// off by 2^-9 exactly, in random directions. Real roundings are smaller (their root mean square is about 0.4 of that),
/// so the factor 4, as in fp32, stands for ten standard deviations.
std::vector<double> worst_of(const Graph& policy, const Oracle& oracle, const std::vector<Tensor>& inputs) {
  std::vector<double> worst(oracle.exact.size(), 0);
  for (uint32_t draw = 0; draw < 4; ++draw) {
    const std::vector<Tensor> off = interpret(in_f64(policy, 0x1p-9, draw), in_f64(inputs));
    for (size_t i = 0; i < off.size(); ++i) worst[i] = std::max(worst[i], distance(off[i], oracle.exact[i]));
  }
  return worst;
}

TEST(RandomNetworks, RunInBf16WithinTheBoundOfThePolicy) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
  const Seeds seeds(kBf16Graphs);
  seeds.each([&](uint32_t seed) {
    const RandomNetwork network(seed);
    const std::vector<Tensor> inputs = network.inputs();
    SCOPED_TRACE(text_of(network.graph()));
    CompileOptions options;
    options.precision = Precision::bf16;
    options.target = target_in_turn(seed);
    const Oracle oracle(network.graph(), inputs);
    std::vector<double> worst;
    std::vector<Tensor> policy;
    run_all(network.graph(), options, [&](const std::string& pass, const Graph& graph) {
      if (pass == "precision") {
        worst = worst_of(graph, oracle, inputs);
        policy = interpret(graph, inputs);
      }
      if (pass != "fusion") return;
      const std::vector<Tensor> fused = interpret(graph, inputs);
      for (size_t i = 0; i < fused.size(); ++i)
        EXPECT_TRUE(fused[i].identical(policy[i])) << "fusion changes what is rounded in result " << i;
    });
    const Executable executable = compile(network.graph(), options);
    SCOPED_TRACE(executable.describe());
    const std::vector<Tensor> got = executable.run(one, inputs), again = executable.run(two, inputs);
    for (size_t i = 0; i < got.size(); ++i) {
      // And what fp32 may be off by, where that is asked for.
      const double fp32 = oracle.bound_in_f32(i, std::max(0.0, distance(got[i], policy[i]) - 2 * worst[i]));
      const double bound = 4 * worst[i] + fp32;
      EXPECT_LE(distance(policy[i], oracle.exact[i]), bound) << "the policy's result " << i;
      EXPECT_LE(distance(got[i], oracle.exact[i]), bound) << "result " << i;
      // Values next to the middle of two neighbours may be rounded to either, which are 2^-8 apart; nothing else may
      // differ.
      EXPECT_LE(distance(got[i], policy[i]), 2 * worst[i] + fp32) << "result " << i << " against the policy";
      EXPECT_TRUE(got[i].identical(again[i])) << "threads change the bits of result " << i;
    }
  });
}

}  // namespace
}  // namespace gregale::passes
