// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/scorecard.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/json.hpp"
#include "score/table.hpp"

namespace gregale::score {
namespace {

Tensor gather_records(const Tensor& records, std::span<const int64_t> inits, int64_t shift) {
  const SeriesShape shape = series_shape(records, "make_lead_case");
  Tensor out(DType::f32, {static_cast<int64_t>(inits.size()), shape.variables, shape.rows, shape.columns});
  for (size_t i = 0; i < inits.size(); ++i) {
    const int64_t at = inits[i] + shift;
    GREGALE_CHECK(at >= 0 && at < shape.times, invalid_argument, "[make_lead_case] record {} is not one of {}", at,
                  shape.times);
    std::copy_n(records.as<float>().data() + at * shape.record(), shape.record(),
                out.as<float>().data() + static_cast<int64_t>(i) * shape.record());
  }
  return out;
}

ForecastScore score_forecast(const Tensor& forecast, const LeadCase& at, const ValidMask& mask, int64_t variable,
                             std::span<const double> row_weights, std::span<const Region> bands) {
  ForecastScore score;
  const ErrorSeries series = error_series(forecast, at.truth, mask, variable, row_weights);
  score.global = summarize(series);
  score.acc =
      mean_of_valid(anomaly_correlation_series(forecast, at.truth, at.climatology, mask, variable, row_weights));
  for (const Region& band : bands) {
    const ErrorSeries banded = error_series(forecast, at.truth, mask, variable, band.row_weights);
    score.bands.emplace_back(band.name, summarize(banded));
  }
  if (!at.month.empty()) score.months = summarize_by_month(series, at.month);
  score.squared = series.squared;
  return score;
}

void check_request(const ScoreRequest& request) {
  GREGALE_CHECK(!request.cases.empty(), invalid_argument, "[scorecard] no lead to score");
  GREGALE_CHECK(request.units.empty() || request.units.size() == request.variables.size(), shape,
                "[scorecard] {} units for {} variables", request.units.size(), request.variables.size());
  for (const LeadCase& at : request.cases) {
    const SeriesShape shape = series_shape(at.truth, "scorecard");
    GREGALE_CHECK(shape.times > 0, invalid_argument, "[scorecard] no verification time at lead {}", at.lead);
    GREGALE_CHECK(shape.variables == static_cast<int64_t>(request.variables.size()), shape,
                  "[scorecard] {} variables are named and {} given", request.variables.size(), shape.variables);
    GREGALE_CHECK(shape.rows == static_cast<int64_t>(request.latitudes.size()), shape,
                  "[scorecard] {} latitudes for {} rows", request.latitudes.size(), shape.rows);
    GREGALE_CHECK(at.month.empty() || static_cast<int64_t>(at.month.size()) == shape.times, shape,
                  "[scorecard] {} months for {} verification times", at.month.size(), shape.times);
    GREGALE_CHECK(at.forecast.empty() == request.cases.front().forecast.empty(), invalid_argument,
                  "[scorecard] some leads have a forecast and some have none");
    GREGALE_CHECK(at.baselines.size() == request.cases.front().baselines.size(), invalid_argument,
                  "[scorecard] the baselines of leads {} and {} differ", request.cases.front().lead, at.lead);
    for (size_t b = 0; b < at.baselines.size(); ++b)
      GREGALE_CHECK(at.baselines[b].first == request.cases.front().baselines[b].first, invalid_argument,
                    "[scorecard] the baselines of leads {} and {} differ", request.cases.front().lead, at.lead);
  }
}

nlohmann::json summary_json(const ErrorSummary& summary) {
  return {{"rmse", summary.rmse}, {"mae", summary.mae}, {"bias", summary.bias}, {"times", summary.times}};
}

nlohmann::json score_json(const ForecastScore& score) {
  nlohmann::json json = summary_json(score.global);
  json["acc"] = score.acc;
  for (const auto& [name, summary] : score.bands) json["bands"][name] = summary_json(summary);
  if (!score.months.empty()) {
    json["months"] = nlohmann::json::array();
    for (const ErrorSummary& month : score.months) json["months"].push_back(summary_json(month));
  }
  return json;
}

}  // namespace

std::vector<int64_t> inits_for_targets(int64_t begin, int64_t end, int64_t lead, int64_t first) {
  std::vector<int64_t> inits;
  for (int64_t target = begin; target < end; ++target)
    if (target - lead >= first) inits.push_back(target - lead);
  return inits;
}

LeadCase make_lead_case(const BaselineModel& model, const Tensor& records, std::span<const int64_t> phase,
                        std::span<const int> month, int64_t first, std::span<const int64_t> inits, int64_t lead,
                        const Tensor& forecast, std::span<const Baseline> baselines) {
  LeadCase at;
  at.lead = lead;
  at.truth = gather_records(records, inits, lead);
  at.climatology = model.forecast_series(Baseline::climatology, records, phase, first, inits, lead);
  at.forecast = forecast;
  for (Baseline baseline : baselines) {
    at.baselines.emplace_back(to_string(baseline),
                              baseline == Baseline::climatology
                                  ? at.climatology
                                  : model.forecast_series(baseline, records, phase, first, inits, lead));
  }
  if (!month.empty()) {
    GREGALE_CHECK(month.size() == phase.size(), shape, "[make_lead_case] {} months for {} records", month.size(),
                  phase.size());
    for (int64_t init : inits) at.month.push_back(month[static_cast<size_t>(init + lead)]);
  }
  return at;
}

const VariableScore& Scorecard::at(std::string_view variable, int64_t lead) const {
  for (const VariableScore& score : scores)
    if (score.variable == variable && score.lead == lead) return score;
  throw_error(ErrorCode::invalid_argument, fmt::format("[scorecard] no score of {} at lead {}", variable, lead));
}

Scorecard make_scorecard(const ScoreRequest& request) {
  check_request(request);
  const std::vector<Region> bands = latitude_bands(request.latitudes, request.row_weights);
  Scorecard card;
  card.has_model = !request.cases.front().forecast.empty();
  card.variables = request.variables;
  card.units = request.units;
  card.bootstrap = request.bootstrap;
  for (const auto& [name, series] : request.cases.front().baselines) card.baseline_names.push_back(name);
  for (const LeadCase& at : request.cases) {
    card.leads.push_back(at.lead);
    std::vector<Tensor> compared{at.truth, at.climatology};
    if (card.has_model) compared.push_back(at.forecast);
    for (const auto& [name, series] : at.baselines) compared.push_back(series);
    const ValidMask mask = ValidMask::common(compared);
    for (size_t v = 0; v < request.variables.size(); ++v) {
      const auto variable = static_cast<int64_t>(v);
      VariableScore score;
      score.variable = request.variables[v];
      score.lead = at.lead;
      for (const auto& [name, series] : at.baselines)
        score.baselines.emplace_back(name, score_forecast(series, at, mask, variable, request.row_weights, bands));
      if (card.has_model) {
        score.model = score_forecast(at.forecast, at, mask, variable, request.row_weights, bands);
        score.missing_share = missing_share(at.forecast, at.truth, variable, request.row_weights);
        for (const auto& [name, baseline] : score.baselines)
          score.paired.emplace_back(name, paired_bootstrap(score.model.squared, baseline.squared, request.bootstrap));
        if (request.full_circle) {
          const auto spectra = [&](std::span<const double> weights) {
            return zonal_spectra(at.forecast, at.truth, mask, variable, request.latitudes, weights);
          };
          score.spectra.emplace_back("globe", spectra(request.row_weights));
          for (const Region& band : bands) score.spectra.emplace_back(band.name, spectra(band.row_weights));
        }
      }
      int64_t times = score.model.global.times;
      for (const auto& [name, baseline] : score.baselines) times = std::max(times, baseline.global.times);
      GREGALE_CHECK(times > 0, invalid_argument,
                    "[scorecard] {} at lead {}: no point has a value in the truth, the climatology and all forecasts",
                    score.variable, at.lead);
      card.scores.push_back(std::move(score));
    }
  }
  return card;
}

nlohmann::json to_json(const Scorecard& card) {
  nlohmann::json json;
  json["variables"] = nlohmann::json::object();
  json["baselines"] = nlohmann::json::object();
  json["paired"] = nlohmann::json::object();
  for (const VariableScore& score : card.scores) {
    const std::string lead = std::to_string(score.lead);
    for (const auto& [name, baseline] : score.baselines)
      json["baselines"][name][score.variable][lead] = score_json(baseline);
    if (!card.has_model) continue;
    nlohmann::json& model = json["variables"][score.variable][lead];
    model = score_json(score.model);
    model["missing_share"] = score.missing_share;
    for (const auto& [name, pair] : score.spectra)
      model["spectra"][name] = {
          {"forecast", pair.forecast}, {"truth", pair.truth}, {"ratio", pair.ratio}, {"rows", pair.rows}};
    for (const auto& [name, interval] : score.paired) {
      json["paired"][score.variable][lead][name] = {{"difference", interval.difference},
                                                    {"low95", interval.low95},
                                                    {"high95", interval.high95},
                                                    {"times", interval.times},
                                                    {"block", interval.block},
                                                    {"lag1", interval.lag1},
                                                    {"verdict", to_string(interval.verdict)},
                                                    {"note", reliability_note(interval)}};
    }
  }
  return json;
}

std::string skill_table(const Scorecard& card) {
  std::string out;
  for (const VariableScore& score : card.scores) {
    const auto variable = static_cast<size_t>(std::find(card.variables.begin(), card.variables.end(), score.variable) -
                                              card.variables.begin());
    const std::string units =
        card.units.empty() || card.units[variable].empty() ? "" : " (" + card.units[variable] + ")";
    int64_t times = card.has_model ? score.model.global.times : 0;
    for (const auto& [name, baseline] : score.baselines) times = std::max(times, baseline.global.times);
    out += fmt::format("{}{}, lead {}, {} verification time{}\n", score.variable, units, score.lead, times,
                       times == 1 ? "" : "s");
    std::vector<std::string> header{"forecast", "RMSE", "ACC", "bias"};
    if (card.has_model) header.insert(header.end(), {"model - this", "95% interval", "the model is"});
    TextTable table(header);
    if (card.has_model) {
      table.align(6, TextTable::Align::left);
      table.add({"model", format_number(score.model.global.rmse), format_number(score.model.acc),
                 format_number(score.model.global.bias, 3, true)});
    }
    for (const auto& [name, baseline] : score.baselines) {
      std::vector<std::string> row{name, format_number(baseline.global.rmse), format_number(baseline.acc),
                                   format_number(baseline.global.bias, 3, true)};
      if (const PairedInterval* interval = find_named(score.paired, name)) {
        row.push_back(format_number(interval->difference, 3, true));
        row.push_back(
            fmt::format("{} to {}", format_number(interval->low95, 3, true), format_number(interval->high95, 3, true)));
        row.emplace_back(to_string(interval->verdict));
      }
      table.add(std::move(row));
    }
    out += table.text(2);
    if (score.missing_share > 0)
      out += fmt::format("  The forecast is missing on {:.2g}% of the area where the truth is known.\n",
                         100 * score.missing_share);
    std::string last;
    for (const auto& [name, interval] : score.paired) {
      const std::string note = reliability_note(interval);
      if (!note.empty() && note != last) out += fmt::format("  Against {}: {}\n", name, note);
      last = note;
    }
    out += "\n";
  }
  return out;
}

std::string verdict_sentence(const Scorecard& card, const VariableScore& score, std::string_view baseline) {
  const PairedInterval* interval = find_named(score.paired, baseline);
  GREGALE_CHECK(interval != nullptr, invalid_argument, "[scorecard] {} was not compared with {}", score.variable,
                baseline);
  const auto variable = static_cast<size_t>(std::find(card.variables.begin(), card.variables.end(), score.variable) -
                                            card.variables.begin());
  const std::string units = card.units.empty() || card.units[variable].empty() ? "" : " " + card.units[variable];
  const std::string head = fmt::format("{} at lead {}: ", score.variable, score.lead);
  if (interval->verdict == Verdict::indistinguishable) {
    return fmt::format("{}indistinguishable from {}: RMSE differs by {}{} (95% interval {} to {}).", head, baseline,
                       format_number(interval->difference, 3, true), units, format_number(interval->low95, 3, true),
                       format_number(interval->high95, 3, true));
  }
  const bool better = interval->verdict == Verdict::better;
  const double low = better ? -interval->high95 : interval->low95;
  const double high = better ? -interval->low95 : interval->high95;
  return fmt::format("{}{} than {}: RMSE {} by {}{} (95% interval {} to {}).", head, to_string(interval->verdict),
                     baseline, better ? "lower" : "higher", format_number(std::abs(interval->difference)), units,
                     format_number(low), format_number(high));
}

}  // namespace gregale::score
