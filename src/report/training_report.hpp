// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gregale/tensor.hpp"

namespace gregale::report {

/// One row of the learning curve: what was measured on the validation period after `step` updates.
struct TrainingPoint {
  int64_t step = 0;
  double train_loss = NAN;   ///< mean training loss since the point before; NaN where none was made
  double ratio = NAN;        ///< mean over variables of RMSE / RMSE of climatology: what the best weights are chosen by
  std::vector<double> rmse;  ///< validation RMSE of each variable, in its units, at the lead trained
};

/// Fields of one verification time and one variable, f32 [lat, lon] (NaN: missing), physical units. Errors are drawn as
/// forecast - truth. An empty tensor leaves its map out.
struct TrainingMaps {
  std::string variable, units;
  std::string time;  ///< label of the verification time: "1990-07"
  Tensor truth, forecast;
  std::string baseline_name;  ///< the best baseline on validation for this variable: "damped_local"
  Tensor baseline;
};

/// Everything on `DIR/report.html`. Validation alone: whoever fills this has no test data in hand.
struct TrainingReport {
  std::string title;               ///< "winds: training"
  std::string status = "running";  ///< running, finished, interrupted, failed; only "running" refreshes itself
  std::string message;             ///< one line for a person: why it failed, where to go on; may be empty
  std::string configuration;       ///< the whole configuration as printed text (YAML)
  std::string choice;              ///< how the configuration was chosen, free text; may be empty
  std::string validation;          ///< what is scored: "12 forecasts of 1990-01 to 1990-12, 1 month ahead"
  int64_t step = 0, total_steps = 0;
  double seconds = 0;  ///< of training so far
  double loss = NAN;   ///< training loss of the last steps
  double learning_rate = NAN;
  std::vector<std::string> variables, units;                           ///< as long as each other
  std::vector<TrainingPoint> points;                                   ///< in order of step
  std::vector<std::pair<std::string, std::vector<double>>> baselines;  ///< name -> validation RMSE of each variable
  std::vector<double> latitudes, longitudes;  ///< degrees, of the maps, in the order of the fields
  std::vector<TrainingMaps> maps;             ///< at most one a variable
};

/// The page: self-contained HTML. Throws ErrorCode::invalid_argument where lengths do not fit each other or the status
/// is not one of the four, ErrorCode::shape where a map does not fit the grid.
std::string to_html(const TrainingReport& report);
/// The same, written atomically; throws ErrorCode::io.
void write_training_report(const std::string& path, const TrainingReport& report);

}  // namespace gregale::report
