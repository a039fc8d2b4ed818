// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/bench.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/machine/machine.hpp"
#include "tools/ledger.hpp"

namespace gregale::tools {

int bf16_products(const CompileOptions& options) {
  const Target& target = options.target;
  if (options.precision == Precision::fp32x3) return kernels::has_tiles(target) ? kernels::kFp32x3Products : 0;
  const bool has_unit = target.features.avx512_bf16 || target.features.amx_bf16;
  return options.precision == Precision::bf16 && has_unit ? 1 : 0;
}

double peak_of(const CompileOptions& options, ThreadTeam& team) {
  const Target& target = options.target;
  const int products = bf16_products(options);
  const auto machine = kernels::load_machine(kernels::machine_cache_path(), target, team.size());
  if (products == 0)
    return machine ? machine->fp32.all_threads
                   : kernels::measure_compute_peak(target, team, kernels::ComputeUnit::fp32);
  const double peak = machine && machine->bf16
                          ? machine->bf16->all_threads
                          : kernels::measure_compute_peak(target, team, kernels::ComputeUnit::bf16);
  return peak / products;
}

std::vector<double> repeat(const Common& common, const std::string& name, std::optional<int64_t> runs_wanted,
                           ExecutionContext& context, const std::function<void()>& run) {
  constexpr double kTotal = 3, kWarm = 0.3;  // seconds
  constexpr int64_t kLeast = 3, kUsual = 7, kMost = 100000;
  const auto once = [&] {
    const double begin = seconds_now();
    run();
    return seconds_now() - begin;
  };
  double estimate = once();  // pages and threads are new
  for (double warm = estimate; warm < kWarm && !runs_wanted; warm += estimate) estimate = std::max(once(), 1e-7);
  // Runs much shorter than that share one second.
  const auto fitting = static_cast<int64_t>(kTotal / std::max(estimate, 1e-7));
  const int64_t usual = fitting <= kUsual ? std::max(kLeast, fitting) : std::clamp(fitting / 3, kUsual, kMost);
  const int64_t runs = runs_wanted.value_or(usual);
  std::vector<double> seconds;
  Progress progress("run", runs, common.quiet);
  const TraceSpan span(context.trace(), "bench", name);
  for (int64_t r = 1; r <= runs; ++r) {
    seconds.push_back(once());
    progress.update(r);
  }
  progress.done();
  return seconds;
}

nlohmann::json ledger_of(const std::vector<const Executable*>& programs, const Target& target, int threads) {
  GroupBytes total;
  GroupLedger ledger(target, threads);
  for (const Executable* program : programs)
    for (const Executable::Group& group : program->groups()) {
      const GroupBytes bytes = ledger.of(group);
      total.predicted += bytes.predicted;
      total.counted += bytes.counted;
      total.least += bytes.least;
    }
  return {{"predicted_bytes", total.predicted}, {"counted_bytes", total.counted}, {"lower_bound_bytes", total.least}};
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Runner add_bench(Command& program) {
  Command bench = program.subcommand(
      "bench", "Measure one piece of work alone: a contraction, a model, or what compression does to gradients",
      "gregale bench gemm --m 1024 --n 1024 --k 1024");
  const std::map<std::string, Runner> kinds = {{"gemm", add_bench_gemm(bench)},
                                               {"model", add_bench_model(bench)},
                                               {"activations", add_bench_activations(bench)}};
  return [bench, kinds] { return kinds.at(bench.chosen())(); };
}

}  // namespace gregale::tools
