// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/bench.hpp"

#include <algorithm>

namespace gregale::tools {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Runner add_bench(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "Time one piece of work alone: a contraction or a model");
  bench->footer("Example:\n  gregale bench gemm --m 1024 --n 1024 --k 1024");
  bench->require_subcommand(1);
  const std::pair<const char*, Runner> kinds[] = {{"gemm", add_bench_gemm(*bench)}, {"model", add_bench_model(*bench)}};
  return [bench, kinds = std::vector(std::begin(kinds), std::end(kinds))] {
    for (const auto& [name, run] : kinds)
      if (bench->got_subcommand(name)) return run();
    return 1;
  };
}

}  // namespace gregale::tools
