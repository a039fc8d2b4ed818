// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/graph.hpp"
#include "tile/estimate.hpp"

namespace gregale::passes {

struct TuneOptions {
  double budget_seconds = 5;      ///< of measuring, for the whole graph
  std::string cache;              ///< the file that keeps choices; empty: none
  tile::Rates rates;              ///< of the estimates
  double floor_seconds = 20e-6;   ///< groups estimated to take less in a run, however often they occur, are left alone
  std::function<double()> clock;  ///< seconds; the steady clock where there is none. Tests give their own
};

struct TuneReport {
  struct Group {
    std::string name, choice;  ///< of operators; as tile::to_string
    int times = 1;             ///< that it occurs
    double estimated = 0;      ///< seconds of the formulas' schedule
    double before = 0,
           after = 0;  ///< measured medians of the formulas' schedule and of the one taken; 0: from the cache
    int candidates = 0;
    bool cached = false;
  };
  std::vector<Group> groups;  ///< that were looked up or measured
  int unmeasured = 0;         ///< above the floor, but the budget was spent
  int runs = 0;               ///< of programs, all measurements together
  double seconds = 0;
};

/// Chooses how the groups of a fused graph are cut (attribute `schedule` of `fused`): from the cache, or by timing a
/// handful of schedules, the formulas' own among them, in turns and with threads and caches as in a run. The costliest
/// groups come first. Results do not change by a bit.
Graph tune(const Graph& graph, const Target& target, const TuneOptions& options, TuneReport* report = nullptr);

/// Which of several schedules to take, from seconds[candidate][round]: the one of the least median where it beats
/// candidate 0 by more than the noise, round by round; else 0.
size_t choose_by_times(const std::vector<std::vector<double>>& seconds);

}  // namespace gregale::passes
