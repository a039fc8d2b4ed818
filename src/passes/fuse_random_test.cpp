// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Compiled programs against the interpreter on random networks. GREGALE_FUZZ_GRAPHS=N runs N of them,
// GREGALE_FUZZ_FIRST=S those from seed S on.
#include <gtest/gtest.h>

#include "exec/plan.hpp"
#include "gregale/exec.hpp"
#include "passes/oracle_for_tests.hpp"
#include "passes/passes.hpp"
#include "passes/random_network_for_tests.hpp"
#include "passes/schedules_for_tests.hpp"

namespace gregale::passes {
namespace {

constexpr uint32_t kFusedGraphs = 60;

/// Every instruction set this machine has, for one core and for two, in turn.
CompileOptions options_of(uint32_t seed, Precision precision) {
  CompileOptions options;
  options.precision = precision;
  options.target = target_in_turn(seed);
  options.target.cores = 1 + static_cast<int>(seed / RandomNetwork::kKinds / 4 % 2);
  return options;
}

TEST(RandomNetworks, RunAsTheyAreInterpreted) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2)), three(make_thread_team(3));
  int64_t fused = 0;
  const Seeds seeds(kFusedGraphs);
  seeds.each([&](uint32_t seed) {
    const RandomNetwork network(seed);
    SCOPED_TRACE(text_of(network.graph()));
    const CompileOptions options = options_of(seed, Precision::fp32);
    const Executable executable = compile(network.graph(), options);
    SCOPED_TRACE(executable.describe());
    for (const auto& group : executable.groups()) fused += group.program != nullptr;
    const Oracle oracle(network.graph(), network.inputs());
    const std::vector<Tensor> got = executable.run(one, network.inputs());
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = distance(got[i], oracle.exact[i]);
      EXPECT_LE(error, oracle.bound_in_f32(i, error))
          << "result " << i << ", where the interpreter is off by " << oracle.own[i];
    }
    for (ExecutionContext* context : {&one, &two, &three}) {  // `one` again: from run to run
      const std::vector<Tensor> again = executable.run(*context, network.inputs());
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_TRUE(got[i].identical(again[i])) << context->team().size() << " threads change result " << i;
    }
    // However groups are cut, results are the same bits.
    const Executable other(make_plan(with_schedules(executable.graph(), options.target, 1 + seed), options.target));
    const std::vector<Tensor> scheduled = other.run(two, network.inputs());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(got[i].identical(scheduled[i])) << "the schedule changes the bits of result " << i;
  });
  EXPECT_GT(fused, static_cast<int64_t>(seeds.end - seeds.first));
}

}  // namespace
}  // namespace gregale::passes
