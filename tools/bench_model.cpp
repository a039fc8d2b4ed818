// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "tools/bench.hpp"
#include "tools/onnx.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {
namespace {

struct ModelOptions {
  Common common;
  NetworkOptions network;
  std::optional<int64_t> runs;
};

int run_model(const ModelOptions& o) {
  GREGALE_CHECK(!o.runs || *o.runs >= 1, usage, "--runs: expected a positive number, got {}", *o.runs);
  if (is_onnx_file(o.network.name)) return bench_onnx(o.common, o.network, o.runs);
  check_network(o.network);
  auto context = o.common.make_context();
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  const CompileOptions options = compile_options(o.network, context->team().size());
  Workload work = make_workload(o.network, context->team(), seed);
  const Type input = work.graph.type(work.graph.inputs()[0]);
  const double begin = seconds_now();
  const Executable program = compile_workload(o.network, work, options);
  const double compile_seconds = seconds_now() - begin;
  std::vector<Tensor> outputs = program.make_outputs();
  const int64_t before = train::resident_bytes();
  const std::vector<double> seconds = repeat(o.common, o.network.name, o.runs, *context,
                                             [&] { program.run(*context, work.inputs, outputs, &work.state); });
  const double median = median_of(seconds), fastest = *std::min_element(seconds.begin(), seconds.end());
  const int64_t peak_rss = train::peak_rss_bytes();  // before the peak is measured
  // What is resident between the passes, beside what was before the first run.
  int64_t boundary = 0;
  if (o.network.mode == "train") {
    context->on_boundary([&] { boundary = train::resident_bytes() - before; });
    program.run(*context, work.inputs, outputs, &work.state);
    context->on_boundary({});
  }
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
                                     {"ledger", ledger_of({&program}, options.target, context->team().size())},
                                     {"arena_bytes", program.arena_bytes()},
                                     {"keep", program.keep()},
                                     {"kept_bytes", program.kept_bytes()},
                                     {"boundary_bytes", boundary},
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
  if (o.network.mode == "train")
    fmt::print("  boundary  {} resident between forward and backward pass, {} planned\n",
               format_bytes(static_cast<double>(boundary)), format_bytes(static_cast<double>(program.kept_bytes())));
  return 0;
}

}  // namespace

Runner add_bench_model(Command& bench) {
  auto o = std::make_shared<ModelOptions>();
  Command model = add_command(bench, "model", "Time one model: the median of repeated runs after a warm-up",
                              "gregale bench model bert-base-layer --batch 8 --length 128\n"
                              "  gregale bench model resnet50.onnx --input-shape x=8x3x224x224",
                              o->common);
  model
      .option("name", o->network.name, "NAME|F.onnx",
              "fourcastnet, afno, bert-base-layer, resnet50, surrogate3d, mlp, or an ONNX file")
      .required();
  add_network_options(model, o->network);
  model.option("--runs", o->runs, "N", "Runs that are timed, after one that is not (default: for three seconds)");
  return [o] { return run_model(*o); };
}

}  // namespace gregale::tools
