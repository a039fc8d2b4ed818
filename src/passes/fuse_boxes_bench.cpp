// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The sum of the squared differences of neighbours along the three axes of a cube, and its gradient, against what no
// program can beat: reading the field once, and reading and writing it once, measured in turns with it.
//
//     fuse_boxes_bench [size=256] [threads=all] [print]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"
#include "tile/ledger.hpp"
#include "tile/program_executor.hpp"

namespace gregale {
namespace {

Graph roughness(int64_t size, bool gradient) {
  Graph g(gradient ? "gradient" : "diff-squared");
  const Value x = g.add_input("x", Type(DType::f32, Shape{size, size, size}));
  Value loss;
  for (int64_t axis = 0; axis < 3; ++axis) {
    const Value d = ops::sub(g, ops::slice_axis(g, x, axis, 1, INT64_MAX), ops::slice_axis(g, x, axis, 0, -1));
    const Value sum = ops::sum(g, ops::square(g, d));
    loss = axis == 0 ? sum : ops::add(g, loss, sum);
  }
  g.set_outputs({gradient ? gradients(g, loss, {x})[0] : loss});
  return g;
}

template <class Body>
double milliseconds(const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

/// Every word once; what comes of it keeps the compiler from leaving it out.
uint64_t read_once(ThreadTeam& team, const Tensor& t) {
  constexpr int64_t kChunk = 1 << 16, kLanes = 32;
  const auto* words = static_cast<const uint64_t*>(t.data());
  std::vector<uint64_t> found(static_cast<size_t>(team.size()), 0);
  parallel_for(team, t.bytes() / 8 / kLanes, kChunk / kLanes, [&](int64_t begin, int64_t end, int thread) {
    uint64_t all[kLanes] = {};
    for (int64_t i = begin * kLanes; i < end * kLanes; i += kLanes)
      for (int64_t j = 0; j < kLanes; ++j) all[j] ^= words[i + j];
    for (const uint64_t x : all) found[static_cast<size_t>(thread)] ^= x;
  });
  uint64_t sum = 0;
  for (const uint64_t x : found) sum ^= x;
  return sum;
}

/// One share a thread: large enough for the library's stores past the caches.
void copy_once(ThreadTeam& team, const Tensor& from, Tensor& to) {
  const int64_t share = (from.bytes() + team.size() - 1) / team.size();
  parallel_for(team, from.bytes(), share, [&](int64_t begin, int64_t end, int) {
    std::memcpy(static_cast<char*>(to.data()) + begin, static_cast<const char*>(from.data()) + begin,
                static_cast<size_t>(end - begin));
  });
}

void run(int64_t size, int threads, bool print_programs) {
  ExecutionContext context(make_thread_team(threads));
  ThreadTeam& team = context.team();
  Tensor field(DType::f32, {size, size, size}), copy(DType::f32, {size, size, size});
  parallel_for(team, field.size(), 1 << 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      field.as<float>()[static_cast<size_t>(i)] = random_normal({1, 0, 0}, static_cast<uint64_t>(i));
  });
  uint64_t sink = 0;
  for (const bool gradient : {false, true}) {
    CompileOptions options;
    options.target.cores = team.size();
    const Executable program = compile(roughness(size, gradient), options);
    for (const auto& group : program.groups()) {
      if (group.program == nullptr) continue;
      if (print_programs) fmt::print("{}", tile::print(group.program->program()));
      const tile::Traffic t = tile::predict(group.program->program(), options.target);
      fmt::print("  {:.1f} MB predicted, {:.1f} MB at least\n", t.bytes * 1e-6, t.least * 1e-6);
    }
    std::vector<Tensor> outputs = program.make_outputs();
    std::vector<double> times, once;
    constexpr int kRounds = 21, kWarm = 3;
    for (int round = 0; round < kRounds + kWarm; ++round) {
      const double t = milliseconds([&] { program.run(context, {field}, outputs); });
      const double o = milliseconds([&] {
        if (gradient)
          copy_once(team, field, copy);
        else
          sink ^= read_once(team, field);
      });
      if (round < kWarm) continue;
      times.push_back(t);
      once.push_back(o);
    }
    fmt::print("{:<13} {}^3, {} threads: {:.2f} ms, {} {:.2f} ms: {:.2f} times (fastest {:.2f} and {:.2f})\n",
               gradient ? "gradient" : "diff-squared", size, team.size(), median(times),
               gradient ? "reading and writing once" : "reading once", median(once), median(times) / median(once),
               *std::min_element(times.begin(), times.end()), *std::min_element(once.begin(), once.end()));
  }
  if (sink == 1) fmt::print("\n");
}

}  // namespace
}  // namespace gregale

int main(int argc, char** argv) {
  const int64_t size = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 256;
  const int threads = argc > 2 ? static_cast<int>(std::strtol(argv[2], nullptr, 10)) : 0;
  gregale::run(size, threads, argc > 3 && std::string(argv[3]) == "print");
}
