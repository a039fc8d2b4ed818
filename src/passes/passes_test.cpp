// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Every pass, and all of them with the planner, against the interpreter on random programs.
#include "passes/passes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>

#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "passes/random_graph_for_tests.hpp"

namespace gregale::passes {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr uint32_t kPassedGraphs = 60;  // it looks at how kernels are shared among threads, not at what they compute
#else
constexpr uint32_t kPassedGraphs = 300;
#endif

void expect_identical(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(expected[i])) << "result " << i;
}

void expect_near(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(got.type(), expected.type()) << what;
  const auto g = got.as<float>(), e = expected.as<float>();
  float scale = 1;
  for (const float x : e) scale = std::max(scale, std::abs(x));
  for (size_t i = 0; i < g.size(); ++i) ASSERT_LE(std::abs(g[i] - e[i]), 1e-4f * scale) << what << ", element " << i;
}

void expect_near(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) expect_near(got[i], expected[i], fmt::format("result {}", i));
}

void expect_near(const VariableValues& got, const VariableValues& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [name, tensor] : expected) expect_near(got.at(name), tensor, "variable " + name);
}

VariableValues copy(const VariableValues& state) {
  VariableValues result;
  for (const auto& [name, tensor] : state) result[name] = tensor.clone();
  return result;
}

class RandomPrograms : public testing::Test {
 protected:
  template <class Pass>
  void keeps_results(bool exactly, Pass&& pass) {
    int64_t before = 0, after = 0;
    for (uint32_t seed = 0; seed < kPassedGraphs && !HasFailure(); ++seed) {
      const RandomGraph random(seed);
      SCOPED_TRACE(print(random.graph()));
      const Graph changed = pass(random.graph());
      SCOPED_TRACE(print(changed));
      verify(changed);
      VariableValues expected_state = random.state(), state = random.state();
      const auto expected = interpret(random.graph(), random.inputs(0), &expected_state);
      const auto got = interpret(changed, random.inputs(0), &state);
      if (exactly) {
        expect_identical(got, expected);
        for (const auto& [name, tensor] : expected_state) EXPECT_TRUE(state.at(name).identical(tensor)) << name;
      } else {
        expect_near(got, expected);
        expect_near(state, expected_state);
      }
      before += static_cast<int64_t>(random.graph().nodes().size());
      after += static_cast<int64_t>(changed.nodes().size());
    }
    EXPECT_NE(before, after) << "the programs give the pass nothing to do";
  }
};

TEST_F(RandomPrograms, KeepTheirResultsWithoutDeadNodes) {
  keeps_results(true, [](const Graph& g) { return drop_dead_nodes(g); });
}
TEST_F(RandomPrograms, KeepTheirResultsWithSubexpressionsMerged) {
  keeps_results(true, [](const Graph& g) { return merge_common_subexpressions(g); });
}
TEST_F(RandomPrograms, KeepTheirResultsWithConstantsFolded) {
  keeps_results(true, [](const Graph& g) { return drop_dead_nodes(fold_constants(g)); });
}
TEST_F(RandomPrograms, KeepTheirResultsWithReshapesSunk) {
  keeps_results(true, [](const Graph& g) { return drop_dead_nodes(sink_reshapes(g)); });
}
TEST_F(RandomPrograms, KeepTheirResultsExpanded) {
  const Target target;  // no instruction set: little is lowered
  keeps_results(false, [&](const Graph& g) { return expand_composites(g, target); });
}

/// All variables at once; of those that are written, every version stays.
TEST_F(RandomPrograms, KeepTheirResultsFrozen) {
  int64_t frozen_variables = 0, kept_variables = 0;
  for (uint32_t seed = 0; seed < kPassedGraphs && !HasFailure(); ++seed) {
    const RandomGraph random(seed);
    SCOPED_TRACE(print(random.graph()));
    const Graph frozen = freeze(random.graph(), random.state());
    verify(frozen);
    VariableValues expected_state = random.state(), state = random.state();
    const auto expected = interpret(random.graph(), random.inputs(0), &expected_state);
    expect_identical(interpret(frozen, random.inputs(0), &state), expected);
    for (const auto& [name, tensor] : expected_state) EXPECT_TRUE(state.at(name).identical(tensor)) << name;
    kept_variables += static_cast<int64_t>(frozen.variables().size());
    frozen_variables += static_cast<int64_t>(random.graph().variables().size() - frozen.variables().size());
  }
  EXPECT_GT(frozen_variables, 0);
  EXPECT_GT(kept_variables, 0);
}

