// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Simplification against the interpreter on random programs in f64. GREGALE_FUZZ_GRAPHS=N runs the first N of them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "gregale/exec.hpp"
#include "passes/passes.hpp"
#include "passes/random_graph_for_tests.hpp"
#include "passes/simplify.hpp"

namespace gregale::passes {
namespace {

uint32_t graphs() {
  const char* given = std::getenv("GREGALE_FUZZ_GRAPHS");
  return given ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : 400;
}

/// Relative to the greatest magnitude of the result, or to 1.
void expect_same_reals(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(got.type(), expected.type()) << what;
  const auto g = got.as<double>(), e = expected.as<double>();
  double scale = 1;
  for (const double x : e)
    if (std::isfinite(x)) scale = std::max(scale, std::abs(x));
  for (size_t i = 0; i < g.size(); ++i) {
    const bool same = g[i] == e[i] || (std::isnan(g[i]) && std::isnan(e[i]));
    ASSERT_TRUE(same || std::abs(g[i] - e[i]) <= 1e-9 * scale)
        << what << ", element " << i << ": " << g[i] << ", not " << e[i];
  }
}

void keeps_results(const RandomGraph& random, const Graph& changed) {
  VariableValues expected_state = random.state(), state = random.state();
  const auto expected = interpret(random.graph(), random.inputs(0), &expected_state);
  const auto got = interpret(changed, random.inputs(0), &state);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) expect_same_reals(got[i], expected[i], fmt::format("result {}", i));
  ASSERT_EQ(state.size(), expected_state.size());
  for (const auto& [name, tensor] : expected_state) expect_same_reals(state.at(name), tensor, "variable " + name);
}

TEST(SimplifyRandomPrograms, KeepTheirResultsAndCostLess) {
  RuleCounts counts;
  double before = 0, after = 0;
  for (uint32_t seed = 0; seed < graphs() && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const RandomGraph random(seed, DType::f64);
    const Graph plain = drop_dead_nodes(merge_common_subexpressions(fold_constants(random.graph())));
    SCOPED_TRACE(print(plain));
    const Graph simple = simplify(plain, counts);
    SCOPED_TRACE(print(simple));
    verify(simple);
    keeps_results(random, simple);
    // No rewrite may undo what another saved, and nothing is left to do.
    const Burden was = burden_of(plain), is = burden_of(simple);
    EXPECT_FALSE(is_lower(was, is)) << was.bytes << " bytes became " << is.bytes;
    RuleCounts again;
    simplify(simple, again);
    for (const auto& [name, count] : again) EXPECT_EQ(count.applied, 0) << name << " applies to what was simplified";
    before += was.bytes;
    after += is.bytes;
  }
  EXPECT_LT(after, 0.95 * before);
  // The programs try every rule.
  std::vector<Rule> all;
  for (auto* rules : {identity_rules, algebra_rules, constant_rules, layout_rules, matmul_rules})
    for (Rule& rule : rules()) all.push_back(std::move(rule));
  for (const Rule& rule : all) EXPECT_GT(counts[rule.name].applied, 0) << rule.name;
  EXPECT_GT(counts["matmuls joined"].applied, 0);
}

}  // namespace
}  // namespace gregale::passes
