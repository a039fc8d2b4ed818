// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// activation_seeds [BITS [EXTENT [STEPS]]]: trains the convolutional surrogate of volumes (8 convolutions of 32
// channels, batch 4) with five seeds, keeping everything and keeping BITS bits (3), and compares where they end on
// fields they have not seen. Compression passes where its mean is inside the interval of the others' runs, widened on
// either side by half its length: a margin chosen before the first run.
//
// The task: fields of random waves on a box of EXTENT (16) points a side, one step of Burgers-like advection and
// diffusion ahead.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <numeric>
#include <random>

#include "gregale/nn.hpp"
#include "gregale/train.hpp"

namespace {

using namespace gregale;

constexpr double kMargin = 0.5;  // of the interval
constexpr int64_t kBatch = 4;
constexpr int kSeeds = 5;

/// A field of eight random waves, and what becomes of it.
void draw(std::mt19937_64& random, int64_t n, float* x, float* y) {
  std::uniform_real_distribution<double> phase(0, 2 * std::numbers::pi);
  std::uniform_int_distribution<int> wave(-3, 3);
  struct Wave {
    int k[3];
    double phase, size;
  };
  std::vector<Wave> waves(8);
  for (Wave& w : waves) w = {{wave(random), wave(random), wave(random)}, phase(random), 0.5};
  const double unit = 2 * std::numbers::pi / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t k = 0; k < n; ++k, ++x, ++y) {
        double value = 0, slope = 0, curvature = 0;
        for (const Wave& w : waves) {
          const double at = unit * (static_cast<double>(w.k[0] * i + w.k[1] * j + w.k[2] * k)) + w.phase;
          value += w.size * std::sin(at);
          slope += w.size * w.k[2] * std::cos(at);
          curvature -= w.size * (w.k[0] * w.k[0] + w.k[1] * w.k[1] + w.k[2] * w.k[2]) * std::sin(at);
        }
        *x = static_cast<float>(value);
        *y = static_cast<float>(value - 0.1 * value * slope + 0.02 * curvature);
      }
}

struct Set {
  std::vector<Tensor> x, y;
};

Set make_set(uint64_t seed, int64_t n, int64_t batches) {
  std::mt19937_64 random(seed);
  Set set;
  for (int64_t b = 0; b < batches; ++b) {
    Tensor x(DType::f32, {kBatch, 1, n, n, n}), y = x.clone();
    for (int64_t s = 0; s < kBatch; ++s)
      draw(random, n, x.as<float>().data() + s * n * n * n, y.as<float>().data() + s * n * n * n);
    set.x.push_back(x);
    set.y.push_back(y);
  }
  return set;
}

/// The root mean square error on fields not seen, over that of the field itself as its forecast.
double train(ExecutionContext& context, Keep keep, int bits, int64_t n, int64_t steps, uint64_t seed, const Set& data,
             const Set& unseen) {
  Graph g("surrogate");
  const Type type(DType::f32, Shape{kBatch, 1, n, n, n});
  const Value x = g.add_input("x", type), y = g.add_input("y", type);
  nn::Scope scope(g);
  const Value out = nn::surrogate3d(scope, "net", x, {});
  const Value loss = nn::mse_loss(g, out, y);
  StepOptions options;
  options.optimizer.learning_rate = 1e-3;
  options.clip = 1;
  options.compile.keep = keep;
  options.compile.keep_bits = bits;
  TrainingStep step(std::move(g), scope, loss, options);
  VariableValues state = step.initial_state(seed);
  std::mt19937_64 order(seed);
  for (int64_t s = 0; s < steps; ++s) {
    const size_t b = order() % data.x.size();
    const double rate =
        1e-3 * 0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(s) / static_cast<double>(steps)));
    step.run(context, {data.x[b], data.y[b]}, state, seed, rate);
  }
  double error = 0, nothing = 0;
  for (size_t b = 0; b < unseen.x.size(); ++b) {
    error += step.run(context, {unseen.x[b], unseen.y[b]}, state, seed, 0).loss;  // no step: the rate is 0
    const auto from = unseen.x[b].as<float>(), to = unseen.y[b].as<float>();
    double sum = 0;
    for (size_t i = 0; i < from.size(); ++i)
      sum += std::pow(static_cast<double>(from[i]) - static_cast<double>(to[i]), 2);
    nothing += sum / static_cast<double>(from.size());
  }
  return std::sqrt(error / nothing);
}

}  // namespace

int main(int argc, char** argv) {
  const int bits = argc > 1 ? std::atoi(argv[1]) : 3;
  const int64_t n = argc > 2 ? std::atoll(argv[2]) : 16, steps = argc > 3 ? std::atoll(argv[3]) : 200;
  const Set data = make_set(1, n, 64), unseen = make_set(2, n, 8);
  ExecutionContext context;
  std::vector<double> whole, small;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    whole.push_back(train(context, Keep::everything, bits, n, steps, seed, data, unseen));
    small.push_back(train(context, Keep::compressed, bits, n, steps, seed, data, unseen));
    fmt::print("seed {}: {:.5f} keeping everything, {:.5f} keeping {} bits\n", seed, whole.back(), small.back(), bits);
  }
  const auto [low, high] = std::minmax_element(whole.begin(), whole.end());
  const double margin = kMargin * (*high - *low), mean = std::accumulate(small.begin(), small.end(), 0.0) / kSeeds;
  const bool inside = mean >= *low - margin && mean <= *high + margin;
  fmt::print("{:.5f} to {:.5f}; with {} bits {:.5f} on average, {} [{:.5f}, {:.5f}]\n", *low, *high, bits, mean,
             inside ? "inside" : "OUTSIDE", *low - margin, *high + margin);
  return inside ? 0 : 1;
}