/// Three runs on one context, with memory that holds NaN where nothing was written.
void compiled_agrees(const RandomGraph& random, const CompileOptions& options, ExecutionContext& context) {
  const Executable executable = compile(random.graph(), options);
  SCOPED_TRACE(print(random.graph()) + executable.describe());
  VariableValues expected_state = random.state(), state = random.state();
  std::vector<Tensor> outputs = executable.make_outputs();
  for (uint32_t run = 0; run < 3; ++run) {
    SCOPED_TRACE(fmt::format("run {}", run));
    const int64_t bytes = executable.arena_bytes() + (1 << 20);  // with the tables of pointers and the threads' scratch
    std::memset(context.arena().reserve(bytes), 0xff, static_cast<size_t>(bytes));
    for (Tensor& t : outputs) std::memset(t.data(), 0xff, static_cast<size_t>(t.bytes()));
    const std::vector<Tensor> inputs = random.inputs(run), untouched = random.inputs(run);
    executable.run(context, inputs, outputs, &state);
    expect_near(outputs, interpret(random.graph(), inputs, &expected_state));
    expect_near(state, expected_state);
    expect_identical(inputs, untouched);
    expected_state = copy(state);  // so that roundings do not add up from run to run
  }
}

TEST_F(RandomPrograms, RunAsTheyAreInterpreted) {
  ExecutionContext context(make_thread_team(2));
  for (uint32_t seed = 0; seed < kPassedGraphs && !HasFailure(); ++seed)
    for (const bool optimize : {true, false}) {
      SCOPED_TRACE(optimize ? "optimized" : "not optimized");
      CompileOptions options;
      options.optimize = optimize;
      compiled_agrees(RandomGraph(seed), options, context);
    }
}

TEST_F(RandomPrograms, RunAsTheyAreInterpretedOnEveryInstructionSet) {
  ExecutionContext context(make_thread_team(1, TeamKind::caller));
  const Target machine = Target::detect();
  for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512}) {
    if (isa > machine.isa) continue;
    CompileOptions options;
    options.target = machine.capped(isa);
    for (uint32_t seed = kPassedGraphs; seed < kPassedGraphs + 100 && !HasFailure(); ++seed)
      compiled_agrees(RandomGraph(seed), options, context);
  }
}

int64_t count(const Graph& g, std::string_view op) {
  int64_t n = 0;
  for (const Node& node : g.nodes()) n += node.op->name == op;
  return n;
}

TEST(DropDeadNodes, KeepsWritesAndWhatTheyNeed) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{2}));
  const int64_t a = g.add_variable("a", g.type(x));
  ops::exp(g, ops::neg(g, x));
  g.read(a);
  g.write(a, ops::tanh(g, x));
  g.set_outputs({x});
  const Graph left = drop_dead_nodes(g);
  EXPECT_EQ(left.nodes().size(), 2u);
  EXPECT_EQ(count(left, "tanh"), 1);
  EXPECT_EQ(count(left, "write"), 1);
}

TEST(MergeCommonSubexpressions, LooksAtEverything) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{2, 2})), key = g.add_input("key", Type(DType::i64, Shape{2}));
  const int64_t a = g.add_variable("a", g.type(x));
  std::vector<Value> outputs;
  const auto twice = [&](auto&& make) {
    for (int i = 0; i < 2; ++i) outputs.push_back(make());
  };
  twice([&] { return ops::add(g, x, x); });
  twice([&] { return ops::sum(g, x, {0}); });
  twice([&] { return ops::dropout(g, x, key, 0.5, 1); });
  twice([&] { return g.constant(Tensor::full(DType::f32, {2}, 1)); });
  twice([&] { return g.read(a); });
  const size_t pairs = outputs.size() / 2;
  // Nearly the same as one of the above, or as one another, and yet not.
  g.write(a, x);
  outputs.push_back(g.read(a));
  outputs.push_back(ops::sum(g, x, {1}));
  outputs.push_back(ops::dropout(g, x, key, 0.5, 2));
  outputs.push_back(g.constant(Tensor::full(DType::i32, {2}, 1)));
  outputs.push_back(g.constant(Tensor::full(DType::f32, {2, 1}, 1)));
  outputs.push_back(g.constant(Tensor::full(DType::f32, {2}, 0.0)));
  outputs.push_back(g.constant(Tensor::full(DType::f32, {2}, -0.0)));
  const Tensor large = Tensor::full(DType::f32, {100}, 1);
  outputs.push_back(g.constant(large));
  outputs.push_back(g.constant(large.clone()));
  outputs.push_back(ops::softshrink(g, x, 0.0));
  outputs.push_back(ops::softshrink(g, x, 0x1p-60));
  g.set_outputs(outputs);
  const Graph merged = merge_common_subexpressions(g);
  verify(merged);
  const auto& out = merged.outputs();
  for (size_t i = 0; i < pairs; ++i) EXPECT_EQ(out[2 * i], out[2 * i + 1]) << i;
  for (size_t i = 0; i < out.size(); ++i)
    for (size_t j = i + 1; j < out.size(); ++j)
      if (i >= 2 * pairs || j != i + 1 || i % 2) {
        EXPECT_FALSE(out[i] == out[j]) << i << " and " << j;
      }
}

