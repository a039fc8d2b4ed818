// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/json.hpp"
#include "tools/command.hpp"
#include "train/trainer.hpp"

namespace gregale::tools {
namespace {

struct TrainOptions {
  Common common;
  std::string config, out, tune = "off";
  std::vector<std::string> set;
  bool resume = false, print_config = false;
};

nlohmann::json to_json(const train::TrainResult& r) {
  nlohmann::json validation = {
      {"step", r.validation.step}, {"rmse", r.validation.rmse}, {"ratio_to_climatology", r.validation.mean_ratio}};
  return {{"steps", r.steps},
          {"seconds", r.seconds},
          {"loss", r.loss},
          {"validation", validation},
          {"baselines", r.baselines},
          {"weights_sha256", r.weights_sha256},
          {"peak_rss_bytes", r.peak_rss_bytes},
          {"already_finished", r.already_finished},
          {"ledger",
           {{"flops_per_step", r.flops_per_step},
            {"arena_bytes", r.arena_bytes},
            {"state_bytes", r.state_bytes},
            {"parameters", r.parameters}}}};
}

std::string describe(const train::ValidationPoint& p) {
  std::string text;
  for (const auto& [name, rmse] : p.rmse) text += fmt::format("{}{} {:.5g}", text.empty() ? "" : ", ", name, rmse);
  return text;
}

int run_train(const TrainOptions& o) {
  const Tune tune = parse_tune(o.tune);
  check_readable_file("configuration", o.config);
  std::vector<std::string> set = o.set;
  if (o.common.seed) set.push_back(fmt::format("train.seed={}", *o.common.seed));
  const train::RunConfig config = train::load_config(o.config, set);
  if (o.print_config) {
    std::fputs(train::print_config(config).c_str(), stdout);
    return 0;
  }
  train::TrainOptions options;
  options.folder = o.out.empty() ? std::filesystem::path(o.config).replace_extension().string() + "-out" : o.out;
  options.resume = o.resume;
  options.command_line = {"gregale", "train", o.config};
  options.stop = &interrupted();
  options.compile.tune = tune;
  catch_interrupts();
  auto context = o.common.make_context();
  std::unique_ptr<Progress> progress;
  auto bar = [&](int64_t total) -> Progress& {
    if (!progress) progress = std::make_unique<Progress>("step", total, o.common.quiet);
    return *progress;
  };
  options.message = [&](const std::string& line) {
    if (!o.common.quiet) std::fprintf(stderr, "%s\n", line.c_str());
  };
  options.progress = [&](const train::TrainProgress& p) {
    if (p.validation != nullptr)
      bar(p.total).line(fmt::format("step {}: validation RMSE {} ({:.3f} of climatology's)", p.step,
                                    describe(*p.validation), p.validation->mean_ratio));
    bar(p.total).update(p.step, fmt::format("loss {:.4g}", p.loss));
  };
  const train::TrainResult result = train::train(config, *context, options);
  if (progress) progress->done();
  o.common.finish(*context);
  if (o.common.json) {
    std::printf("%s\n", to_json(result).dump(2).c_str());
  } else if (result.already_finished) {
    std::printf("%s is finished: %lld steps\n", options.folder.c_str(), static_cast<long long>(result.steps));
  } else {
    std::printf("%lld steps in %.0f s; validation RMSE %s\n", static_cast<long long>(result.steps), result.seconds,
                describe(result.validation).c_str());
    for (const auto& [name, rmse] : result.baselines) {
      train::ValidationPoint baseline;
      baseline.rmse = rmse;
      std::printf("  %-20s %s\n", name.c_str(), describe(baseline).c_str());
    }
    std::printf("wrote %s/model.safetensors and %s/report.html\n", options.folder.c_str(), options.folder.c_str());
  }
  return 0;
}

}  // namespace

Runner add_train(Command& program) {
  auto o = std::make_shared<TrainOptions>();
  Command c = add_command(program, "train", "Train an emulator",
                          "gregale train winds.yaml --set train.steps=500 --out winds-out", o->common);
  c.option("config", o->config, "RUN.yaml", "RUN.yaml").required();
  c.option("--out", o->out, "DIR", "Folder for everything that is written (default: the YAML's name and -out)");
  c.flag("--resume", o->resume, "Go on from the newest valid checkpoint; start afresh where there is none");
  c.option("--set", o->set, "KEY=VALUE", "Override a key of the configuration").repeated();
  add_tune_option(c, o->tune);
  c.flag("--print-config", o->print_config, "Print the whole configuration, every default and its meaning, and stop");
  return [o] { return run_train(*o); };
}

}  // namespace gregale::tools
