// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// One block of FourCastNet (90 x 180 points, 768 channels) two ways, run in turn: with operators on complex tensors and
// copies between them and the products' real rows, and as nn::afno has it, with complex numbers in parts. Arguments:
// fp32 or bf16 (fp32), rounds (7), then "programs" to print those of the second way.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "gregale/exec.hpp"
#include "gregale/nn.hpp"
#include "gregale/random.hpp"
#include "tile/program_executor.hpp"

namespace gregale {
namespace {

constexpr int64_t kHeight = 90, kWidth = 180, kChannels = 768, kBlocks = 8, kIn = kChannels / kBlocks;

/// A mode's complex perceptron between transforms of complex tensors.
Value complex_filter(nn::Scope& scope, Value x) {
  Graph& g = scope.graph();
  const auto init = nn::Initialiser::normal(0.02);
  const int64_t modes = kHeight * (kWidth / 2 + 1);
  const auto weights = [&](const char* name) { return scope.parameter(name, {kBlocks, 2 * kIn, 2 * kIn}, init); };
  const auto bias = [&](const char* name) { return scope.parameter(name, {kBlocks, 1, 2 * kIn}, init, false); };
  const Value spectrum = ops::rfft(g, x, {1, 2});
  const Shape split{modes, kBlocks, kIn}, joined{1, kHeight, kWidth / 2 + 1, kChannels};
  Value z = ops::concat(
      g, {ops::reshape(g, ops::real(g, spectrum), split), ops::reshape(g, ops::imag(g, spectrum), split)}, 2);
  z = ops::transpose(g, z, {1, 0, 2});
  z = ops::relu(g, ops::add(g, ops::matmul(g, z, weights("w1")), bias("b1")));
  z = ops::softshrink(g, ops::add(g, ops::matmul(g, z, weights("w2")), bias("b2")), 0.01);
  z = ops::transpose(g, z, {1, 0, 2});
  const Value re = ops::reshape(g, ops::slice_axis(g, z, 2, 0, kIn), joined);
  const Value im = ops::reshape(g, ops::slice_axis(g, z, 2, kIn, 2 * kIn), joined);
  return ops::add(g, ops::irfft(g, ops::complex(g, re, im), {1, 2}, kWidth), x);
}

Executable block(bool parts, const CompileOptions& options) {
  Graph graph(parts ? "parts" : "complex");
  nn::Scope scope(graph);
  const Value x = graph.add_input("x", Type(DType::f32, Shape{1, kHeight, kWidth, kChannels}));
  if (parts) {
    graph.set_outputs({nn::afno_block(scope, "block", x, {.blocks = kBlocks}, 4 * kChannels)});
  } else {
    const Value y = ops::add(graph, x, complex_filter(scope, nn::layer_norm(scope, "norm1", x)));
    graph.set_outputs({ops::add(
        graph, y, nn::feed_forward(scope, "mlp", nn::layer_norm(scope, "norm2", y), 4 * kChannels, kChannels))});
  }
  return compile(freeze(graph, scope.initial_values(1)), options);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  CompileOptions options;
  if (argc > 1 && std::strcmp(argv[1], "bf16") == 0) options.precision = Precision::bf16;
  const int rounds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 7;
  ExecutionContext context(make_thread_team(options.target.cores));
  const Executable programs[] = {block(false, options), block(true, options)};
  Tensor x(DType::f32, {1, kHeight, kWidth, kChannels});
  for (uint64_t i = 0; float& v : x.as<float>()) v = random_normal({1, 2, 3}, i++);
  std::vector<double> whole[2], steps[2];
  for (int p = 0; p < 2; ++p) steps[p].resize(programs[p].groups().size());
  for (int round = -1; round < rounds; ++round)
    for (int p = 0; p < 2; ++p) {
      std::vector<Tensor> outputs = programs[p].make_outputs();
      std::vector<double> seconds(steps[p].size(), 0);
      if (round < 0) {
        programs[p].run(context, {x}, outputs);
        continue;
      }
      const auto begin = std::chrono::steady_clock::now();
      programs[p].profile(context, {x}, outputs, nullptr, seconds);
      whole[p].push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
      for (size_t i = 0; i < seconds.size(); ++i) steps[p][i] += seconds[i] / rounds;
    }
  for (int p = 0; p < 2; ++p) {
    fmt::print("{}: median {:.1f} ms of {}, {:.1f} to {:.1f}\n", p == 0 ? "complex" : "parts", 1e3 * median(whole[p]),
               rounds, 1e3 * *std::min_element(whole[p].begin(), whole[p].end()),
               1e3 * *std::max_element(whole[p].begin(), whole[p].end()));
    const auto groups = programs[p].groups();
    for (size_t i = 0; i < groups.size(); ++i)
      fmt::print("  {:8.2f} ms {:9.1f} MB  {}\n", 1e3 * steps[p][i],
                 static_cast<double>(groups[i].operand_bytes) * 1e-6,
                 groups[i].body != nullptr ? groups[i].body->name() : groups[i].op);
  }
  if (argc > 3 && std::strcmp(argv[3], "programs") == 0)
    for (const Executable::Group& group : programs[1].groups())
      if (group.program != nullptr) fmt::print("{}", tile::print(group.program->program()));
  return 0;
}

}  // namespace
}  // namespace gregale

int main(int argc, char** argv) { return gregale::run(argc, argv); }
