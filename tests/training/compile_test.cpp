// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gregale/autodiff.hpp"
#include "gregale/nn.hpp"
#include "gregale/op.hpp"
#include "passes/compiled_case_for_tests.hpp"
#include "passes/oracle_for_tests.hpp"

// What the compiler does with the two directions of a training graph.
namespace gregale::passes {
namespace {

/// A step of gradient descent on a model's mean squared error: the loss is result 0.
struct Training {
  Graph graph{"training"};
  std::vector<Tensor> inputs;
  VariableValues state;

  template <class Model>
  Training(const Extents& extents, Model&& model) {
    const Value x = graph.add_input("x", Type(DType::f32, Shape(extents)));
    nn::Scope scope(graph);
    const Value y = model(scope, x);
    const Value truth = graph.constant(values(graph.type(y).shape.extents(), 2));
    const Value loss = ops::mean(graph, ops::square(graph, ops::sub(graph, y, truth)));
    const std::vector<Value> d = gradients(graph, loss, scope.values());
    for (size_t i = 0; i < d.size(); ++i) {
      const Value step = ops::mul(graph, d[i], 0.1);
      graph.write(scope.parameters()[i].variable, ops::sub(graph, scope.values()[i], step));
    }
    graph.set_outputs({loss});
    inputs = {values(extents, 1)};
    state = scope.initial_values(3);
  }
};

Training perceptron() {
  return Training({96, 32}, [](nn::Scope& scope, Value x) {
    return nn::mlp(scope, "net", x, {.width = 64, .depth = 6, .out = 8});
  });
}

Training transformer() {
  return Training({2, 24, 32}, [](nn::Scope& scope, Value x) {
    for (const char* name : {"a", "b", "c"}) x = nn::bert_layer(scope, name, x, {.heads = 4, .hidden = 64});
    return x;
  });
}

Training spectral() {
  return Training({1, 3, 12, 16}, [](nn::Scope& scope, Value x) {
    return nn::afno(scope, "net", x, {.patch = 2, .width = 32, .depth = 3, .blocks = 4, .out = 3});
  });
}

std::vector<Training> trainings() { return {perceptron(), transformer(), spectral()}; }

VariableValues copy_of(const VariableValues& state) {
  VariableValues copy;
  for (const auto& [name, tensor] : state) copy[name] = tensor.clone();
  return copy;
}

void expect_same(const VariableValues& a, const VariableValues& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_TRUE(tensor.identical(b.at(name))) << name;
}

/// Loss and new state, after one step of the interpreter.
VariableValues interpreted(const Training& t, const Graph& graph) {
  VariableValues state = copy_of(t.state);
  state["loss"] = interpret(graph, t.inputs, &state)[0];
  return state;
}

TEST(OrderUpdates, ComputesTheSame) {
  for (const Training& t : trainings()) expect_same(interpreted(t, order_updates(t.graph)), interpreted(t, t.graph));
}

TEST(OrderUpdates, WritesEachParameterBehindItsGradient) {
  const Training t = perceptron();
  const Graph ordered = order_updates(t.graph);
  // In the graph as it is built, all writes come last; now the first comes before most products of the backward pass.
  const auto first_write = [](const Graph& g) {
    int64_t products = 0;
    for (const Node& n : g.nodes()) {
      if (n.op->name == "write") return products;
      products += n.op->name == "matmul";
    }
    return products;
  };
  constexpr int64_t kLayers = 7;
  EXPECT_EQ(first_write(t.graph), 3 * kLayers);
  EXPECT_LE(first_write(ordered), kLayers + 2);
}

TEST(OrderUpdates, LeavesNothingToCopy) {
  for (const Training& t : trainings()) {
    CompileOptions options;
    options.fuse = false;
    EXPECT_THAT(compile(t.graph, options).describe(), testing::Not(testing::HasSubstr("write "))) << t.graph.name();
  }
}

TEST(OrderUpdates, WaitsForWhoReadsTheOldValue) {
  // The second reader of w comes behind the update's operand, and must still see the old w in place.
  Graph g("late");
  const Type type(DType::f32, Shape{4096});
  const Value x = g.add_input("x", type);
  const int64_t w = g.add_variable("w", type);
  const Value old = g.read(w);
  const Value next = ops::mul(g, ops::add(g, old, x), 0.5);
  const Value late = ops::exp(g, ops::mul(g, old, x));
  g.write(w, next);
  g.set_outputs({late});
  VariableValues state{{"w", values({4096}, 1)}}, same = copy_of(state);
  const std::vector<Tensor> inputs{values({4096}, 2)};
  const std::vector<Tensor> expected = interpret(g, inputs, &same);
  ExecutionContext context(make_thread_team(1));
  const std::vector<Tensor> got = compile(g).run(context, inputs, &state);
  expect_near(got[0], expected[0], 1e-6);
  expect_near(state.at("w"), same.at("w"), 1e-6);
}

TEST(OrderUpdates, LeavesGraphsWithoutStateAlone) {
  Graph g("pure");
  const Value x = g.add_input("x", Type(DType::f32, Shape{3}));
  g.set_outputs({ops::exp(g, x)});
  EXPECT_EQ(print(order_updates(g)), print(g));
}

TEST(KeepOrRecompute, ComputesTheSameBits) {
  for (const Training& t : trainings())
    for (const double price : {kKeepPrice, 64.0, 1e6}) {
      SCOPED_TRACE(price);
      Target target = declared_options().target;
      expect_same(interpreted(t, keep_or_recompute(t.graph, 0, target, price)), interpreted(t, t.graph));
    }
}

TEST(KeepOrRecompute, KeepsLessTheDearerMemoryIs) {
  for (const Training& t : trainings()) {
    KeepPlan usual, dear;
    const Target target = declared_options().target;
    keep_or_recompute(t.graph, 0, target, kKeepPrice, &usual);
    keep_or_recompute(t.graph, 0, target, 1e6, &dear);
    EXPECT_GT(usual.kept, 0);
    EXPECT_LT(dear.kept_bytes, usual.kept_bytes) << to_string(usual) << "\n" << to_string(dear);
    EXPECT_GT(dear.recomputed_flops, usual.recomputed_flops);
    EXPECT_GT(dear.kept, 0) << "a few values between the parts are kept whatever they cost";
  }
}

TEST(KeepOrRecompute, ComputesActivationsAgainRatherThanProducts) {
  const Training t = perceptron();
  const Graph g = keep_or_recompute(t.graph, 0, declared_options().target, kKeepPrice);
  const auto count = [](const Graph& graph, const char* name) {
    return std::count_if(graph.nodes().begin(), graph.nodes().end(), [&](const Node& n) { return n.op->name == name; });
  };
  EXPECT_EQ(count(g, "matmul"), count(t.graph, "matmul"));
  EXPECT_GT(count(g, "gelu"), count(t.graph, "gelu"));
}

TEST(KeepOrRecompute, LeavesGraphsWithoutABackwardPassAlone) {
  Graph g("forward");
  const Value x = g.add_input("x", Type(DType::f32, Shape{8}));
  g.set_outputs({ops::sum(g, ops::exp(g, x))});
  EXPECT_EQ(print(keep_or_recompute(g, 0, Target::detect(), 1)), print(g));
}

/// Sums may be taken in another order where groups are others. Some gradients (of a key's bias) are zero but for
/// rounding.
void expect_near_each(const VariableValues& got, const VariableValues& expected) {
  for (const auto& [name, tensor] : expected) {
    SCOPED_TRACE(name);
    const auto a = got.at(name).as<float>(), b = tensor.as<float>();
    double scale = 1e-3, worst = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      scale = std::max(scale, std::abs(static_cast<double>(b[i])));
      worst = std::max(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    }
    EXPECT_LE(worst, 1e-5 * scale);
  }
}

TEST(Training, RefusesALossThatIsNoResult) {
  Training t = perceptron();
  CompileOptions options;
  options.loss = 1;
  try {
    compile(t.graph, options);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("the loss of 'training' is to be result 1, it has 1"));
  }
}

TEST(Training, FitsIntoABudget) {
  for (const Training& t : trainings()) {
    SCOPED_TRACE(t.graph.name());
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      CompileOptions options;
      options.precision = precision;
      options.loss = 0;
      ExecutionContext context(make_thread_team(2));
      VariableValues free_state = copy_of(t.state);
      const Executable free = compile(t.graph, options);
      free_state["loss"] = free.run(context, t.inputs, &free_state)[0];
      EXPECT_THAT(free.describe(), testing::HasSubstr("are kept for the backward pass"));

      options.target.memory_budget = 1;
      int64_t least = 0;
      try {
        compile(t.graph, options);
        ADD_FAILURE() << "nothing fits into a byte";
      } catch (const BudgetError& e) {
        least = e.least();
      }
      ASSERT_LT(least, free.arena_bytes() + (int64_t{4} << 20));
      options.target.memory_budget = least;
      const Executable tight = compile(t.graph, options);
      EXPECT_LE(tight.arena_bytes(), least);
      VariableValues state = copy_of(t.state);
      state["loss"] = tight.run(context, t.inputs, &state)[0];
      expect_near_each(state, free_state);
    }
  }
}

