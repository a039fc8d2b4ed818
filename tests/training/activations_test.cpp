// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/autodiff.hpp"
#include "gregale/error.hpp"
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

TEST(CompressKept, TakesBitsOfEachValue) {
  const Network n = network(false);
  passes::KeepPlan plan;
  passes::compress_kept(n.graph, 0, Keep::compressed, 3, &plan);
  ASSERT_GE(plan.values.size(), 5U);
  std::vector<int> bits(plan.values.size(), 8);
  bits[0] = 1;
  bits[1] = kBitsOfBf16;
  bits[2] = kBitsWhole;
  passes::compress_kept(n.graph, 0, Keep::compressed, {3, bits}, &plan);
  const int64_t whole = 512 * 64 * 4, groups = 512 * 64 / 256;
  EXPECT_EQ(plan.values[0].kept_bytes, groups * (8 + 32));
  EXPECT_EQ(plan.values[1].kept_bytes, whole / 2);
  EXPECT_EQ(plan.values[2].kept_bytes, whole);
  EXPECT_EQ(plan.values[3].kept_bytes, groups * (8 + 8 * 32));

  CompileOptions options;
  options.loss = 0;
  options.keep = Keep::compressed;
  ExecutionContext context;
  const auto gradients_with = [&](const std::vector<int>& each) {
    options.kept_bits = each;
    VariableValues state = n.state;
    return compile(n.graph, options).run(context, n.inputs, &state);
  };
  const std::vector<Tensor> exact = run(n, Keep::everything, 3);
  const std::vector<Tensor> whole_again = gradients_with(std::vector<int>(bits.size(), kBitsWhole));
  const std::vector<Tensor> mixed = gradients_with(bits), three = gradients_with(std::vector<int>(bits.size(), 3)),
                            uniform = run(n, Keep::compressed, 3);
  for (size_t i = 1; i < exact.size(); ++i) {
    EXPECT_LT(rms(whole_again[i], &exact[i]), 1e-5 * rms(exact[i])) << i;
    EXPECT_GT(rms(mixed[i], &exact[i]), 1e-4 * rms(exact[i])) << i;
    EXPECT_TRUE(three[i].identical(uniform[i])) << i;
  }
  for (const std::vector<int>& wrong : {std::vector<int>(bits.size() - 1, 3), std::vector<int>(bits.size() + 1, 3),
                                        std::vector<int>(bits.size(), 9), std::vector<int>(bits.size(), 0)})
    EXPECT_THROW(gradients_with(wrong), Error);
}

TEST(CompressKept, ProbesTellWhatEachValueDoes) {
  for (const bool relu : {false, true}) {
    const Network n = network(relu);
    CompileOptions options;
    options.loss = 0;
    const Graph prepared = passes::run_until_kept(n.graph, options);
    const passes::KeptProbe probe = passes::probe_kept(prepared, 0, kBitsWhole, 3, true);
    verify(probe.graph);
    const Executable program = passes::compile_kept(probe.graph, options);
    ExecutionContext context;
    VariableValues state = n.state;
    const size_t count = probe.values.size(), gradients = n.graph.outputs().size();
    const auto run_with = [&](const std::vector<size_t>& on) {
      std::vector<Tensor> inputs = n.inputs;
      Tensor switches(DType::boolean, {static_cast<int64_t>(count)});
      for (const size_t i : on) static_cast<std::byte*>(switches.data())[i] = std::byte{1};
      inputs.push_back(switches);
      return program.run(context, inputs, &state);
    };
    const std::vector<Tensor> exact = run(n, Keep::everything, 3), none = run_with({});
    ASSERT_EQ(none.size(), gradients + probe.terms.size());
    std::vector<double> sum(gradients, 0);
    std::vector<size_t> all;
    int covered = 0;
    for (size_t v = 0; v < count; ++v) {
      all.push_back(v);
      const std::vector<Tensor> one = run_with({v});
      std::vector<double> told(gradients, 0);
      for (size_t t = 0; t < probe.terms.size(); ++t)
        if (probe.terms[t].value == static_cast<int>(v))
          told[static_cast<size_t>(probe.terms[t].gradient)] += static_cast<double>(none[gradients + t].as<float>()[0]);
      for (size_t g = 1; g < gradients; ++g) {
        const double measured = rms(one[g], &none[g]);
        sum[g] += measured * measured;
        if (!probe.covered[v]) continue;
        EXPECT_NEAR(std::sqrt(told[g]), measured, 0.2 * measured + 1e-12) << "value " << v << ", gradient " << g;
      }
      covered += probe.covered[v] ? 1 : 0;
    }
    EXPECT_GE(covered, 3) << "operands of products";
    EXPECT_LT(covered, relu ? 100 : static_cast<int>(count)) << "derivatives of activations act further";
    const std::vector<Tensor> together = run_with(all);
    for (size_t g = 1; g < gradients; ++g) {
      EXPECT_LT(rms(none[g], &exact[g]), 1e-5 * rms(exact[g]));
      EXPECT_NEAR(rms(together[g], &none[g]), std::sqrt(sum[g]), 0.25 * std::sqrt(sum[g])) << g;
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
