// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/json.hpp"
#include "data/atomic_file.hpp"
#include "report/terminal_map.hpp"
#include "score/metrics.hpp"
#include "tools/command.hpp"
#include "train/evaluation.hpp"

namespace gregale::tools {
namespace {

struct InitOptions {
  Common common;
  std::vector<std::string> fields, variables;
  std::string out = "run.yaml";
  bool force = false;
};

/// A configuration that suits the data: what `gregale train` would be started with.
train::RunConfig propose(const InitOptions& o, const data::FieldDataset& dataset, const data::SplitProposal& split,
                         bool missing) {
  namespace fs = std::filesystem;
  train::RunConfig config;
  const fs::path folder = fs::absolute(o.out).parent_path();
  config.folder = folder.string();
  for (const std::string& f : o.fields) {
    const fs::path path = fs::absolute(f);
    std::error_code error;
    const fs::path relative = fs::relative(path, folder, error);
    // Files below the YAML are named from there, so that the two can be moved together; others by their full path.
    const bool below = !error && !relative.empty() && *relative.begin() != "..";
    config.data.path.push_back(below ? relative.string() : path.string());
  }
  for (const auto& v : dataset.variables()) config.data.variables.push_back(v.name);
  config.data.train = split.train;
  config.data.validation = split.validation;
  config.data.test = split.test;
  if (missing) config.data.missing = "mask";
  config.data.position = true;
  config.data.time_features = {"season"};
  config.loss.name = "mse";
  if (dataset.time().monthly()) {  // slow fields: anomalies, their means, and what local damping leaves over
    config.data.means = {3, 12};
    config.data.cross_fit = "one_year";
    config.model.target = {train::TargetChoice::Kind::residual, "damped_local"};
  } else {
    config.model.target = {train::TargetChoice::Kind::residual, "persistence"};
  }
  return config;
}

nlohmann::json axes_json(const data::FieldDataset& dataset) {
  nlohmann::json axes = nlohmann::json::array();
  for (const auto& a : dataset.axes())
    axes.push_back({{"kind", a.kind},
                    {"name", a.name},
                    {"units", a.units},
                    {"size", a.size},
                    {"first", a.first},
                    {"last", a.last}});
  return axes;
}

int run_init(const InitOptions& o) {
  check_writable_file("-o", o.out);
  auto context = o.common.make_context();
  const data::FieldDataset dataset = data::FieldDataset::open(o.fields, o.variables);
  const grid::TimeAxis& time = dataset.time();
  GREGALE_CHECK(o.force || !std::filesystem::exists(o.out), io, "{} exists; --force overwrites it, -o names another",
                o.out);
  const data::SplitProposal split = data::propose_split(time);
  const train::Records records(dataset);
  std::vector<int64_t> all(static_cast<size_t>(dataset.records()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  int64_t missing = 0;
  Tensor field(DType::f32,
               {static_cast<int64_t>(dataset.variables().size()), dataset.grid().rows(), dataset.grid().columns()});
  for (int64_t r : all) {
    records.copy(r, field.as<float>().data());
    missing += data::count_missing(field);
  }
  train::RunConfig config = propose(o, dataset, split, missing > 0);

  // What any emulator has to beat, on the period the configuration will be chosen by.
  const train::Problem problem = train::learn_problem(config, records);
  const train::Timeline timeline = train::make_timeline(problem, records);
  const auto inits = train::inits_for(problem, time, data::records_in(time, split.validation), 1);
  GREGALE_CHECK(!inits.empty(), invalid_argument, "no forecast of {} can be started", split.validation.to_string());
  const auto at = train::make_case(problem, timeline, inits, 1, train::kScoredBaselines);
  std::vector<Tensor> series{at.truth};
  for (const auto& [name, values] : at.baselines) series.push_back(values);
  const auto mask = score::ValidMask::common(series);
  nlohmann::json baselines;
  std::string table = fmt::format("{:<16}", "");
  for (const auto& v : dataset.variables()) table += fmt::format("{:>16}", v.name);
  for (const auto& [name, values] : at.baselines) {
    table += fmt::format("\n{:<16}", name);
    for (size_t v = 0; v < dataset.variables().size(); ++v) {
      const double rmse = score::summarize(score::error_series(values, at.truth, mask, static_cast<int64_t>(v),
                                                               dataset.grid().row_weights()))
                              .rmse;
      baselines[name][dataset.variables()[v].name]["1"]["rmse"] = rmse;
      table += fmt::format("{:>16.4g}", rmse);
    }
  }
  data::write_file_atomically(o.out, train::print_config(config));
  o.common.finish(*context);

  if (o.common.json) {
    nlohmann::json variables = nlohmann::json::array();
    for (const auto& v : dataset.variables())
      variables.push_back({{"name", v.name},
                           {"units", v.units},
                           {"long_name", v.long_name},
                           {"component", data::to_string(v.component)}});
    const nlohmann::json result = {{"variables", variables},
                                   {"axes", axes_json(dataset)},
                                   {"time",
                                    {{"step", time.step().describe()},
                                     {"records", time.size()},
                                     {"first", time.label(0)},
                                     {"last", time.label(time.size() - 1)},
                                     {"calendar", grid::to_string(time.calendar())},
                                     {"gaps", time.gaps().size()}}},
                                   {"missing_values", missing},
                                   {"split",
                                    {{"train", split.train.to_string()},
                                     {"validation", split.validation.to_string()},
                                     {"test", split.test.to_string()}}},
                                   {"baselines", baselines},
                                   {"file", o.out}};
    std::printf("%s\n", result.dump(2).c_str());
    return 0;
  }
  std::printf("Time       %lld records, %s to %s, every %s\n", static_cast<long long>(time.size()),
              time.label(0).c_str(), time.label(time.size() - 1).c_str(), time.step().describe().c_str());
  std::printf("Grid       %s\n", dataset.grid().describe().c_str());
  for (const auto& v : dataset.variables())
    std::printf("Variable   %s: %s [%s]%s\n", v.name.c_str(), v.long_name.c_str(), v.units.c_str(),
                v.component == data::VectorComponent::none
                    ? ""
                    : fmt::format(", {} component", data::to_string(v.component)).c_str());
  if (missing > 0) std::printf("Missing    %lld values, masked\n", static_cast<long long>(missing));
  std::printf("Split      training %s, validation %s, test %s\n\n", split.train.to_string().c_str(),
              split.validation.to_string().c_str(), split.test.to_string().c_str());
  records.copy(time.size() - 1, field.as<float>().data());
  const Tensor first = Tensor::borrow(field.data(), DType::f32, {dataset.grid().rows(), dataset.grid().columns()});
  std::printf("%s at %s\n%s\n", dataset.variables()[0].name.c_str(), time.label(time.size() - 1).c_str(),
              report::terminal_map(first, dataset.grid(), dataset.variables()[0].units,
                                   std::min<int64_t>(report::terminal_columns(STDOUT_FILENO), 100),
                                   report::terminal_colours(STDOUT_FILENO))
                  .c_str());
  std::printf("RMSE of the baselines on %s, %s ahead (an emulator has to beat them):\n%s\n\n",
              split.validation.to_string().c_str(), time.step().describe().c_str(), table.c_str());
  std::printf("wrote %s; next: gregale train %s\n", o.out.c_str(), o.out.c_str());
  return 0;
}

}  // namespace

Runner add_init(Command& program) {
  auto o = std::make_shared<InitOptions>();
  Command c = add_command(program, "init", "Look at fields on disk and propose a configuration",
                          "gregale init winds.nc -o run.yaml", o->common);
  c.option("fields", o->fields, "FIELDS.nc", "NetCDF files or globs").required();
  c.option("-o,--out", o->out, "run.yaml", "The configuration to write").shown();
  c.option("--variables", o->variables, "A,B", "Which variables (default: all with time, latitude and longitude)")
      .separated();
  c.flag("--force", o->force, "Overwrite the configuration");
  return [o] { return run_init(*o); };
}

}  // namespace gregale::tools
