// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Every pass of the pipeline against the interpreter on random networks. GREGALE_FUZZ_GRAPHS=N runs N of them,
// GREGALE_FUZZ_FIRST=S those from seed S on.
#include <gtest/gtest.h>

#include <set>

#include "passes/oracle_for_tests.hpp"
#include "passes/passes.hpp"
#include "passes/random_network_for_tests.hpp"

namespace gregale::passes {
namespace {

constexpr uint32_t kCompiledGraphs = 60;

/// Passes that may round differently. All others keep every bit of what is interpreted.
const std::set<std::string> kInexact{"expansion", "simplification"};

TEST(RandomNetworks, KeepTheirResultsAfterEveryPass) {
  const Seeds seeds(kCompiledGraphs);
  std::set<std::string> changing;  // passes that had something to do
  seeds.each([&](uint32_t seed) {
    const RandomNetwork network(seed);
    const std::vector<Tensor> inputs = network.inputs();
    SCOPED_TRACE(text_of(network.graph()));
    CompileOptions options;
    // Where nothing is lowered, composites expand.
    if (seed / RandomNetwork::kKinds % 4 == 0) options.target = Target();
    const Oracle oracle(network.graph(), inputs);
    std::vector<Tensor> before = oracle.rounded;
    std::string text = text_of(network.graph());
    run_all(network.graph(), options, [&](const char* pass, const Graph& graph) {
      std::string now = text_of(graph);
      if (now == text || testing::Test::HasFailure()) return;
      SCOPED_TRACE(fmt::format("after {}:\n{}", pass, now));
      text = std::move(now);
      changing.insert(pass);
      verify(graph);
      const std::vector<Tensor> got = interpret(graph, inputs);
      ASSERT_EQ(got.size(), before.size());
      for (size_t i = 0; i < got.size(); ++i) {
        if (kInexact.count(pass) == 0) {
          EXPECT_TRUE(got[i].identical(before[i])) << "result " << i;
        } else {
          EXPECT_LE(distance(got[i], oracle.exact[i]), oracle.bound(i)) << "result " << i;
        }
      }
      before = got;
    });
  });
  for (const char* pass : {"constant folding", "simplification", "reshapes", "fusion"})
    EXPECT_EQ(changing.count(pass), 1u) << "the networks give the pass '" << pass << "' nothing to do";
}

}  // namespace
}  // namespace gregale::passes
