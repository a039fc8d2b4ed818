// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Training graphs: random networks with the gradients of their inputs. GREGALE_FUZZ_GRAPHS=N runs N of them,
// GREGALE_FUZZ_FIRST=S those from seed S on.
#include <gtest/gtest.h>

#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "ir/rewrite.hpp"
#include "passes/oracle_for_tests.hpp"
#include "passes/passes.hpp"
#include "passes/random_network_for_tests.hpp"

namespace gregale::passes {
namespace {

constexpr uint32_t kTrainedGraphs = 40;

/// The network's mean square and what it means for all inputs.
Graph training_graph_of(const RandomNetwork& network) {
  Graph g = network.graph();
  const Value loss = ops::mean(g, ops::square(g, g.outputs()[0]));
  std::vector<Value> outputs = gradients(g, loss, g.inputs());
  outputs.insert(outputs.begin(), loss);
  g.set_outputs(outputs);
  return g;
}

/// The graph in f64, composites in parts, with every result off by `off` of itself, in random directions.
Graph all_off_by(const Graph& graph, double off, uint32_t draw) {
  uint32_t stream = 0;
  return rewrite(expand_for_fusion(in_f64(graph)), [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    if (node.op->has_side_effect || node.op->result_as_view || node.op->name == "constant") return results;
    results = out.add(*node.op, inputs, node.attributes, node.regions);
    for (Value& v : *results)
      if (out.type(v).dtype == DType::f64)
        v = ops::mul(out, v, out.constant(off_by(off, out.type(v).shape.extents(), {draw, 5, ++stream})));
    return results;
  });
}

/// What rounding does to a result: to one that is a small difference of larger ones, and where a derivative jumps
/// (relu, maximum, softshrink). The worst of evaluations in f64 in which all that is computed is off by 2^-22, and of
/// others whose inputs are off by 2^-20 of themselves.
std::vector<double> worst_gradient_of(const Graph& graph, const Oracle& oracle, const std::vector<Tensor>& inputs) {
  std::vector<double> worst(oracle.exact.size(), 0);
  const auto take = [&](const std::vector<Tensor>& results) {
    for (size_t i = 0; i < worst.size(); ++i) worst[i] = std::max(worst[i], distance(results[i], oracle.exact[i]));
  };
  const Graph wide = in_f64(graph);
  for (uint32_t draw = 0; draw < 8; ++draw) {
    take(interpret(all_off_by(graph, 0x1p-22, draw), in_f64(inputs)));
    std::vector<Tensor> moved = in_f64(inputs);
    for (size_t i = 0; i < moved.size(); ++i) {
      if (moved[i].dtype() != DType::f64) continue;
      const Tensor off = off_by(0x1p-20, moved[i].extents(), {draw, 4, static_cast<uint32_t>(i)});
      for (size_t k = 0; k < moved[i].as<double>().size(); ++k) moved[i].as<double>()[k] *= off.as<double>()[k];
    }
    take(interpret(wide, moved));
  }
  return worst;
}

TEST(RandomTraining, RunsAsItIsInterpreted) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
  int64_t again = 0;
  const Seeds seeds(kTrainedGraphs);
  seeds.each([&](uint32_t seed) {
    const RandomNetwork network(seed);
    const Graph graph = training_graph_of(network);
    const std::vector<Tensor> inputs = network.inputs();
    SCOPED_TRACE(text_of(graph));
    CompileOptions options;
    options.loss = 0;
    options.target = target_in_turn(seed);
    // What is computed again, and when, changes no bit.
    for (const double price : {kKeepPrice, 1e6}) {
      std::vector<Tensor> before;
      run_all(
          graph, options,
          [&](const std::string& pass, const Graph& g) {
            if (pass == "parts") before = interpret(g, inputs);
            if (pass != "keep or recompute" && pass != "updates") return;
            const std::vector<Tensor> after = interpret(g, inputs);
            for (size_t i = 0; i < after.size(); ++i)
              EXPECT_TRUE(after[i].identical(before[i])) << pass << " changes result " << i;
          },
          price);
    }
    const Executable executable = compile(graph, options);
    SCOPED_TRACE(executable.describe());
    again += executable.keep().find(" 0 operators") == std::string::npos;
    const Oracle oracle(graph, inputs);
    const std::vector<Tensor> got = executable.run(one, inputs), same = executable.run(two, inputs);
    std::vector<double> worst;
    double largest = 0;  // a gradient may be zero, but for rounding
    for (const double x : oracle.largest) largest = std::max(largest, x);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_TRUE(got[i].identical(same[i])) << "threads change the bits of result " << i;
      const double error = distance(got[i], oracle.exact[i]);
      if (error <= oracle.bound_in_f32(i, error)) continue;
      if (worst.empty()) worst = worst_gradient_of(graph, oracle, inputs);
      EXPECT_LE(error, oracle.bound_in_f32(i, error) + 4 * worst[i] + 1e-12 * largest)
          << "result " << i << ", where the interpreter is off by " << oracle.own[i];
    }
  });
  if (seeds.end - seeds.first >= kTrainedGraphs / 3) {
    EXPECT_GT(again, 0);
  }
}

}  // namespace
}  // namespace gregale::passes
