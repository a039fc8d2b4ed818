// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The memory plan and what runs it. Whole programs are held to the interpreter in src/passes/passes_test.cpp.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/expect_error_for_tests.hpp"
#include "exec/plan.hpp"
#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "ir/core_ops.hpp"

namespace gregale {
namespace {

const Type kRow(DType::f32, Shape{64});

std::unique_ptr<Executable::Plan> plan_of(const Graph& g) {
  verify(g);
  return make_plan(g, Target::detect());
}
Executable executable_of(const Graph& g) { return Executable(plan_of(g)); }
ExecutionContext caller_context() { return ExecutionContext(make_thread_team(1, TeamKind::caller)); }

int64_t copies(const Executable::Plan& plan) {
  return std::count_if(plan.steps.begin(), plan.steps.end(), [](const Step& s) { return s.lowering == "copy"; });
}
int64_t arena_storages(const Executable::Plan& plan) {
  return std::count_if(plan.storages.begin(), plan.storages.end(),
                       [](const Storage& s) { return s.kind == Storage::Kind::arena; });
}

Tensor row(double value) { return Tensor::full(DType::f32, {64}, value); }

// --- placing ---

TEST(PlaceStorages, NeverOverlapsWhatIsAliveTogether) {
  for (uint32_t round = 0; round < 200; ++round) {
    const RandomKey key{5, round, 0};
    std::vector<Storage> storages(2 + random_below(key, 0, 40));
    int64_t sum = 0, end = 0;
    std::vector<int64_t> alive(64, 0);  // bytes, per step: no plan needs less than the greatest
    for (size_t i = 0; i < storages.size(); ++i) {
      Storage& s = storages[i];
      s.kind = random_below(key, 4 * i + 1, 8) == 0 ? Storage::Kind::output : Storage::Kind::arena;
      s.bytes = static_cast<int64_t>(random_below(key, 4 * i + 2, 1000));
      s.first = static_cast<int64_t>(random_below(key, 4 * i + 3, 40));
      s.last = s.first + static_cast<int64_t>(random_below(key, 4 * i + 4, 20));
      s.offset = -1;
      if (s.kind != Storage::Kind::arena) continue;
      sum += (s.bytes + 63) / 64 * 64;
      for (int64_t t = s.first; t <= s.last; ++t) alive[static_cast<size_t>(t)] += s.bytes;
    }
    const int64_t total = place_storages(storages);
    for (const Storage& a : storages) {
      if (a.kind != Storage::Kind::arena) {
        EXPECT_EQ(a.offset, -1) << "only the arena is placed";
        continue;
      }
      EXPECT_GE(a.offset, 0);
      EXPECT_EQ(a.offset % 64, 0);
      end = std::max(end, a.offset + (a.bytes + 63) / 64 * 64);
      for (const Storage& b : storages) {
        if (&a == &b || b.kind != Storage::Kind::arena || a.last < b.first || b.last < a.first) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
    EXPECT_EQ(total, end) << "what is asked for is what is used";
    EXPECT_LE(total, sum);
    EXPECT_GE(total, *std::max_element(alive.begin(), alive.end()));
  }
}

TEST(PlaceStorages, ReusesMemory) {
  std::vector<Storage> storages;
  for (int64_t t = 0; t < 100; ++t) storages.push_back({Storage::Kind::arena, 0, 1000, t, t + 1, 0, {}});
  EXPECT_EQ(place_storages(storages), 2 * 1024);
  std::vector<Storage> none;
  EXPECT_EQ(place_storages(none), 0);
}

TEST(PlaceStorages, RefusesMoreThanThereAreAddresses) {
  std::vector<Storage> storages(3, {Storage::Kind::arena, 0, int64_t{1} << 62, 0, 1, 0, {}});
  expect_error(ErrorCode::out_of_memory, "more than 2^63 bytes", [&] { place_storages(storages); });
  storages = {{Storage::Kind::arena, 0, INT64_MAX, 0, 1, 0, {}}};
  expect_error(ErrorCode::out_of_memory, "[compile]", [&] { place_storages(storages); });
}

// --- planning ---

TEST(Plan, UpdatesInPlace) {
  // AdamW from elementwise operators, a parameter at a time, as a training step does it.
  Graph g;
  const Value gradient = g.add_input("gradient", kRow), rate = g.add_input("rate", Type(DType::f32, Shape{}));
  std::vector<Value> losses;
  for (const std::string name : {"w", "b"}) {
    const int64_t p = g.add_variable(name, kRow), m = g.add_variable(name + ".m", kRow),
                  v = g.add_variable(name + ".v", kRow);
    losses.push_back(ops::sum(g, ops::mul(g, g.read(p), gradient)));
    g.write(m, ops::add(g, ops::mul(g, g.read(m), 0.9), ops::mul(g, gradient, 0.1)));
    g.write(v, ops::add(g, ops::mul(g, g.read(v), 0.99), ops::mul(g, ops::square(g, gradient), 0.01)));
    const Value step = ops::div(g, g.read(m), ops::add(g, ops::sqrt(g, g.read(v)), 1e-8));
    g.write(p, ops::sub(g, ops::mul(g, g.read(p), 0.999), ops::mul(g, step, rate)));
  }
  g.set_outputs(losses);
  EXPECT_EQ(copies(*plan_of(g)), 0);
  const Executable executable = executable_of(g);
  EXPECT_THAT(executable.describe(), testing::Not(testing::HasSubstr("copy")));
  EXPECT_THAT(executable.describe(), testing::HasSubstr("256 bytes in variable 5"));
  EXPECT_EQ(executable.reference_steps(), 0);
}

TEST(Plan, UpdatesInPlaceWithTheOneOperator) {
  Graph g;
  const Value gradient = g.add_input("gradient", kRow);
  const int64_t p = g.add_variable("p", kRow), m = g.add_variable("m", kRow), v = g.add_variable("v", kRow);
  const int64_t step = g.add_variable("step", Type(DType::f32, Shape{}));
  const Value one = ops::scalar(g, DType::f32, 1), next = ops::add(g, g.read(step), one);
  const auto updated = ops::adam_update(g, g.read(p), g.read(m), g.read(v), gradient, one, next, one, {});
  g.write(p, updated.parameter);
  g.write(m, updated.m);
  g.write(v, updated.v);
  g.write(step, next);
  g.set_outputs({});
  const auto plan = plan_of(g);
  EXPECT_EQ(copies(*plan), 0);
  EXPECT_EQ(plan->arena_bytes, 0) << "every result is a variable";
}

TEST(Plan, CopiesOnlyWhereItMust) {
  Graph g;
  const Value x = g.add_input("x", kRow);
  const int64_t a = g.add_variable("a", kRow), b = g.add_variable("b", kRow);
  const Value old_a = g.read(a), old_b = g.read(b);
  g.write(a, old_b);
  g.write(b, old_a);
  g.set_outputs({ops::reshape(g, x, Shape{8, 8}), x});
  // A swap takes a temporary for each, and four copies; views and inputs that are returned one each.
  EXPECT_EQ(copies(*plan_of(g)), 4 + 2);

  Graph kept;
  const Value y = kept.add_input("y", kRow);
  const int64_t c = kept.add_variable("c", kRow);
  const Value before = kept.read(c);
  kept.write(c, ops::add(kept, before, y));
  kept.set_outputs({before});  // the old version must survive until it is returned
  EXPECT_EQ(copies(*plan_of(kept)), 2);

  Graph same;
  const int64_t d = same.add_variable("d", kRow);
  same.write(d, same.read(d));
  same.set_outputs({});
  EXPECT_TRUE(plan_of(same)->steps.empty());
}

TEST(Plan, SharesOneBufferAlongAChain) {
  Graph g;
  Value x = g.add_input("x", kRow);
  for (int i = 0; i < 10; ++i) x = ops::reshape(g, ops::tanh(g, x), i % 2 ? Shape{64} : Shape{8, 8});
  g.set_outputs({ops::sum(g, x)});
  const auto plan = plan_of(g);
  EXPECT_EQ(plan->steps.size(), 11u) << "views are no steps";
  std::vector<int32_t> results;
  for (size_t i = 0; i + 1 < plan->steps.size(); ++i) results.push_back(plan->steps[i].outputs[0]);
  EXPECT_THAT(results, testing::Each(results[0])) << "each works in place on the one before";
  EXPECT_NE(plan->steps[0].inputs[0], results[0]) << "and none on the caller's input";
}

TEST(Plan, WritesResultsWhereTheyBelong) {
  Graph g;
  const Value x = g.add_input("x", kRow);
  const Value y = ops::exp(g, x);
  g.set_outputs({y, ops::neg(g, y), y});
  const auto plan = plan_of(g);
  EXPECT_EQ(arena_storages(*plan), 0);
  EXPECT_EQ(copies(*plan), 1) << "a result returned twice";
}

// --- running ---

TEST(Executable, RefusesWhatDoesNotFit) {
  Graph g("g");
  const Value x = g.add_input("x", kRow);
  const int64_t a = g.add_variable("a", kRow);
  g.write(a, ops::add(g, g.read(a), x));
  g.set_outputs({ops::exp(g, x)}, {"y"});
  const Executable executable = executable_of(g);
  ExecutionContext context = caller_context();
  VariableValues state{{"a", row(0)}};
  std::vector<Tensor> outputs = executable.make_outputs();
  const auto run = [&](std::vector<Tensor> inputs, std::vector<Tensor> results, VariableValues* variables) {
    return [&, inputs, results, variables]() mutable { executable.run(context, inputs, results, variables); };
  };
  expect_error(ErrorCode::invalid_argument, "'g' takes 1 inputs and gives 1 outputs, got 0 and 1",
               run({}, outputs, &state));
  expect_error(ErrorCode::invalid_argument, "got 1 and 0", run({row(1)}, {}, &state));
  expect_error(ErrorCode::shape, "[run] input 'x' is f32[64], got f32[8,8]",
               run({row(1).reshaped({8, 8})}, outputs, &state));
  expect_error(ErrorCode::shape, "input 'x' is f32[64], got f64[64]", run({row(1).cast(DType::f64)}, outputs, &state));
  expect_error(ErrorCode::shape, "output", run({row(1)}, {Tensor(DType::f32, {63})}, &state));
  expect_error(ErrorCode::invalid_argument, "has variables and needs their values", run({row(1)}, outputs, nullptr));
  VariableValues empty, wrong{{"a", Tensor(DType::f32, {1})}};
  expect_error(ErrorCode::invalid_argument, "variable 'a' has no value", run({row(1)}, outputs, &empty));
  expect_error(ErrorCode::shape, "variable 'a' is f32[64], got f32[1]", run({row(1)}, outputs, &wrong));
  EXPECT_TRUE(state["a"].identical(row(0))) << "a refused run changes nothing";
  executable.run(context, {row(1)}, outputs, &state);
  EXPECT_TRUE(state["a"].identical(row(1)));
}

TEST(Executable, DescribesItself) {
  Graph g("described");
  const Value x = g.add_input("x", Type(DType::f32, Shape{8, 8})), d = g.add_input("d", Type(DType::f64, Shape{4}));
  g.set_outputs({ops::tanh(g, ops::matmul(g, x, x)), ops::exp(g, d)});
  const Executable executable = executable_of(g);
  const std::string text = executable.describe();
  EXPECT_THAT(text, testing::StartsWith(fmt::format("described: 3 steps for {}, {} bytes of arena",
                                                    to_string(Target::detect().isa), executable.arena_bytes())));
  EXPECT_THAT(text, testing::HasSubstr("256 bytes in output 0"));
  EXPECT_THAT(text, testing::ContainsRegex("exp +reference +32 bytes in output 1"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
  EXPECT_EQ(executable.reference_steps(), 1);
  EXPECT_GE(executable.flops(), 2 * 8 * 8 * 8);
}

TEST(Executable, TellsWhereItsStepsReadAndWrite) {
  Graph g;
  const Value x = g.add_input("x", kRow);
  const int64_t a = g.add_variable("a", kRow);
  const Value y = ops::exp(g, x), view = ops::reshape(g, y, Shape{8, 8});
  g.write(a, ops::add(g, g.read(a), ops::tanh(g, y)));
  g.set_outputs({ops::sum(g, ops::mul(g, view, view)), x});
  const Executable executable = executable_of(g);
  const std::vector<Executable::Group> groups = executable.groups();
  ASSERT_EQ(groups.size(), 6U) << executable.describe();
  EXPECT_STREQ(groups[0].reads[0].place, "input");
  EXPECT_STREQ(groups[0].writes[0].place, "arena");
  EXPECT_EQ(groups[0].writes[0].bytes, 256);
  EXPECT_EQ(groups.back().node, -1) << "the copy of x";
  EXPECT_STREQ(groups.back().writes[0].place, "output");
  std::map<std::string, int> places;
  for (size_t s = 0; s < groups.size(); ++s) {
    int64_t bytes = 0;
    for (const auto* list : {&groups[s].reads, &groups[s].writes})
      for (const Executable::Buffer& b : *list) {
        bytes += b.bytes;
        ++places[b.place];
        if (std::string_view(b.place) != "arena") continue;
        EXPECT_LE(b.first, static_cast<int64_t>(s)) << "step " << s;
        EXPECT_GE(b.last, static_cast<int64_t>(s)) << "step " << s;
        EXPECT_LT(b.last, static_cast<int64_t>(groups.size()));
        EXPECT_LE(b.offset + b.bytes, executable.arena_bytes());
      }
    EXPECT_EQ(bytes, groups[s].operand_bytes);
  }
  EXPECT_EQ(places["variable"], 2);
}

Graph sum_of_powers(int terms) {
  Graph g(fmt::format("powers{}", terms));
  const Value x = g.add_input("x", kRow);
  const int64_t a = g.add_variable("a", kRow);
  Value power = x, sum = g.read(a);
  for (int i = 0; i < terms; ++i) {
    power = ops::mul(g, power, x);
    sum = ops::add(g, sum, power);
  }
  g.write(a, sum);
  g.set_outputs({ops::sum(g, sum)});
  return g;
}

TEST(Executable, SharesAContext) {
  const Executable small = executable_of(sum_of_powers(1)), large = executable_of(sum_of_powers(9));
  ExecutionContext context = caller_context();
  VariableValues state{{"a", row(0)}};
  for (int i = 0; i < 3; ++i) {
    state["a"] = row(0);
    EXPECT_EQ(small.run(context, {row(1)}, &state)[0].as<float>()[0], 64);
    EXPECT_EQ(large.run(context, {row(1)}, &state)[0].as<float>()[0], 64 * 10);
    EXPECT_TRUE(state["a"].identical(row(10)));
  }
}

TEST(Executable, RunsOnTwoThreadsAtOnce) {
  const Executable executable = executable_of(sum_of_powers(5));
  const auto body = [&](double x, float* result) {
    ExecutionContext context = caller_context();
    VariableValues state{{"a", row(0)}};
    std::vector<Tensor> outputs = executable.make_outputs();
    for (int i = 0; i < 200; ++i) executable.run(context, {row(x)}, outputs, &state);
    *result = outputs[0].as<float>()[0];
  };
  float one = 0, minus = 0;
  std::thread first(body, 1.0, &one), second(body, -1.0, &minus);
  first.join();
  second.join();
  EXPECT_EQ(one, 64 * 5 * 200);
  EXPECT_EQ(minus, 64 * 200);  // +1 -1 +1 -1 +1
}

TEST(Executable, TracesItsSteps) {
  const Executable executable = executable_of(sum_of_powers(2));
  ExecutionContext context = caller_context();
  const auto trace = std::make_shared<Trace>();
  context.set_trace(trace);
  VariableValues state{{"a", row(0)}};
  executable.run(context, {row(1)}, &state);
  const std::string path = testing::TempDir() + "gregale_exec_trace.json";
  trace->write(path);
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  for (const char* op : {"\"mul\"", "\"add\"", "\"sum\"", "\"step\""}) EXPECT_THAT(text.str(), testing::HasSubstr(op));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace gregale
