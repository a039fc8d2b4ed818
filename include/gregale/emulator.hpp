// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/exec.hpp"
#include "gregale/graph.hpp"

namespace gregale {

/// A trained model of a physical system, as `gregale train` writes it: one self-describing file that holds graph,
/// weights, variables, grid, normalisation and climatology.
///
///   auto emulator = Emulator::load("winds-out/model.safetensors");
///   ExecutionContext context;
///   auto forecast = emulator.forecast(context, "winds.nc", "1990-12", 1);
class Emulator {
 public:
  /// Throws ErrorCode::io or corrupt_data, naming the file.
  static Emulator load(const std::string& path, const CompileOptions& options = {});
  Emulator(Emulator&&) noexcept;
  Emulator& operator=(Emulator&&) noexcept;
  ~Emulator();

  std::vector<std::string> variables() const;
  std::vector<std::string> units() const;
  std::vector<double> latitudes() const;
  std::vector<double> longitudes() const;
  std::string step() const;    ///< length of one step: "1 month"
  const Graph& graph() const;  ///< one step, in the network's units
  int64_t parameter_count() const;

  struct Forecast {
    std::vector<std::string> init_times;  ///< as the data's time axis labels them
    Tensor fields;  ///< f32 [init, lead, variable, lat, lon] in physical units; lead 0 is the initial state
  };
  /// Rolls out `steps` steps from every record of the data that `time` names (`1990-12`, `1991/1992`). The data must
  /// hold the model's variables on its grid. `network_scale` 0 leaves the baseline that a residual model corrects.
  Forecast forecast(ExecutionContext& context, const std::vector<std::string>& data, const std::string& time,
                    int64_t steps, double network_scale = 1) const;

  struct State;
  const State& state() const { return *state_; }
  explicit Emulator(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gregale
