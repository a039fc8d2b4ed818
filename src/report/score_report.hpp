// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gregale/tensor.hpp"
#include "score/scorecard.hpp"

namespace gregale::report {

/// Everything on the test page (`gregale score --report F.html`). The page formats; every score comes from `card`.
///
///   report.card = score::make_scorecard(request);
///   report.truth = request.cases[0].truth;  ...
struct ScoreReport {
  std::string title;        ///< "winds: test scores"
  std::string description;  ///< a sentence or two on what was scored: "24 forecasts of 1991-01 to 1992-12, ..."
  std::string choice;       ///< how the configuration was chosen, free text; may be empty
  std::vector<std::pair<std::string, std::string>>
      facts;  ///< table "Provenance": {"Model", "demo-out/model.safetensors"}

  /// Variables, units, leads, scores, intervals. Entries of its baselines named below get their special places; the
  /// rest are rows of the skill table. Without a model (has_model false) the page shows the baselines alone.
  score::Scorecard card;
  /// The entry of card.baseline_names which is the model with the output of its network set to zero; empty: none made.
  std::string ablation_name;
  /// Length of one lead step for the labels: "1 month"; empty: leads are plain numbers.
  std::string step;

  std::vector<double> latitudes, longitudes;  ///< degrees, in the order of the fields; empty: the page has no maps

  /// The fields drawn are those of one lead.
  int64_t map_lead = 1;
  std::vector<std::string> times;  ///< label of each verification time: "1991-01"; as many as `truth` has records
  /// f32 [time, variable, lat, lon], variables in the order of card.variables, physical units, NaN missing. Any but
  /// `truth` may be empty: what needs it is then left out. Empty truth: no maps at all.
  Tensor truth, forecast, climatology;
  std::string baseline_name;  ///< what `baseline` is: "damped_local"; the difference map and the series compare with it
  Tensor baseline;
  /// Where the model's RMSE differs from the baseline's over all times, f32 [variable, lat, lon], negative where the
  /// model is better (score::skill_difference_map); may be empty.
  Tensor skill_difference;
};

/// The page: self-contained HTML. Throws ErrorCode::invalid_argument where lengths do not fit each other,
/// ErrorCode::shape where fields do not fit the grid.
std::string to_html(const ScoreReport& report);
/// The same, written atomically; throws ErrorCode::io.
void write_score_report(const std::string& path, const ScoreReport& report);

}  // namespace gregale::report
