// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/validation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "gregale/error.hpp"
#include "report/training_report.hpp"
#include "score/metrics.hpp"
#include "train/emulator_graph.hpp"
#include "train/evaluation.hpp"

namespace gregale::train {

Validator::Validator(const Problem& problem, const RunConfig& config, const Records& records)
    : problem_(problem), records_(records) {
  const grid::TimeAxis& time = records.time();
  const auto targets = data::records_in(time, config.data.validation);
  inits_ = inits_for(problem, time, targets, 1);
  GREGALE_CHECK(!inits_.empty(), usage, "data.validation: no forecast of {} can be started",
                config.data.validation.to_string());
  const auto count = static_cast<int64_t>(inits_.size());
  if (count > kMostSamples) {
    std::vector<int64_t> some;
    for (int64_t i = 0; i < kMostSamples; ++i) some.push_back(inits_[static_cast<size_t>(i * count / kMostSamples)]);
    inits_ = some;
  }
  const Timeline timeline = make_timeline(problem, records);
  case_ = make_case(problem, timeline, inits_, 1, kScoredBaselines);
  std::vector<Tensor> series{case_.truth, case_.climatology};
  for (const auto& [name, fields] : case_.baselines) series.push_back(fields);
  const score::ValidMask mask = score::ValidMask::common(series);
  for (const auto& [name, fields] : case_.baselines)
    for (int64_t v = 0; v < problem.variable_count(); ++v)
      baselines_[name][problem.variables[static_cast<size_t>(v)].name] =
          score::summarize(score::error_series(fields, case_.truth, mask, v, problem.grid.row_weights())).rmse;
  emulator_.problem = problem;
  emulator_.graph = forecast_graph(problem, config.model, 1);
  emulator_.executable = std::make_unique<Executable>(compile(emulator_.graph));
}

ValidationPoint Validator::measure(ExecutionContext& context, const VariableValues& weights) {
  emulator_.parameters = weights;
  const int64_t step = 1;
  forecast_ = forecast_cases(emulator_, context, records_, inits_, {&step, 1}).at(1);
  std::vector<Tensor> series{case_.truth, case_.climatology, forecast_};
  for (const auto& [name, fields] : case_.baselines) series.push_back(fields);
  const score::ValidMask mask = score::ValidMask::common(series);
  ValidationPoint point;
  for (int64_t v = 0; v < problem_.variable_count(); ++v) {
    const std::string& name = problem_.variables[static_cast<size_t>(v)].name;
    point.rmse[name] =
        score::summarize(score::error_series(forecast_, case_.truth, mask, v, problem_.grid.row_weights())).rmse;
    point.mean_ratio +=
        point.rmse[name] / baselines_.at("climatology").at(name) / static_cast<double>(problem_.variable_count());
  }
  return point;
}

void Validator::write_report(const std::string& path, const RunConfig& config, const nlohmann::json& history,
                             const TrainProgress& progress, const std::string& status) const {
  report::TrainingReport r;
  r.title = fmt::format("{}: training", std::filesystem::path(records_.dataset().files().front()).stem().string());
  r.status = status;
  r.configuration = print_config(config);
  r.choice = config.train.notes;
  const grid::TimeAxis& time = records_.time();
  auto label = [&](size_t i) { return time.label_of(time.advance(time.seconds(inits_[i]), problem_.lead)); };
  r.validation = fmt::format("{} forecasts of {} to {}, {} ahead", inits_.size(), label(0), label(inits_.size() - 1),
                             problem_.lead_text());
  r.step = progress.step;
  r.total_steps = progress.total;
  r.seconds = progress.seconds;
  r.loss = progress.loss;
  r.learning_rate = progress.learning_rate;
  for (const auto& v : problem_.variables) {
    r.variables.push_back(v.name);
    r.units.push_back(v.units);
  }
  for (const auto& point : history) {
    report::TrainingPoint t;
    t.step = point.at("step").get<int64_t>();
    if (!point.at("train_loss").is_null()) t.train_loss = point.at("train_loss").get<double>();
    t.ratio = point.at("mean_ratio").get<double>();
    for (const std::string& name : r.variables) t.rmse.push_back(point.at("rmse").at(name).get<double>());
    r.points.push_back(std::move(t));
  }
  for (const auto& [name, scores] : baselines_) {
    std::vector<double> rmse;
    for (const std::string& variable : r.variables) rmse.push_back(scores.at(variable));
    r.baselines.emplace_back(name, std::move(rmse));
  }
  r.latitudes = problem_.grid.latitudes();
  r.longitudes = problem_.grid.longitudes();
  // Maps of the middle of the validation period, beside each variable's best baseline.
  const auto shown = static_cast<int64_t>(inits_.size() / 2);
  auto field = [&](const Tensor& series, size_t v) {
    Tensor out(DType::f32, {problem_.rows(), problem_.columns()});
    std::copy_n(series.as<float>().data() + shown * problem_.field_size() + static_cast<int64_t>(v) * out.size(),
                out.size(), out.as<float>().data());
    return out;
  };
  for (size_t v = 0; v < r.variables.size() && !forecast_.empty(); ++v) {
    report::TrainingMaps maps;
    maps.variable = r.variables[v];
    maps.units = r.units[v];
    maps.time = label(static_cast<size_t>(shown));
    maps.truth = field(case_.truth, v);
    maps.forecast = field(forecast_, v);
    double best = std::numeric_limits<double>::infinity();
    for (const auto& [name, series] : case_.baselines) {
      const double rmse = baselines_.at(name).at(r.variables[v]);
      if (!(rmse < best)) continue;
      best = rmse;
      maps.baseline_name = name;
      maps.baseline = field(series, v);
    }
    r.maps.push_back(std::move(maps));
  }
  report::write_training_report(path, r);
}

}  // namespace gregale::train
