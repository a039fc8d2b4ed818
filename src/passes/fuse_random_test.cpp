// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Fusion against the interpreter on random networks. GREGALE_FUZZ_GRAPHS=N runs the first N of them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "gregale/exec.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "ir/interpret.hpp"
#include "passes/passes.hpp"

namespace gregale::passes {
namespace {

/// Rows of features that go through products, heads, norms and elementwise operators, as networks do: shapes are odd,
/// values are used more than once, and some leave the graph on the way.
class RandomNetwork {
 public:
  explicit RandomNetwork(uint32_t seed) : seed_(seed), graph(fmt::format("network{}", seed)) {
    const int64_t b = 1 + pick(3), l = 1 + pick(40);
    heads_ = 1 + pick(3);
    width_ = heads_ * (1 + pick(20));
    const Value x = input({b, l, width_});
    if (pick(2) == 0) input({b, l, width_});
    if (pick(3) == 0) input({l, width_});
    pool_.push_back(x);
    const uint64_t count = 2 + pick(14);
    for (uint64_t i = 0; i < count; ++i) step();
    std::vector<Value> outputs{pool_.back()};
    const Value other = any();
    if (!(other == outputs[0]) && graph.producer(other) >= 0) outputs.push_back(other);
    graph.set_outputs(outputs);
  }

  std::vector<Tensor> inputs;

 private:
  uint64_t pick(uint64_t n) { return random_below({seed_, 1, 0}, draws_++, n); }
  Value any() { return pool_[pick(pool_.size())]; }
  Tensor values(const Extents& extents, double scale) {
    Tensor t(DType::f32, extents);
    ++stream_;
    for (uint64_t i = 0; float& v : t.as<float>())
      v = static_cast<float>(scale * (2 * random_uniform(RandomKey{seed_, 2, stream_}, i++) - 1));
    return t;
  }
  Value input(const Extents& extents) {
    inputs.push_back(values(extents, 1));
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(DType::f32, Shape(extents)));
  }
  Value weights(const Extents& extents, double scale) {
    if (pick(5) > 0) return graph.constant(values(extents, scale));
    inputs.push_back(values(extents, scale));
    return graph.add_input(fmt::format("x{}", inputs.size()), Type(DType::f32, Shape(extents)));
  }
  int64_t last(Value v) const { return graph.type(v).shape[graph.type(v).rank() - 1].value(); }

  Value linear(Value x, int64_t out) {
    const bool turned = pick(4) == 0;
    const double scale = 1 / std::sqrt(static_cast<double>(last(x)));
    Value y =
        ops::matmul(graph, x, weights(turned ? Extents{out, last(x)} : Extents{last(x), out}, scale), false, turned);
    if (pick(3) > 0) y = ops::add(graph, y, weights({out}, 0.5));
    return y;
  }
  Value unary(Value x) {
    switch (pick(7)) {
      case 0:
        return ops::gelu(graph, x);
      case 1:
        return ops::relu(graph, x);
      case 2:
        return ops::tanh(graph, x);
      case 3:
        return ops::sigmoid(graph, x);
      case 4:
        return ops::softshrink(graph, x, 0.1);
      case 5:
        return ops::mul(graph, ops::silu(graph, x), 0.7);
      default:
        return ops::select(graph, ops::greater(graph, x, ops::scalar(graph, DType::f32, 0.2)), x, ops::neg(graph, x));
    }
  }
  Value attention(Value x) {
    const Extents e = graph.type(x).shape.extents();
    const int64_t d = e.back() / heads_;
    const auto split = [&](Value v) {
      return ops::transpose(graph, ops::reshape(graph, v, Shape{e[0], e[1], heads_, d}), {0, 2, 1, 3});
    };
    const Value q = split(linear(x, e.back())), k = split(pick(2) == 0 ? x : linear(x, e.back())), v = split(x);
    const Value p = ops::softmax(graph, ops::mul(graph, ops::matmul(graph, q, k, false, true), 0.3));
    const Value c = ops::transpose(graph, ops::matmul(graph, p, v), {0, 2, 1, 3});
    return ops::reshape(graph, c, Shape(e));
  }
  void step() {
    const Value x = any();
    const Shape shape = graph.type(x).shape;
    Value y;
    switch (pick(10)) {
      case 0:
      case 1:
        y = linear(x, pick(2) == 0 ? width_ : 1 + static_cast<int64_t>(pick(90)));
        break;
      case 2:
      case 3:
        y = unary(x);
        break;
      case 4: {
        const Value z = any();
        y = graph.type(z).shape == shape ? ops::add(graph, x, ops::mul(graph, z, 0.5)) : unary(x);
        break;
      }
      case 5:
        y = ops::layer_norm(graph, x, weights({last(x)}, 1), weights({last(x)}, 0.3), 1e-3);
        break;
      case 6:
        y = shape.rank() == 3 && last(x) % heads_ == 0 ? attention(x) : unary(x);
        break;
      case 7:
        y = ops::sub(graph, x, ops::mean(graph, x, {-1}, true));
        break;
      case 8: {
        const Extents e = shape.extents();
        y = shape.rank() == 3 ? linear(ops::reshape(graph, x, Shape{e[0] * e[1], e[2]}), width_) : unary(x);
        if (shape.rank() == 3 && pick(2) == 0) y = ops::reshape(graph, unary(y), Shape{e[0], e[1], width_});
        break;
      }
      default:
        y = last(x) > 2 ? ops::slice_axis(graph, unary(x), shape.rank() - 1, 1, last(x) - 1) : unary(x);
    }
    pool_.push_back(y);
  }

