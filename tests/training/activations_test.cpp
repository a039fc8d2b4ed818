// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "gregale/nn.hpp"
#include "gregale/ops.hpp"
#include "passes/passes.hpp"

namespace gregale {
namespace {

struct Network {
  Graph graph{"net"};
  VariableValues state;
  std::vector<Tensor> inputs;
};

/// Loss and gradients of a multilayer perceptron; `relu` has comparisons backwards, GELU has none.
Network network(bool relu) {
  Network n;
  Graph& g = n.graph;
  const Value x = g.add_input("x", Type(DType::f32, Shape{512, 64})),
              y = g.add_input("y", Type(DType::f32, Shape{512, 8}));
  nn::Scope scope(g);
  Value h = x;
  for (int layer = 0; layer < 3; ++layer) {
    h = ops::matmul(g, h, scope.parameter("w" + std::to_string(layer), {64, 64}, nn::Initialiser::normal(0.2)));
    h = relu ? ops::relu(g, h) : ops::gelu(g, h);
  }
  const Value loss =
      nn::mse_loss(g, ops::matmul(g, h, scope.parameter("out", {64, 8}, nn::Initialiser::normal(0.2))), y);
  std::vector<Value> outputs = gradients(g, loss, scope.values());
  outputs.insert(outputs.begin(), loss);
  g.set_outputs(outputs);
  n.state = scope.initial_values(3);
  for (const Value v : {x, y}) {
    Tensor t(DType::f32, g.type(v).shape.extents());
    for (int64_t i = 0; i < t.size(); ++i)
      t.as<float>()[static_cast<size_t>(i)] =
          random_normal({5, 0, static_cast<uint32_t>(v.id)}, static_cast<uint64_t>(i));
    n.inputs.push_back(t);
  }
  return n;
}

std::vector<Tensor> run(const Network& n, Keep keep, int bits, Executable* program = nullptr) {
  CompileOptions options;
  options.loss = 0;
  options.keep = keep;
  options.keep_bits = bits;
  Executable compiled = compile(n.graph, options);
  ExecutionContext context;
  VariableValues state = n.state;
  std::vector<Tensor> results = compiled.run(context, n.inputs, &state);
  if (program != nullptr) *program = std::move(compiled);
  return results;
}

double rms(const Tensor& a, const Tensor* b = nullptr) {
  double sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(a.size()); ++i) {
    const double d =
        static_cast<double>(a.as<float>()[i]) - (b != nullptr ? static_cast<double>(b->as<float>()[i]) : 0);
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

TEST(CompressKept, LeavesTheForwardPassAloneAndErrsLessWithMoreBits) {
  for (const bool relu : {false, true}) {
    const Network n = network(relu);
    const std::vector<Tensor> exact = run(n, Keep::everything, 3);
    double before = INFINITY;
    for (const int bits : {2, 4, 8}) {
      const std::vector<Tensor> got = run(n, Keep::compressed, bits);
      EXPECT_TRUE(got[0].identical(exact[0]));
      double worst = 0;
      for (size_t i = 1; i < got.size(); ++i) worst = std::max(worst, rms(got[i], &exact[i]) / rms(exact[i]));
      EXPECT_GT(worst, 0);
      EXPECT_LT(worst, before / 2) << bits;
      before = worst;
    }
    EXPECT_LT(before, 0.02);
    const std::vector<Tensor> half = run(n, Keep::bf16, 3);
    EXPECT_TRUE(half[0].identical(exact[0]));
    for (size_t i = 1; i < half.size(); ++i) EXPECT_LT(rms(half[i], &exact[i]), 0.01 * rms(exact[i]));
  }
}

TEST(CompressKept, KeepsLess) {
  const Network n = network(false);
  Executable whole = compile(n.graph), half = compile(n.graph), small = compile(n.graph);
  run(n, Keep::everything, 3, &whole);
  run(n, Keep::bf16, 3, &half);
  run(n, Keep::compressed, 2, &small);
  EXPECT_LT(half.kept_bytes(), 0.6 * static_cast<double>(whole.kept_bytes()));
  EXPECT_LT(small.kept_bytes(), 0.12 * static_cast<double>(whole.kept_bytes()));
}

TEST(CompressKept, KeepsABitOfAComparison) {
  const Network n = network(true);
  passes::KeepPlan plan;
  const Graph g = passes::compress_kept(n.graph, 0, Keep::compressed, 2, &plan);
  verify(g);
  int packed = 0;
  for (const Node& node : g.nodes()) packed += node.op->name == "pack_bits" ? 1 : 0;
  EXPECT_EQ(packed, 3);
  EXPECT_EQ(plan.mask_bytes, 3 * 512 * 64 / 8);
}

TEST(CompressKept, DoesToGradientsWhatIsPredicted) {
  for (const bool relu : {false, true}) {
    const Network n = network(relu);
    const Graph g = passes::kept_error(n.graph, 0, Keep::compressed, 4);
    verify(g);
    const Executable program = compile(g);
    ExecutionContext context;
    VariableValues state = n.state;
    const std::vector<Tensor> results = program.run(context, n.inputs, &state);
    const std::vector<Tensor> exact = run(n, Keep::everything, 4), kept = run(n, Keep::compressed, 4);
    const size_t count = n.graph.outputs().size();
    ASSERT_EQ(results.size(), 3 * count);
    for (size_t i = 1; i < count; ++i) {
      const double measured = std::sqrt(static_cast<double>(results[count + 2 * i].as<float>()[0]));
      const double predicted = std::sqrt(static_cast<double>(results[count + 2 * i + 1].as<float>()[0]));
      EXPECT_NEAR(measured, rms(kept[i], &exact[i]), 0.25 * measured) << i;  // other draws where sums round otherwise
      EXPECT_GE(predicted, 0.75 * measured) << i;
      EXPECT_LE(predicted, 1.25 * measured) << i;
    }
  }
}

TEST(CompressKept, TellsWhatIsResidentAtTheBoundary) {
  const Network n = network(false);
  CompileOptions options;
  options.loss = 0;
  options.keep = Keep::compressed;
  const Executable program = compile(n.graph, options);
  ExecutionContext context;
  VariableValues state = n.state;
  int calls = 0;
  context.on_boundary([&] { ++calls; });
  const std::vector<Tensor> with = program.run(context, n.inputs, &state);
  EXPECT_EQ(calls, 1);
  context.on_boundary({});
  const std::vector<Tensor> without = program.run(context, n.inputs, &state);
  for (size_t i = 0; i < with.size(); ++i) EXPECT_TRUE(with[i].identical(without[i]));  // nothing was lost
}

}  // namespace
}  // namespace gregale
