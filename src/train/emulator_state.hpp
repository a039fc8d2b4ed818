// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "gregale/emulator.hpp"
#include "gregale/exec.hpp"
#include "train/problem.hpp"

namespace gregale {

/// What an emulator file holds, and what it becomes.
struct Emulator::State {
  train::Problem problem;
  nlohmann::json config;      ///< of the run that trained it
  nlohmann::json provenance;  ///< version, seed, steps, data files, dates
  Graph graph;                ///< one step, batch 1
  VariableValues parameters;
  std::unique_ptr<Executable> executable;
};

namespace train {

/// Writes the model file, atomically: weights, and in the metadata graph, problem, configuration and provenance.
/// `parameters` are those of the forecast graph, by name.
void write_emulator(const std::string& path, const Problem& problem, const RunConfig& config,
                    const VariableValues& parameters, const nlohmann::json& provenance);

/// Whether a safetensors file is an emulator: its metadata says so.
bool is_emulator(const data::Metadata& metadata);

/// One rollout: [1 + steps, variable, lat, lon] in physical units from the initial record, the state itself first. NaN
/// where the initial state has none. `before_step` is called with the number of steps done; it may throw to end a long
/// rollout.
Tensor roll_out(const Emulator::State& emulator, ExecutionContext& context, const Records& records, int64_t init,
                int64_t steps, double network_scale = 1, const std::function<void(int64_t)>& before_step = {});

/// Throws ErrorCode::invalid_argument unless the data have the problem's variables, in order, on its grid, with its
/// time step.
void check_same_problem(const Problem& problem, const data::FieldDataset& dataset);

}  // namespace train
}  // namespace gregale
