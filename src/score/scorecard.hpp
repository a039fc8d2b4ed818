// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "score/baselines.hpp"
#include "score/intervals.hpp"
#include "score/metrics.hpp"
#include "score/spectra.hpp"

namespace gregale::score {

template <class T>
using Named = std::vector<std::pair<std::string, T>>;  ///< in the order given
/// The entry of that name, or null.
template <class T>
const T* find_named(const Named<T>& entries, std::string_view name) {
  for (const auto& [key, value] : entries)
    if (key == name) return &value;
  return nullptr;
}

/// What is scored at one lead: field series of the same shape, one record a verification time, in order of time.
struct LeadCase {
  int64_t lead = 1;
  Tensor truth, climatology;  ///< climatology at the verification times, for ACC
  Tensor forecast;            ///< empty: score the baselines alone
  Named<Tensor> baselines;    ///< what the forecast is compared with: baselines, an ablation, another model
  std::vector<int> month;     ///< calendar month of each verification time, 0 to 11; empty: no scores by month
};

/// The case of forecasts from records inits[i] for inits[i] + lead: truth, climatology and the baselines named, from
/// the records themselves. month: of each record (or empty); first: the training start, before which no history exists.
LeadCase make_lead_case(const BaselineModel& model, const Tensor& records, std::span<const int64_t> phase,
                        std::span<const int> month, int64_t first, std::span<const int64_t> inits, int64_t lead,
                        const Tensor& forecast, std::span<const Baseline> baselines = kBaselines);
/// Records from which target records [begin, end) are reached at `lead`, as far as they are not before `first`.
std::vector<int64_t> inits_for_targets(int64_t begin, int64_t end, int64_t lead, int64_t first);

struct ScoreRequest {
  std::vector<std::string> variables, units;  ///< units may be empty
  std::vector<double> latitudes, row_weights;
  bool full_circle = false;  ///< rows close the circle: spectra can be taken
  std::vector<LeadCase> cases;
  BootstrapOptions bootstrap;
};

/// One forecast or baseline, one variable, one lead.
struct ForecastScore {
  ErrorSummary global;
  double acc = 0;
  Named<ErrorSummary> bands;         ///< by latitude, those the grid reaches
  std::vector<ErrorSummary> months;  ///< twelve, or none
  std::vector<double> squared;       ///< spatial mean squared error at each time
};

struct VariableScore {
  std::string variable;
  int64_t lead = 1;
  ForecastScore model;           ///< meaningless where Scorecard::has_model is false, like the next three
  double missing_share = 0;      ///< where the truth has a value and the forecast none (metrics.hpp)
  Named<PairedInterval> paired;  ///< RMSE of the model minus RMSE of each baseline
  Named<SpectrumPair> spectra;   ///< "globe" and the bands; empty where rows are no full circles
  Named<ForecastScore> baselines;
};

/// Everything `gregale score` says about one forecast.
struct Scorecard {
  bool has_model = false;
  std::vector<std::string> variables, units, baseline_names;
  std::vector<int64_t> leads;
  BootstrapOptions bootstrap;
  std::vector<VariableScore> scores;  ///< lead by lead, variable by variable

  /// Throws ErrorCode::invalid_argument where there is no such score.
  const VariableScore& at(std::string_view variable, int64_t lead) const;
};

/// Measures all cases. All series of a case share one mask per variable and time (a point counts where each has a
/// value). Throws ErrorCode::shape where series do not match, ErrorCode::invalid_argument where a variable has no
/// common point.
Scorecard make_scorecard(const ScoreRequest& request);

/// The document `gregale score --json` prints (docs/scores.md): `variables.VAR.LEAD.{rmse,acc,bias,...}` (with
/// has_model), `baselines.NAME.VAR.LEAD.{rmse,...}`, `paired.VAR.LEAD.BASELINE.{difference,low95,high95,...}`. NaN
/// becomes null.
nlohmann::json to_json(const Scorecard& card);

/// One table a variable and lead: the model and each baseline with RMSE, ACC, bias, the paired interval and the
/// verdict.
std::string skill_table(const Scorecard& card);
/// "UWND at lead 1: better than damped_global: RMSE lower by 0.051 M/S (95% interval 0.021 to 0.083)."
std::string verdict_sentence(const Scorecard& card, const VariableScore& score, std::string_view baseline);

}  // namespace gregale::score