  uint32_t seed_;
  uint64_t draws_ = 0;
  uint32_t stream_ = 0;
  int64_t heads_ = 1, width_ = 1;
  std::vector<Value> pool_;

 public:
  Graph graph;
};

uint32_t count() {
  const char* given = std::getenv("GREGALE_FUZZ_GRAPHS");
  return given == nullptr ? 150 : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
}

void expect_near(const Tensor& got, const Tensor& expected, double tolerance) {
  double scale = 1, worst = 0;
  for (const float x : expected.as<float>()) scale = std::max(scale, static_cast<double>(std::abs(x)));
  for (size_t i = 0; i < expected.as<float>().size(); ++i) {
    const double error = std::abs(static_cast<double>(got.as<float>()[i]) - expected.as<float>()[i]);
    worst = std::isfinite(error) ? std::max(worst, error) : 1e30;
  }
  EXPECT_LE(worst, tolerance * scale);
}

void check(Precision precision, double tolerance) {
  ExecutionContext one(make_thread_team(1)), two(make_thread_team(2));
  const Isa best = Target::detect().isa;
  int fused = 0;
  for (uint32_t seed = 0; seed < count() && !testing::Test::HasFailure(); ++seed) {
    const RandomNetwork network(seed);
    SCOPED_TRACE(fmt::format("GREGALE_FUZZ_GRAPHS={} reaches seed {}", seed + 1, seed));
    SCOPED_TRACE(print(network.graph));
    CompileOptions options;
    options.precision = precision;
    const Isa isas[] = {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx};
    options.target = Target::detect().capped(std::min(best, isas[seed % 4]));
    options.target.cores = 1 + static_cast<int>(seed / 4 % 2);
    const Executable executable = compile(network.graph, options);
    SCOPED_TRACE(executable.describe());
    for (const auto& group : executable.groups()) fused += group.program != nullptr;
    const std::vector<Tensor> got = executable.run(one, network.inputs), again = executable.run(two, network.inputs);
    CompileOptions plain = options;  // without fusion, but with the policy's rounding
    plain.fuse = false;
    const std::vector<Tensor> expected = precision == Precision::fp32
                                             ? interpret(network.graph, network.inputs)
                                             : compile(network.graph, plain).run(one, network.inputs);
    for (size_t i = 0; i < got.size(); ++i) {
      expect_near(got[i], expected[i], tolerance);
      EXPECT_TRUE(got[i].identical(again[i])) << "threads change the bits of result " << i;
    }
  }
  EXPECT_GT(fused, static_cast<int>(count()));
}

TEST(RandomNetworks, RunAsTheyAreInterpreted) { check(Precision::fp32, 2e-5); }
/// Values next to the middle of two neighbours of bf16 are rounded to either.
TEST(RandomNetworks, RunInBf16AsUnfused) { check(Precision::bf16, 5e-2); }

}  // namespace
}  // namespace gregale::passes
