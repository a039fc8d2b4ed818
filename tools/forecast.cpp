// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/json.hpp"
#include "data/forecast_file.hpp"
#include "tools/command.hpp"
#include "train/emulator_state.hpp"

namespace gregale::tools {
namespace {

struct ForecastOptions {
  Common common;
  std::string model, out, time, tune = "off";
  std::vector<std::string> init;
  int64_t steps = 1;
};

int run_forecast(const ForecastOptions& o) {
  catch_interrupts();
  CompileOptions compiling;
  compiling.tune = parse_tune(o.tune);
  check_writable_file("-o", o.out);
  const std::string path = model_path(o.model);
  const Emulator emulator = Emulator::load(path, compiling);
  const train::Problem& p = emulator.state().problem;
  const train::Records records = for_option("--init", [&] {
    train::Records fields(data::FieldDataset::open(o.init, p.variable_names()));
    train::check_same_problem(p, fields.dataset());
    return fields;
  });
  const std::vector<int64_t> inits = for_option("--time", [&] { return records.time().find(o.time); });
  auto context = o.common.make_context();
  const auto begin = std::chrono::steady_clock::now();
  data::ForecastFile file;
  file.grid = p.grid;
  file.calendar = p.calendar;
  file.variables = p.variables;
  file.step = p.lead_text();
  for (int64_t k = 0; k <= o.steps; ++k) file.lead_steps.push_back(k);
  file.fields =
      Tensor(DType::f32, {static_cast<int64_t>(inits.size()), o.steps + 1, p.variable_count(), p.rows(), p.columns()});
  Progress progress("step", static_cast<int64_t>(inits.size()) * o.steps, o.common.quiet);
  for (size_t i = 0; i < inits.size(); ++i) {
    const int64_t start = records.time().seconds(inits[i]);
    file.init_seconds.push_back(start);
    for (int64_t k = 0; k <= o.steps; ++k) file.valid_seconds.push_back(records.time().advance(start, k * p.lead));
    const Tensor fields = train::roll_out(emulator.state(), *context, records, inits[i], o.steps, 1, [&](int64_t done) {
      if (interrupted()) throw_error(ErrorCode::interrupted, "interrupted; nothing was written");
      progress.update(static_cast<int64_t>(i) * o.steps + done);
    });
    std::copy(fields.as<float>().begin(), fields.as<float>().end(),
              file.fields.as<float>().begin() + static_cast<std::ptrdiff_t>(i) * fields.size());
  }
  progress.update(static_cast<int64_t>(inits.size()) * o.steps);
  progress.done();
  file.attributes = {{"title", "Forecast by a Gregale emulator"},
                     {"source", fmt::format("gregale {}, model {}", GREGALE_VERSION, path)},
                     {"history", fmt::format("gregale forecast {} --time {} --steps {}", o.model, o.time, o.steps)}};
  data::write_forecast(o.out, file);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  o.common.finish(*context);
  if (o.common.json) {
    const nlohmann::json result = {{"inits", inits.size()}, {"steps", o.steps}, {"seconds", seconds}, {"file", o.out}};
    std::printf("%s\n", result.dump(2).c_str());
  } else {
    std::printf("wrote %s: %zu initial times from %s, %lld steps of %s, in %.1f s\n", o.out.c_str(), inits.size(),
                records.time().label(inits.front()).c_str(), static_cast<long long>(o.steps), file.step.c_str(),
                seconds);
  }
  return 0;
}

}  // namespace

Runner add_forecast(Command& program) {
  auto o = std::make_shared<ForecastOptions>();
  Command c = add_command(program, "forecast", "Roll a trained emulator out from one time or every time of a range",
                          "gregale forecast winds-out --init winds.nc --time 1990-12/1991-11 --steps 6 -o forecast.nc",
                          o->common);
  c.option("model", o->model, "MODEL_OR_DIR", "A training folder (its model.safetensors) or a model file").required();
  c.option("--init", o->init, "F.nc", "Fields to start from, and the past they need: files or globs").required();
  c.option("--time", o->time, "T[/T2]", "Initial time, or a range: 1990-12, 1991-01/1991-12").required();
  c.option("--steps", o->steps, "N", "Steps to forecast").required().range(1, 1000000);
  c.option("-o,--out", o->out, "OUT.nc", "The forecast: CF-NetCDF, initial time x lead, step 0 included").required();
  add_tune_option(c, o->tune);
  return [o] { return run_forecast(*o); };
}

}  // namespace gregale::tools
