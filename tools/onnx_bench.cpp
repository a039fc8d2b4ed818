// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "tools/bench.hpp"
#include "tools/onnx_inputs.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {

int bench_onnx(const Common& common, const NetworkOptions& network, std::optional<int64_t> runs) {
  check_onnx_options(network);
  auto context = common.make_context();
  ThreadTeam& team = context->team();
  const auto seed = static_cast<uint64_t>(common.seed.value_or(0));
  const CompileOptions options = compile_options(network, team.size());
  const onnx::Model model = load_onnx(network.name, options);
  const OnnxInputs inputs = make_onnx_inputs(model, network.onnx, false, team, seed);
  if (!common.quiet)
    for (const std::string& note : inputs.notes) fmt::print(stderr, "{}\n", note);

  const double begin = seconds_now();
  const auto programs = model.programs(*context, inputs.values);
  const double first = seconds_now() - begin;
  const std::vector<double> seconds =
      repeat(common, network.name, runs, *context, [&] { model.run(*context, inputs.values); });
  const double median = median_of(seconds), fastest = *std::min_element(seconds.begin(), seconds.end());
  const double compile_seconds = std::max(0.0, first - fastest);  // the first run made the programs
  const int64_t peak_rss = train::peak_rss_bytes();               // before the peak is measured
  const double peak = peak_of(options, team);
  double flops = 0;
  int64_t arena = 0;
  std::vector<const Executable*> ran;
  for (const auto& program : programs) {
    flops += program->flops();
    arena = std::max(arena, program->arena_bytes());
    ran.push_back(program.get());
  }
  const double gflops = flops * 1e-9 / median;
  common.finish(*context);
  if (common.json) {
    nlohmann::json shapes = nlohmann::json::object();
    for (size_t i = 0; i < inputs.values.size(); ++i)
      if (const Tensor* t = inputs.values[i].tensor()) shapes[model.inputs()[i].name] = t->extents();
    const nlohmann::json document = {{"model", network.name},
                                     {"precision", network.precision},
                                     {"mode", network.mode},
                                     {"inputs", shapes},
                                     {"threads", team.size()},
                                     {"seed", seed},
                                     {"runs", seconds.size()},
                                     {"median_seconds", median},
                                     {"min_seconds", fastest},
                                     {"flops", flops},
                                     {"gflops", gflops},
                                     {"peak_gflops", peak},
                                     {"fraction_of_peak", gflops / peak},
                                     {"compile_seconds", compile_seconds},
                                     {"programs", programs.size()},
                                     {"ledger", ledger_of(ran, options.target, team.size())},
                                     {"arena_bytes", arena},
                                     {"peak_rss_bytes", peak_rss}};
    fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return 0;
  }
  std::string shapes;
  for (size_t i = 0; i < inputs.values.size(); ++i)
    shapes += fmt::format("{}{} {}", i > 0 ? ", " : "", model.inputs()[i].name, to_string(inputs.values[i]));
  fmt::print("{} {}, {}, {} thread{}\n", network.name, network.precision, shapes, team.size(),
             team.size() == 1 ? "" : "s");
  fmt::print("  median    {:.4g} ms of {} runs, fastest {:.4g} ms\n", median * 1e3, seconds.size(), fastest * 1e3);
  fmt::print("  speed     {:.1f} Gflop/s, {:.1f} % of the measured peak, {:.1f}\n", gflops, 100 * gflops / peak, peak);
  fmt::print("  compiled  in {:.2f} s, {:.4g} Gflop a run in {} program{}\n", compile_seconds, flops * 1e-9,
             programs.size(), programs.size() == 1 ? "" : "s");
  fmt::print("  memory    {} for intermediate results, {} in all at most\n", format_bytes(static_cast<double>(arena)),
             format_bytes(static_cast<double>(peak_rss)));
  return 0;
}

}  // namespace gregale::tools