TEST(MergeCommonSubexpressions, KeepsNames) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, Shape{}));
  g.set_name(ops::neg(g, x), "minus");
  const Value second = ops::neg(g, x);
  g.set_outputs({second});
  const Graph merged = merge_common_subexpressions(g);
  EXPECT_EQ(merged.name_of(merged.outputs()[0]), "minus");
}

/// Whoever wants to know what became of a value asks by name: `gregale inspect --html` does.
TEST(Names, LastThroughEveryPass) {
  const Type image(DType::f32, Shape{2, 8, 12, 12});
  Graph g;
  const Value x = g.add_input("x", image);
  const int64_t weights = g.add_variable("weights", Type(DType::f32, Shape{8, 8, 3, 3}));
  const Value w = g.read(weights);
  Value y = x;
  for (int layer = 0; layer < 2; ++layer) {
    y = ops::conv2d(g, y, w, {.pads = {1, 1, 1, 1}});
    g.set_name(y, fmt::format("convolution {}", layer));
    y = ops::relu(g, y);
    g.set_name(y, fmt::format("hidden {}", layer));
  }
  const Value loss = ops::mean(g, ops::mul(g, y, y)), d = gradients(g, loss, {w})[0];
  const Value moved = ops::sub(g, w, ops::mul(g, d, 0.1));
  g.set_name(moved, "moved");
  g.write(weights, moved);
  g.set_outputs({loss});
  CompileOptions options;
  options.loss = 0;
  bool fused = false;
  std::vector<std::string> seen;
  run_all(g, options, [&](const std::string& pass, const Graph& graph) {
    fused |= pass == "fusion";
    seen.push_back(pass);
    std::set<std::string> names;
    for (const Node& node : graph.nodes())
      for (const Value v : node.outputs) names.insert(graph.name_of(v));
    EXPECT_EQ(names.count("moved"), 1U) << pass;
    for (const char* name : {"convolution 0", "hidden 0", "convolution 1", "hidden 1"}) {
      if (!fused) {
        EXPECT_EQ(names.count(name), 1U) << name << " after " << pass;
      }
    }
  });
  EXPECT_THAT(seen, testing::IsSupersetOf({"layouts", "keep or recompute", "fusion", "updates"}));
}

TEST(Freeze, LeavesWhatIsWrittenOrHasNoValue) {
  const Type type(DType::f32, Shape{2});
  Graph g;
  const Value x = g.add_input("x", type);
  for (const char* name : {"weights", "counter", "unknown", "bias"}) g.add_variable(name, type);
  const Value before = g.read(1);
  g.write(1, x);
  Value sum = ops::add(g, before, g.read(1));
  for (const int64_t variable : {0, 2, 3, 0}) sum = ops::add(g, sum, g.read(variable));
  g.set_outputs({sum});
  VariableValues values;
  for (const char* name : {"weights", "counter", "bias", "elsewhere"}) values[name] = Tensor::full(DType::f32, {2}, 1);
  const Graph frozen = freeze(g, values);
  verify(frozen);
  ASSERT_EQ(frozen.variables().size(), 2u);
  EXPECT_EQ(frozen.variables()[0].name, "counter");
  EXPECT_EQ(frozen.variables()[1].name, "unknown");
  EXPECT_EQ(count(frozen, "constant"), 2) << "one a variable, however often it is read";
  VariableValues state{{"counter", Tensor::full(DType::f32, {2}, 10)}, {"unknown", Tensor::full(DType::f32, {2}, 100)}};
  EXPECT_EQ(interpret(frozen, {Tensor::full(DType::f32, {2}, 1000)}, &state)[0].as<float>()[0], 1113);
  EXPECT_EQ(state.at("counter").as<float>()[0], 1000);

  values["bias"] = Tensor::full(DType::f32, {3}, 1);
  try {
    freeze(g, values);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::shape);
    EXPECT_STREQ(e.what(), "[freeze] variable 'bias' is f32[2], got f32[3]");
  }
}

TEST(FoldConstants, LeavesLargeOnesAlone) {
  Graph g;
  const auto value = [&](int64_t n) { return g.constant(Tensor::full(DType::f32, {n}, 2)); };
  g.set_outputs({ops::neg(g, value(8)), ops::neg(g, value(1 << 21)), ops::sum(g, value(1 << 21))});
  const Graph folded = fold_constants(g);
  EXPECT_EQ(count(folded, "neg"), 1);
  EXPECT_EQ(count(folded, "sum"), 1);
  EXPECT_EQ(interpret(folded, {})[0].as<float>()[7], -2);
}