// Of a transformer's layer and of a spectral block: each gradient against the same graph in f64, relative to its
// largest element. Those that are zero but for rounding (a key's bias) are held to the largest of all.
TEST(Training, GradientsAreWithin1e5OfF64) {
  for (const bool spectral_block : {false, true}) {
    Graph g(spectral_block ? "afno" : "bert");
    const Value x = g.add_input("x", Type(DType::f32, spectral_block ? Shape{1, 12, 24, 64} : Shape{2, 64, 96}));
    nn::Scope scope(g);
    const Value y = spectral_block ? nn::afno_block(scope, "block", x, {.blocks = 4}, 256)
                                   : nn::bert_layer(scope, "layer", x, {.heads = 6, .hidden = 384});
    const Value truth = g.constant(values(g.type(y).shape.extents(), 2));
    std::vector<Value> wanted = scope.values();
    wanted.push_back(x);
    g.set_outputs(gradients(g, ops::mean(g, ops::square(g, ops::sub(g, y, truth))), wanted));
    const std::vector<Tensor> inputs{values(g.type(x).shape.extents(), 1)};
    VariableValues state = scope.initial_values(5), wide;
    for (const auto& [name, tensor] : state) wide[name] = tensor.cast(DType::f64);
    const std::vector<Tensor> exact = interpret(in_f64(g), in_f64(inputs), &wide);
    ExecutionContext context(make_thread_team(2));
    const std::vector<Tensor> got = compile(g).run(context, inputs, &state);
    double largest = 0;
    for (const Tensor& t : exact) largest = std::max(largest, largest_of(t));
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LE(distance(got[i], exact[i]), 1e-5 * std::max(largest_of(exact[i]), 1e-3 * largest))
          << g.name() << (i + 1 < got.size() ? scope.parameters()[i].name : "x");
  }
}

