// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "grid/latlon.hpp"
#include "report/score_report.hpp"
#include "report/training_report.hpp"
#include "score/baselines.hpp"

namespace gregale::report {

/// A made-up world for tests and sample pages: two wind components, 132 months, a seasonal cycle with travelling waves,
/// longitudes from 20E as in the winds archive, and a corner without values. The forecast is damped persistence that
/// has heard a part of the truth.
struct SampleWorld {
  grid::LatLonGrid grid;
  Tensor records;  // f32 [132, 2, lat, lon]
  std::vector<int64_t> phase;
  std::vector<int> month;

  SampleWorld(int64_t rows, int64_t columns) {
    std::vector<double> lat, lon;
    for (int64_t j = 0; j < rows; ++j)
      lat.push_back(-90 + 180.0 * static_cast<double>(j) / static_cast<double>(rows - 1));
    for (int64_t i = 0; i < columns; ++i)
      lon.push_back(20 + 360.0 * static_cast<double>(i) / static_cast<double>(columns));
    grid = grid::LatLonGrid(lat, lon);
    constexpr int64_t kMonths = 132;
    records = Tensor(DType::f32, {kMonths, 2, rows, columns});
    auto out = records.as<float>();
    size_t at = 0;
    std::minstd_rand noise(1);
    for (int64_t t = 0; t < kMonths; ++t) {
      phase.push_back(t % 12);
      month.push_back(static_cast<int>(t % 12));
      const double month_angle = 2 * std::numbers::pi * static_cast<double>(t) / 12;
      for (int v = 0; v < 2; ++v)
        for (double y : lat)
          for (double x : lon) {
            const double a = y * std::numbers::pi / 180, b = x * std::numbers::pi / 180, c = std::cos(a);
            double value = v == 0 ? 9 * std::sin(3 * a) * std::sin(3 * a) * c - 3 : 3 * std::sin(2 * b) * c;
            value += 2.5 * std::sin(a) * std::cos(month_angle + v) + 0.6 * std::sin(40 * b) * c;
            for (int k = 1; k < 9; ++k) {
              const double turn = static_cast<double>(t) * (0.31 + 0.27 * k) + 1.7 * k * v;
              value +=
                  4.0 / k * c * std::sin(k * b + turn + 3 * std::sin(0.7 * turn)) * std::cos((k + 1) * a + 0.3 * turn);
            }
            value += 0.4 * (static_cast<double>(noise()) / static_cast<double>(std::minstd_rand::max()) - 0.5);
            const bool missing = y < -80 && x > 300 && x < 330;
            out[at++] = missing ? NAN : static_cast<float>(value);
          }
    }
  }
};

inline ScoreReport sample_score_report(int64_t rows = 73, int64_t columns = 144) {
  const SampleWorld world(rows, columns);
  const std::vector<int64_t> leads{1, 2};
  const score::BaselineModel model =
      score::BaselineModel::fit(world.records, world.phase, 12, 0, 96, world.grid.row_weights(), leads);
  ScoreReport report;
  report.title = "Sample winds: <test> scores";
  report.description = "24 forecasts of 1991-01 to 1992-12, made-up fields, one and two months ahead.";
  report.choice = "Three widths were compared on 1990; the smallest one within the noise of the best was kept.";
  report.facts = {{"Model", "sample.safetensors"}, {"Trained on", "1982-01 to 1989-12"}, {"Seed", "0"}};
  report.step = "1 month";
  score::ScoreRequest request;
  request.variables = {"UWND", "VWND"};
  request.units = {"M/S", "M/S"};
  request.latitudes = world.grid.latitudes();
  request.row_weights = world.grid.row_weights();
  request.full_circle = true;
  request.bootstrap.resamples = 1000;
  for (int64_t lead : leads) {
    const std::vector<int64_t> inits = score::inits_for_targets(108, 132, lead, 0);
    score::LeadCase at =
        score::make_lead_case(model, world.records, world.phase, world.month, 0, inits, lead, Tensor());
    at.forecast = score::find_named(at.baselines, "damped_local")->clone();
    auto forecast = at.forecast.as<float>();
    const auto truth = at.truth.as<float>();
    for (size_t i = 0; i < forecast.size(); ++i) forecast[i] += (lead == 1 ? 0.06F : 0.01F) * (truth[i] - forecast[i]);
    at.baselines.emplace_back("zeroed", *score::find_named(at.baselines, "damped_global"));
    request.cases.push_back(std::move(at));
  }
  const score::LeadCase& first = request.cases.front();
  report.card = score::make_scorecard(request);
  report.ablation_name = "zeroed";
  report.latitudes = world.grid.latitudes();
  report.longitudes = world.grid.longitudes();
  for (int year : {1991, 1992})
    for (int month = 1; month <= 12; ++month) report.times.push_back(fmt::format("{}-{:02}", year, month));
  report.truth = first.truth;
  report.forecast = first.forecast;
  report.climatology = first.climatology;
  report.baseline_name = "damped_local";
  report.baseline = *score::find_named(first.baselines, "damped_local");
  const std::vector<Tensor> series{report.truth, report.forecast, report.baseline};
  report.skill_difference =
      score::skill_difference_map(report.forecast, *score::find_named(first.baselines, "damped_global"), report.truth,
                                  score::ValidMask::common(series));
  return report;
}

inline TrainingReport sample_training_report(int64_t rows = 73, int64_t columns = 144) {
  const SampleWorld world(rows, columns);
  TrainingReport report;
  report.title = "Sample winds: training";
  report.configuration =
      "data:\n  path: winds.nc\n  variables: [UWND, VWND]\nmodel:\n  name: afno  # <embedded> & escaped\n";
  report.choice = "Three widths were compared on 1990; the smallest one within the noise of the best was kept.";
  report.validation = "12 forecasts of 1990-01 to 1990-12, 1 month ahead";
  report.step = 700;
  report.total_steps = 2000;
  report.seconds = 83;
  report.loss = 0.412;
  report.learning_rate = 8.1e-4;
  report.variables = {"UWND", "VWND"};
  report.units = {"M/S", "M/S"};
  for (int64_t step = 0; step <= 700; step += 50) {
    const double fall = std::exp(-static_cast<double>(step) / 150);
    report.points.push_back(
        {step, step == 0 ? NAN : 0.4 + 5 * fall, 0.87 + 0.5 * fall, {1.82 + 1.1 * fall, 1.41 + 0.9 * fall}});
  }
  report.baselines = {{"persistence", {2.36, 1.85}},
                      {"climatology", {2.11, 1.69}},
                      {"damped_global", {1.976, 1.554}},
                      {"damped_local", {1.899, 1.486}}};
  report.latitudes = world.grid.latitudes();
  report.longitudes = world.grid.longitudes();
  const int64_t cells = world.grid.cells();
  for (int64_t v = 0; v < 2; ++v) {
    const auto field = [&](int64_t t) {
      const auto all =
          world.records.as<float>().subspan(static_cast<size_t>((2 * t + v) * cells), static_cast<size_t>(cells));
      return Tensor::from(std::vector<float>(all.begin(), all.end()), {rows, columns});
    };
    TrainingMaps maps{
        report.variables[static_cast<size_t>(v)], "M/S", "1990-07", field(102), field(102), "damped_local", field(90)};
    auto forecast = maps.forecast.as<float>();
    const auto other = maps.baseline.as<float>();
    for (size_t i = 0; i < forecast.size(); ++i) forecast[i] = 0.5F * (forecast[i] + other[i]);
    report.maps.push_back(std::move(maps));
  }
  return report;
}

}  // namespace gregale::report