TEST(ExpandComposites, UnrollsNestedRepeats) {
  const Type type(DType::f32, Shape{2});
  Graph inner("inner");
  const Value i = inner.add_input("i", type);
  inner.set_outputs({ops::add(inner, i, 1.0)});
  Graph outer("outer");
  const Value o = outer.add_input("o", type);
  outer.set_outputs(ops::repeat(outer, 3, {o}, {}, inner));
  Graph g;
  g.set_outputs(ops::repeat(g, 2, {g.add_input("x", type)}, {}, outer));
  const Graph flat = expand_composites(g, Target::detect());
  EXPECT_EQ(count(flat, "repeat"), 0);
  EXPECT_EQ(count(flat, "add"), 6);
  EXPECT_EQ(interpret(flat, {Tensor(DType::f32, {2})})[0].as<float>()[1], 6);
}

TEST(Compile, RefusesWhatExceedsTheBudget) {
  Graph g("large");
  const Value x = g.add_input("x", Type(DType::f32, Shape{1024}));
  g.set_outputs({ops::sum(g, ops::mul(g, ops::exp(g, x), ops::sin(g, x)))});
  CompileOptions options;
  options.fuse = false;  // fused, it needs nothing
  EXPECT_EQ(compile(g, CompileOptions()).arena_bytes(), 0);
  const int64_t needed = compile(g, options).arena_bytes();
  EXPECT_GE(needed, 8192);
  options.target.memory_budget = needed;
  compile(g, options);
  options.target.memory_budget = needed - 1;
  try {
    compile(g, options);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_memory);
    EXPECT_THAT(e.what(), testing::HasSubstr(fmt::format("'large' needs {} bytes", needed)));
  }
  // Far more than any machine has is refused as well, not wrapped around.
  Graph huge("huge");
  Value h = huge.add_input("x", Type(DType::f32, Shape{int64_t{1} << 60}));
  std::vector<Value> all;
  for (int i = 0; i < 4; ++i) all.push_back(ops::add(huge, h, static_cast<double>(i)));
  for (Value v : all) h = ops::add(huge, h, v);
  huge.set_outputs({ops::sum(huge, h)});
  options.target.memory_budget = 0;
  try {
    compile(huge, options);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_memory) << e.what();
  }
}

/// GREGALE_MAX_ISA really chooses the path that runs.
TEST(Compile, ObeysTheCapOnInstructionSets) {
  const Isa machine = Target::detect().isa;
  const char* given = std::getenv("GREGALE_MAX_ISA");
  const std::string before = given == nullptr ? "" : given;
  Graph g;
  const Value a = g.add_input("a", Type(DType::f32, Shape{64, 64})), b = g.add_input("b", g.type(a));
  g.set_outputs({ops::matmul(g, a, b)});
  Tensor x(DType::f32, {64, 64});
  for (uint64_t i = 0; float& v : x.as<float>()) v = random_uniform(RandomKey{3, 0, 0}, i++);
  ExecutionContext context(make_thread_team(1, TeamKind::caller));
  const Tensor expected = interpret(g, {x, x})[0];
  std::map<Isa, Tensor> results;
  for (const Isa cap : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    setenv("GREGALE_MAX_ISA", to_string(cap), 1);
    CompileOptions options;
    EXPECT_LE(options.target.isa, cap);
    EXPECT_EQ(options.target.isa, std::min(cap, machine)) << to_string(cap);
    const Executable executable = compile(g, options);
    EXPECT_THAT(executable.describe(),
                testing::HasSubstr(fmt::format("1 steps for {},", to_string(options.target.isa))));
    EXPECT_EQ(executable.reference_steps(), 0);
    const Tensor capped = executable.run(context, {x, x})[0];
    expect_near({capped}, {expected});
    // The same bits as when it is asked for, and, where vector units fuse multiplication and addition, not those of
    // plain code.
    CompileOptions asked;
    asked.target.isa = options.target.isa;
    EXPECT_TRUE(compile(g, asked).run(context, {x, x})[0].identical(capped)) << to_string(cap);
    results[options.target.isa] = capped;
  }
  if (machine >= Isa::avx2) {
    EXPECT_FALSE(results[Isa::reference].identical(results[Isa::avx2]));
  }
  setenv("GREGALE_MAX_ISA", "sse9", 1);
  EXPECT_THROW(Target::detect(), Error);
  given == nullptr ? unsetenv("GREGALE_MAX_ISA") : setenv("GREGALE_MAX_ISA", before.c_str(), 1);
}

}  // namespace
}  // namespace gregale::passes