// A transformer's layer, forward and backward: what elementwise operators, norms and softmax move falls to half at
// most.
TEST(Training, HalvesElementwiseTraffic) {
  Graph g("bert");
  const Value x = g.add_input("x", Type(DType::f32, Shape{8, 128, 768}));
  nn::Scope scope(g);
  const Value y = nn::bert_layer(scope, "layer", x, {});
  const Value truth = g.add_input("truth", g.type(y));
  const Value loss = ops::mean(g, ops::square(g, ops::sub(g, y, truth)));
  std::vector<Value> outputs = gradients(g, loss, scope.values());
  outputs.insert(outputs.begin(), loss);
  g.set_outputs(outputs);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    CompileOptions options = declared_options();
    options.loss = 0;
    options.precision = precision;
    const double fused = elementwise_bytes(compile(g, options));
    options.fuse = false;
    const double apart = elementwise_bytes(compile(g, options));
    std::printf("%.1f of %.1f MB, %.0f %%\n", fused * 1e-6, apart * 1e-6, 100 * fused / apart);
    EXPECT_LE(fused, 0.5 * apart) << fused << " of " << apart;
    EXPECT_GT(fused, 0);
  }
}

TEST(Training, RunsAsItIsInterpreted) {
  for (const Training& t : trainings())
    for (const Isa isa : isas()) {
      SCOPED_TRACE(to_string(isa));
      const VariableValues expected = interpreted(t, t.graph);
      CompileOptions options;
      options.loss = 0;
      options.target = Target::detect().capped(isa);
      const Executable e = compile(t.graph, options);
      ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
      VariableValues state = copy_of(t.state), again = copy_of(t.state);
      state["loss"] = e.run(one, t.inputs, &state)[0];
      again["loss"] = e.run(two, t.inputs, &again)[0];
      expect_near_each(state, expected);
      expect_same(state, again);
    }
}

}  // namespace
}  // namespace gregale::passes
