// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "score/scorecard.hpp"
#include "train/emulator_state.hpp"

namespace gregale::train {

/// The records of a data set laid out by time step, missing records as missing values, so that "lead steps later" is an
/// index; with what scores need to know of each.
struct Timeline {
  Tensor fields;                ///< f32 [position, variable, lat, lon]
  std::vector<int64_t> phase;   ///< climatology bin of each position
  std::vector<int> month;       ///< 0..11
  std::vector<int64_t> record;  ///< of the data set, -1 where there is none
  int64_t training_start = 0;   ///< first position that baselines may look back to

  int64_t position_of(int64_t record) const;
};
Timeline make_timeline(const Problem& problem, const Records& records);

/// Truth, climatology and baselines for forecasts of `step` model steps from these records; the forecast goes in later.
score::LeadCase make_case(const Problem& problem, const Timeline& timeline, std::span<const int64_t> inits,
                          int64_t step, std::span<const score::Baseline> baselines);

/// Initial records from which the targets are reached in `step` steps with all the history the model needs.
std::vector<int64_t> inits_for(const Problem& problem, const grid::TimeAxis& time, std::span<const int64_t> targets,
                               int64_t step);

/// The baselines every score is held against.
inline constexpr score::Baseline kScoredBaselines[] = {score::Baseline::persistence, score::Baseline::climatology,
                                                       score::Baseline::damped_global, score::Baseline::damped_local,
                                                       score::Baseline::recentred};

/// One-step-at-a-time forecasts from each record: [init, variable, lat, lon] at each of `steps` (ascending).
std::map<int64_t, Tensor> forecast_cases(const Emulator::State& emulator, ExecutionContext& context,
                                         const Records& records, std::span<const int64_t> inits,
                                         std::span<const int64_t> steps, double network_scale = 1);

}  // namespace gregale::train
