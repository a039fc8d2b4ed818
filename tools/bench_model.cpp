// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "kernels/machine/machine.hpp"
#include "tools/bench.hpp"
#include "tools/ledger.hpp"
#include "tools/networks.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {
namespace {

struct ModelOptions {
  Common common;
  NetworkOptions network;
  std::optional<int64_t> runs;
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The peak, in Gflop/s, of the unit that multiplies: what `gregale machine` measured, else measured now.
double peak_of(const CompileOptions& options, ThreadTeam& team) {
  const Target& target = options.target;
  const bool low = options.precision == Precision::bf16 && (target.features.avx512_bf16 || target.features.amx_bf16);
  const auto machine = kernels::load_machine(kernels::machine_cache_path(), target, team.size());
  if (machine && low && machine->bf16) return machine->bf16->all_threads;
  if (machine && !low) return machine->fp32.all_threads;
  return kernels::measure_compute_peak(target, team, low ? kernels::ComputeUnit::bf16 : kernels::ComputeUnit::fp32);
}

/// Runs until about three seconds are over, seven times at most and three at least, unless told how often. Short runs
/// are so many that their median means something.
std::vector<double> repeat(const ModelOptions& o, ExecutionContext& context, const Executable& program,
                           Workload& work) {
  constexpr double kTotal = 3, kWarm = 0.3;  // seconds
  constexpr int64_t kLeast = 3, kUsual = 7, kMost = 100000;
  std::vector<Tensor> outputs = program.make_outputs();
  const auto once = [&] {
    const double begin = now();
    program.run(context, work.inputs, outputs, &work.state);
    return now() - begin;
  };
  double estimate = once();  // pages and threads are new
  for (double warm = estimate; warm < kWarm && !o.runs; warm += estimate) estimate = std::max(once(), 1e-7);
  // Runs much shorter than that share one second.
  const auto fitting = static_cast<int64_t>(kTotal / std::max(estimate, 1e-7));
  const int64_t usual = fitting <= kUsual ? std::max(kLeast, fitting) : std::clamp(fitting / 3, kUsual, kMost);
  const int64_t runs = o.runs.value_or(usual);
  std::vector<double> seconds;
  Progress progress("run", runs, o.common.quiet);
  const TraceSpan span(context.trace(), "bench", o.network.name);
  for (int64_t r = 1; r <= runs; ++r) {
    seconds.push_back(once());
    progress.update(r);
  }
  progress.done();
  return seconds;
}

nlohmann::json ledger_of(const Executable& program, const Target& target, int threads) {
  GroupBytes total;
  GroupLedger ledger(target, threads);
  for (const Executable::Group& group : program.groups()) {
    const GroupBytes bytes = ledger.of(group);
    total.predicted += bytes.predicted;
    total.counted += bytes.counted;
    total.least += bytes.least;
  }
  return {{"predicted_bytes", total.predicted}, {"counted_bytes", total.counted}, {"lower_bound_bytes", total.least}};
}

int run_model(const ModelOptions& o) {
  check_network(o.network);
  GREGALE_CHECK(!o.runs || *o.runs >= 1, usage, "--runs: expected a positive number, got {}", *o.runs);
  auto context = o.common.make_context();
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  const CompileOptions options = compile_options(o.network, context->team().size());
  Workload work = make_workload(o.network, context->team(), seed);
  const Type input = work.graph.type(work.graph.inputs()[0]);
  const double begin = now();
  const Executable program = compile_workload(o.network, work, options);
  const double compile_seconds = now() - begin;
  const std::vector<double> seconds = repeat(o, *context, program, work);
  const double median = median_of(seconds), fastest = *std::min_element(seconds.begin(), seconds.end());
  const int64_t peak_rss = train::peak_rss_bytes();  // before the peak is measured
  const double peak = peak_of(options, context->team());
  const double gflops = program.flops() * 1e-9 / median;
  o.common.finish(*context);
  if (o.common.json) {
    const nlohmann::json document = {{"model", o.network.name},
                                     {"precision", o.network.precision},
                                     {"mode", o.network.mode},
                                     {"input", input.shape.extents()},
                                     {"threads", context->team().size()},
                                     {"seed", seed},
                                     {"runs", seconds.size()},
                                     {"median_seconds", median},
                                     {"min_seconds", fastest},
                                     {"flops", program.flops()},
                                     {"gflops", gflops},
                                     {"peak_gflops", peak},
                                     {"fraction_of_peak", gflops / peak},
                                     {"compile_seconds", compile_seconds},
                                     {"ledger", ledger_of(program, options.target, context->team().size())},
                                     {"arena_bytes", program.arena_bytes()},
                                     {"keep", program.keep()},
                                     {"peak_rss_bytes", peak_rss}};
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
  }
  fmt::print("{} {}, {}, input {}, {} thread{}\n", o.network.name, o.network.precision, o.network.mode,
             to_string(input), context->team().size(), context->team().size() == 1 ? "" : "s");
  fmt::print("  median    {:.4g} ms of {} runs, fastest {:.4g} ms\n", median * 1e3, seconds.size(), fastest * 1e3);
  fmt::print("  speed     {:.1f} Gflop/s, {:.1f} % of the measured peak, {:.1f}\n", gflops, 100 * gflops / peak, peak);
  fmt::print("  compiled  in {:.2f} s, {:.4g} Gflop a run\n", compile_seconds, program.flops() * 1e-9);
  fmt::print("  memory    {} for intermediate results, {} in all at most\n",
             format_bytes(static_cast<double>(program.arena_bytes())), format_bytes(static_cast<double>(peak_rss)));
  if (!program.keep().empty()) fmt::print("  kept      {}\n", program.keep());
  return 0;
}

}  // namespace

Runner add_bench_model(CLI::App& bench) {
  auto o = std::make_shared<ModelOptions>();
  CLI::App* model =
      add_command(bench, "model", "Time one model with random weights: the median of repeated runs after a warm-up",
                  "gregale bench model bert-base-layer --batch 8 --length 128", o->common);
  model->add_option("name", o->network.name, "fourcastnet, bert-base-layer, resnet50, surrogate3d or mlp")
      ->required()
      ->type_name("NAME");
  add_network_options(*model, o->network);
  model->add_option("--runs", o->runs, "Runs that are timed, after one that is not (default: for three seconds)")
      ->type_name("N");
  return [o] { return run_model(*o); };
}

}  // namespace gregale::tools
