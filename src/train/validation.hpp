// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "train/emulator_state.hpp"
#include "train/trainer.hpp"

namespace gregale::train {

/// Scores weights on the validation period while they train, beside the baselines, and draws the page that shows it.
class Validator {
 public:
  /// At most this many validation samples are run, evenly spaced: validation must stay a small part of training.
  static constexpr int64_t kMostSamples = 64;

  Validator(const Problem& problem, const RunConfig& config, const Records& records);

  /// One-lead forecasts of every validation sample with these weights (of the forecast graph, by name).
  ValidationPoint measure(ExecutionContext& context, const VariableValues& weights);
  /// RMSE of each baseline on the same samples: baseline -> variable.
  const std::map<std::string, std::map<std::string, double>>& baselines() const { return baselines_; }

  /// Writes the training report atomically. `status`: running, finished, interrupted, failed.
  void write_report(const std::string& path, const RunConfig& config, const nlohmann::json& history,
                    const TrainProgress& progress, const std::string& status) const;

 private:
  const Problem& problem_;
  const Records& records_;
  std::vector<int64_t> inits_;
  score::LeadCase case_;  // truth, climatology and baselines; the forecast is replaced at every measure()
  std::map<std::string, std::map<std::string, double>> baselines_;
  Emulator::State emulator_;
  Tensor forecast_;  // of the last measure()
};

}  // namespace gregale::train
