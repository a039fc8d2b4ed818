// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The golden programs against the same graphs operator by operator: bytes simulated on this machine's L2, and times
// taken in turn. Argument: threads (2).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "gregale/exec.hpp"
#include "program_cases.hpp"
#include "tile/ledger.hpp"

namespace gregale::passes {
namespace {

/// Of groups what a simulated cache counts, of other steps their operands and results once.
double bytes_of(const Executable& e, const Target& target) {
  double bytes = 0;
  for (const Executable::Group& group : e.groups())
    bytes += group.program != nullptr ? tile::simulate(*group.program, target, target.cores).bytes
                                      : static_cast<double>(group.operand_bytes);
  return bytes;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void run(int threads) {
  ExecutionContext context(make_thread_team(threads));
  fmt::print("| program | steps alone | steps in groups | MB alone | MB in groups | time in groups / alone |\n");
  fmt::print("|---|--:|--:|--:|--:|--:|\n");
  for (const auto& make : golden_cases()) {
    const GoldenCase c = make();
    CompileOptions options;
    options.target.cores = threads;
    const Executable groups = compile(c.graph, options);
    options.fuse = false;
    const Executable alone = compile(c.graph, options);
    const auto time = [&](const Executable& e) {
      std::vector<Tensor> outputs = e.make_outputs();
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 5; ++i) e.run(context, c.inputs, outputs);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    std::vector<double> ratios;
    time(groups);
    time(alone);
    for (int round = 0; round < 21; ++round) {
      const double mine = time(groups);
      ratios.push_back(mine / time(alone));
    }
    fmt::print("| {} | {} | {} | {:.1f} | {:.1f} | {:.2f} |\n", c.name, alone.groups().size(), groups.groups().size(),
               bytes_of(alone, options.target) / 1e6, bytes_of(groups, options.target) / 1e6, median(ratios));
  }
}

}  // namespace
}  // namespace gregale::passes

int main(int argc, char** argv) {
  gregale::passes::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 2);
  return 0;
}
