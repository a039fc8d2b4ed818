// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// A sample's bits do not depend on the samples it is run with. GREGALE_FUZZ_GRAPHS=N runs N random networks,
// GREGALE_FUZZ_FIRST=S those from seed S on.
#include <gtest/gtest.h>

#include <cstring>

#include "gregale/exec.hpp"
#include "passes/oracle_for_tests.hpp"
#include "passes/random_network_for_tests.hpp"

namespace gregale::passes {
namespace {

constexpr uint32_t kBatchGraphs = 40;
constexpr int64_t kBatch = 8;

void keeps_bits(Precision precision) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
  const Seeds seeds(kBatchGraphs);
  seeds.each([&](uint32_t seed) {
    CompileOptions options;
    options.precision = precision;
    options.target = target_in_turn(seed);
    const auto weights = RandomNetwork::Weights::some_variable;
    const RandomNetwork whole(seed, Dim(kBatch), weights);
    VariableValues state = whole.state();
    SCOPED_TRACE(text_of(whole.graph()));
    const Executable program = compile(whole.graph(), options);
    SCOPED_TRACE(program.describe());
    const std::vector<Tensor> all = program.run(two, whole.inputs(0, kBatch), &state);
    const auto cut = static_cast<int64_t>(1 + seed % (kBatch - 1));
    std::vector<int64_t> at(all.size(), 0);  // bytes of every result seen so far
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, cut}, {cut, kBatch - cut}}) {
      const RandomNetwork part(seed, Dim(count), weights);
      const Executable smaller = compile(part.graph(), options);
      SCOPED_TRACE(smaller.describe());
      const std::vector<Tensor> some = smaller.run(one, part.inputs(first, count), &state);
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_LE(at[i] + some[i].bytes(), all[i].bytes());
        EXPECT_EQ(std::memcmp(static_cast<const std::byte*>(all[i].data()) + at[i], some[i].data(),
                              static_cast<size_t>(some[i].bytes())),
                  0)
            << "result " << i << " of samples " << first << " to " << first + count - 1;
        at[i] += some[i].bytes();
      }
    }
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(at[i], all[i].bytes());
  });
}

TEST(RandomNetworks, GiveASampleTheSameBitsInEveryBatch) { keeps_bits(Precision::fp32); }
TEST(RandomNetworks, GiveASampleTheSameBitsInEveryBatchInBf16) { keeps_bits(Precision::bf16); }

}  // namespace
}  // namespace gregale::passes
