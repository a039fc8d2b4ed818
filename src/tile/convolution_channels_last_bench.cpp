// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Layers of ResNet-50 with bias, residual and relu against the peak of the unit that multiplies, which is measured in
// turn with them. Arguments: the batch (1), then words that the names of the layers must hold one of.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/machine/machine.hpp"
#include "tile/convolution_channels_last.hpp"

namespace gregale::tile {
namespace {

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;
/// Filled with what are numbers of either dtype between 1/2 and 2: zeros would cost less power than data.
Memory memory(int64_t bytes) {
  auto* data = static_cast<std::byte*>(std::aligned_alloc(4096, static_cast<size_t>((bytes + 8191) / 4096 * 4096)));
  uint64_t state = 1;
  for (int64_t i = 0; i < bytes / 2; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<uint16_t>(state >> 48);
    const auto number = static_cast<uint16_t>((bits & 0x80ffu) | 0x3f00u);
    std::memcpy(data + 2 * i, &number, 2);
  }
  return Memory(data);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Layer {
  const char* name;
  Conv2d shape;
};
constexpr Layer kLayers[] = {
    {"stem 7x7/2 3-64 of 224", {1, 3, 224, 224, 64, 7, 7, 2, 2, 3, 3, 3, 3}},
    {"3x3 64-64 of 56", {1, 64, 56, 56, 64, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"3x3 128-128 of 28", {1, 128, 28, 28, 128, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"3x3 256-256 of 14", {1, 256, 14, 14, 256, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"3x3 512-512 of 7", {1, 512, 7, 7, 512, 3, 3, 1, 1, 1, 1, 1, 1}},
    {"3x3/2 128-128 of 56", {1, 128, 56, 56, 128, 3, 3, 2, 2, 1, 1, 1, 1}},
    {"1x1 64-256 of 56", {1, 64, 56, 56, 256, 1, 1}},
    {"1x1 256-64 of 56", {1, 256, 56, 56, 64, 1, 1}},
    {"1x1 1024-256 of 14", {1, 1024, 14, 14, 256, 1, 1}},
    {"1x1 512-2048 of 7", {1, 512, 7, 7, 2048, 1, 1}},
    {"1x1/2 256-512 of 56", {1, 256, 56, 56, 512, 1, 1, 2, 2}},
    {"3x3 depthwise 256 of 28", {1, 256, 28, 28, 256, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 256}},
};

ConvChannelsLastProblem problem_of(const Layer& layer, int64_t batch, DType dtype) {
  using kernels::ExprOp;
  ConvChannelsLastProblem p;
  p.shape = layer.shape;
  p.shape.n = batch;
  p.x = p.y = dtype;
  p.compute = dtype == DType::bf16 ? kernels::Compute::bf16 : kernels::Compute::f32;
  kernels::Expression& e = p.epilogue;
  const auto sum = e.apply(ExprOp::add, e.input(0), e.input(1));
  e.output(e.apply(ExprOp::relu, e.apply(ExprOp::add, sum, e.input(2))));
  p.epilogue_inputs = {{.broadcast = kernels::Broadcast::row}, {.dtype = dtype}};
  return p;
}

/// Gflop/s, the median of many runs.
double measure(const ConvChannelsLast& program, ThreadTeam& team) {
  const ConvChannelsLastProblem& p = program.problem();
  const Conv2d& s = p.shape;
  const int64_t outputs = s.n * s.k * s.out_h() * s.out_w(), taps = s.c / s.groups * s.r * s.s;
  const Memory x = memory(s.n * s.c * s.h * s.w * size_of(p.x)), y = memory(outputs * size_of(p.y));
  const Memory residual = memory(outputs * size_of(p.y)), bias = memory(s.k * 4), weights = memory(s.k * taps * 4);
  const Memory packed = memory(program.packed_weights_bytes()), scratch = memory(program.scratch_bytes());
  const Memory own = memory(program.thread_scratch_bytes() * team.size());
  program.pack_weights(team, DType::f32, weights.get(), packed.get());
  const void* inputs[] = {bias.get(), residual.get()};
  const ConvChannelsLastArguments arguments{x.get(), packed.get(), y.get(), inputs};
  const double flops = 2.0 * static_cast<double>(outputs * taps);
  const int repeats = std::max(1, static_cast<int>(1e9 / flops));
  std::vector<double> rates;
  for (int round = 0; round < 15; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) program.run(team, arguments, scratch.get(), own.get());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (round > 1) rates.push_back(flops * repeats / seconds / 1e9);
  }
  return median(rates);
}

void run(int64_t batch, const std::vector<std::string>& words) {
  const Target target = Target::detect();
  kernels::KernelCache cache(target);
  fmt::print("batch {}, share of the peak of as many threads\n{:<26}{:>6}{:>20}{:>20}\n", batch, "", "", "1 thread",
             "2 threads");
  for (const Layer& layer : kLayers) {
    const std::string name = layer.name;
    if (!words.empty() &&
        std::none_of(words.begin(), words.end(), [&](const auto& w) { return name.find(w) != name.npos; }))
      continue;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const ConvChannelsLast program(cache, problem_of(layer, batch, dtype));
      std::string line = fmt::format("{:<26}{:>6}", name, name_of(dtype));
      for (const int threads : {1, 2}) {
        const auto team = make_thread_team(threads, threads == 1 ? TeamKind::caller : TeamKind::std_thread);
        const double rate = measure(program, *team);
        const bool fast_bf16 = dtype == DType::bf16 && target.features.fast_bf16_dot;
        const double peak = kernels::measure_compute_peak(
            target, *team, fast_bf16 ? kernels::ComputeUnit::bf16 : kernels::ComputeUnit::fp32);
        line += fmt::format("{:>8.1f} ({:>4.0f}){:>5.1f}%", rate, peak, 100 * rate / peak);
      }
      fmt::print("{}   {}\n", line, program.describe());
    }
  }
}

}  // namespace
}  // namespace gregale::tile

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + std::min(argc, 2), argv + argc);
  gregale::tile::run(argc > 1 ? std::atoll(argv[1]) : 1, words);
  return 0;
}
