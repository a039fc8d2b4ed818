// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "data/forecast_file.hpp"
#include "report/score_report.hpp"
#include "tools/command.hpp"
#include "train/evaluation.hpp"

namespace gregale::tools {
namespace {

constexpr const char* kAblation = "network_off";

struct ScoreOptions {
  Common common;
  std::string what, reference, report, tune = "off";
  std::vector<std::string> truth;
  std::vector<int64_t> leads;
  int64_t block = 1;
  bool baselines = false;
};

/// What is scored: forecasts at some leads, from a model that is run here or from a file.
struct Forecasts {
  std::vector<int64_t> steps;
  std::map<int64_t, std::vector<int64_t>> inits;  // records of the truth, by step
  std::map<int64_t, Tensor> fields, ablation;
  std::string description;
};

Forecasts run_emulator(const ScoreOptions& o, const Emulator::State& emulator, const train::RunConfig& config,
                       ExecutionContext& context, const train::Records& truth) {
  const train::Problem& p = emulator.problem;
  GREGALE_CHECK(config.data.test.has_value(), invalid_argument,
                "the run has no test period (data.test); score a forecast file instead");
  Forecasts f;
  f.steps = o.leads;
  if (f.steps.empty())
    for (int64_t k = 1; k <= (config.train.finetune.steps > 0 ? config.train.finetune.rollout : 1); ++k)
      f.steps.push_back(k);
  std::sort(f.steps.begin(), f.steps.end());
  const std::vector<int64_t> targets =
      for_option("--truth", [&] { return data::records_in(truth.time(), *config.data.test); });
  Progress progress("lead", static_cast<int64_t>(f.steps.size()), o.common.quiet);
  for (size_t i = 0; i < f.steps.size(); ++i) {
    const int64_t step = f.steps[i];
    auto inits = train::inits_for(p, truth.time(), targets, step);
    GREGALE_CHECK(!inits.empty(), invalid_argument, "--truth: no forecast of {} can be started {} steps before it",
                  config.data.test->to_string(), step);
    f.fields[step] = train::forecast_cases(emulator, context, truth, inits, {&step, 1}).at(step);
    if (p.has_base() || p.anomalies())
      f.ablation[step] = train::forecast_cases(emulator, context, truth, inits, {&step, 1}, 0).at(step);
    f.inits[step] = std::move(inits);
    progress.update(static_cast<int64_t>(i) + 1);
  }
  progress.done();
  f.description =
      fmt::format("{} forecasts of the test period {}", f.inits.at(f.steps[0]).size(), config.data.test->to_string());
  return f;
}

Forecasts read_file(const ScoreOptions& o, const train::Problem& p, const train::Records& truth) {
  const data::ForecastFile file = data::read_forecast(o.what);
  GREGALE_CHECK(file.variables.size() == p.variables.size(), invalid_argument, "{} has {} variables, the reference {}",
                o.what, file.variables.size(), p.variables.size());
  const std::string difference = p.grid.difference(file.grid);
  GREGALE_CHECK(difference.empty(), shape, "{} is not on the reference's grid: {}", o.what, difference);
  Forecasts f;
  for (size_t k = 0; k < file.lead_steps.size(); ++k) {
    const int64_t step = file.lead_steps[k];
    if (step < 1 || (!o.leads.empty() && std::find(o.leads.begin(), o.leads.end(), step) == o.leads.end())) continue;
    std::vector<int64_t> inits, rows;
    for (size_t i = 0; i < file.init_seconds.size(); ++i)
      for (int64_t r = 0; r < truth.time().size(); ++r)
        if (truth.time().seconds(r) == file.init_seconds[i] && truth.time().offset(r, step * p.lead)) {
          inits.push_back(r);
          rows.push_back(static_cast<int64_t>(i));
        }
    if (inits.empty()) continue;
    Tensor fields(DType::f32, {static_cast<int64_t>(inits.size()), p.variable_count(), p.rows(), p.columns()});
    const auto leads = static_cast<int64_t>(file.lead_steps.size());
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(file.fields.as<float>().data() + (rows[i] * leads + static_cast<int64_t>(k)) * p.field_size(),
                  p.field_size(), fields.as<float>().data() + static_cast<int64_t>(i) * p.field_size());
    f.steps.push_back(step);
    f.inits[step] = std::move(inits);
    f.fields[step] = std::move(fields);
  }
  GREGALE_CHECK(!f.steps.empty(), invalid_argument, "--truth: the truth has none of the times that {} forecasts",
                o.what);
  f.description = fmt::format("{} forecasts of {}", f.inits.at(f.steps[0]).size(), o.what);
  return f;
}

void write_report(const ScoreOptions& o, const train::Problem& p, const train::RunConfig& config,
                  const train::Records& truth, const Forecasts& f, const score::ScoreRequest& request,
                  const score::Scorecard& card, const std::string& model) {
  const score::LeadCase& shown = request.cases.front();
  report::ScoreReport r;
  r.title = fmt::format("{}: test scores", std::filesystem::path(truth.dataset().files().front()).stem().string());
  const bool one_step = f.steps.size() == 1 && f.steps[0] == 1;
  const std::string ahead =
      one_step ? p.lead_text() : fmt::format("up to {} steps of {}", f.steps.back(), p.lead_text());
  r.description = fmt::format("{}, {} ahead.", f.description, ahead);
  r.choice = config.train.notes;
  r.facts = {{"Model", model},
             {"Target", train::to_string(p.target)},
             {"Trained on", p.training.to_string()},
             {"Truth", fmt::format("{}", truth.dataset().files().front())},
             {"Grid", p.grid.describe()},
             {"Program", "gregale " GREGALE_VERSION}};
  r.card = card;
  if (!f.ablation.empty()) r.ablation_name = kAblation;
  r.step = p.lead_text();
  r.latitudes = p.grid.latitudes();
  r.longitudes = p.grid.longitudes();
  r.map_lead = shown.lead;
  for (int64_t init : f.inits.at(shown.lead))
    r.times.push_back(truth.time().label_of(truth.time().advance(truth.time().seconds(init), shown.lead * p.lead)));
  r.truth = shown.truth;
  r.forecast = shown.forecast;
  r.climatology = shown.climatology;
  // Maps compare with the strongest baseline of this lead.
  double best = 0;
  for (const auto& [name, series] : shown.baselines) {
    if (name == kAblation) continue;
    double ratio = 0;
    for (const std::string& v : request.variables) {
      const auto& score = card.at(v, shown.lead);
      ratio += score::find_named(score.baselines, name)->global.rmse /
               score::find_named(score.baselines, "climatology")->global.rmse;
    }
    if (!r.baseline_name.empty() && ratio >= best) continue;
    best = ratio;
    r.baseline_name = name;
    r.baseline = series;
  }
  const std::vector<Tensor> series{shown.truth, shown.forecast, r.baseline};
  r.skill_difference =
      score::skill_difference_map(shown.forecast, r.baseline, shown.truth, score::ValidMask::common(series));
  report::write_score_report(o.report, r);
}

int run_score(const ScoreOptions& o) {
  if (!o.report.empty()) check_writable_file("--report", o.report);
  CompileOptions compiling;
  compiling.tune = parse_tune(o.tune);
  GREGALE_CHECK(std::filesystem::exists(o.what), io, "no such file or folder: {}", o.what);
  const bool is_folder = std::filesystem::is_directory(o.what);
  const bool is_model = is_folder || std::filesystem::path(o.what).extension() == ".safetensors";
  GREGALE_CHECK(is_model || !o.reference.empty(), usage,
                "a forecast file needs --reference DIR: the run whose climatology and damping it is held against");
  const std::string model = model_path(is_model ? o.what : o.reference);
  const Emulator emulator = Emulator::load(model, compiling);
  const train::Problem& p = emulator.state().problem;
  const train::RunConfig config = train::config_from_json(emulator.state().config, model);
  const train::Records truth = for_option("--truth", [&] {
    train::Records fields(data::FieldDataset::open(o.truth, p.variable_names()));
    train::check_same_problem(p, fields.dataset());
    return fields;
  });

  auto context = o.common.make_context();
  const Forecasts f = is_model ? run_emulator(o, emulator.state(), config, *context, truth) : read_file(o, p, truth);
  const train::Timeline timeline = train::make_timeline(p, truth);
  score::ScoreRequest request;
  request.variables = p.variable_names();
  request.units = emulator.units();
  request.latitudes = p.grid.latitudes();
  request.row_weights = p.grid.row_weights();
  request.full_circle = p.grid.periodic();
  request.bootstrap.block = o.block;
  if (o.common.seed) request.bootstrap.seed = static_cast<uint64_t>(*o.common.seed);
  for (int64_t step : f.steps) {
    score::LeadCase at = train::make_case(p, timeline, f.inits.at(step), step, train::kScoredBaselines);
    at.forecast = f.fields.at(step);
    if (!f.ablation.empty()) at.baselines.emplace_back(kAblation, f.ablation.at(step));
    request.cases.push_back(std::move(at));
  }
  const score::Scorecard card = score::make_scorecard(request);
  if (!o.report.empty()) write_report(o, p, config, truth, f, request, card, model);
  o.common.finish(*context);
  if (o.common.json) {
    std::printf("%s\n", score::to_json(card).dump(2).c_str());
    return 0;
  }
  std::printf("%s\n", f.description.c_str());
  if (o.baselines) std::printf("%s\n", score::skill_table(card).c_str());
  for (const auto& s : card.scores)
    for (const char* baseline : {"climatology", "damped_global", "damped_local", "recentred"})
      if (score::find_named(s.paired, baseline) != nullptr)
        std::printf("%s\n", score::verdict_sentence(card, s, baseline).c_str());
  if (!o.report.empty()) std::printf("wrote %s\n", o.report.c_str());
  return 0;
}

}  // namespace

Runner add_score(Command& program) {
  auto o = std::make_shared<ScoreOptions>();
  Command c = add_command(program, "score",
                          "Score a trained emulator or a forecast against the truth and the standard baselines",
                          "gregale score winds-out --truth winds.nc --baselines --report score.html", o->common);
  c.option("what", o->what, "DIR_OR_FORECAST", "A training folder, a model file or a forecast file").required();
  c.option("--truth", o->truth, "F.nc", "Observed fields: files or globs").required();
  c.option("--reference", o->reference, "DIR", "For a forecast file: the training folder with climatology and damping");
  c.flag("--baselines", o->baselines, "Print the table of the model beside every baseline");
  c.option("--leads", o->leads, "N,N", "Leads to score, in model steps: 1,2,3 (default: those trained)")
      .separated()
      .range(1, 100000);
  c.option("--block", o->block, "N",
           "Verification times the bootstrap draws together: more than 1 where neighbouring errors are alike")
      .range(1, 100000)
      .shown();
  c.option("--report", o->report, "F.html", "Write the test page");
  add_tune_option(c, o->tune);
  return [o] { return run_score(*o); };
}

}  // namespace gregale::tools
