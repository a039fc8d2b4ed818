// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: small data sets, and emulators whose weights are drawn.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/netcdf_test_file.hpp"
#include "train/emulator_graph.hpp"
#include "train/emulator_state.hpp"
#include "train/evaluation.hpp"
#include "train/features.hpp"

namespace gregale::train::test {

using data::test::code_of;
using data::test::steps;
using data::test::TempFolder;

/// Something like weather: a mean field, a year, noise, and an anomaly that lasts. `t`: number of the time step.
inline double weather(double t, double steps_a_year, int64_t v, int64_t r, int64_t c) {
  const auto noise = [&](double at, uint32_t stream) {
    return static_cast<double>(
        random_normal({7, static_cast<uint32_t>(v), stream},
                      static_cast<uint64_t>((at + 10) * 1000 + static_cast<double>(r * 40 + c))));
  };
  const double year = std::cos(2 * 3.14159265358979 * (t / steps_a_year - 0.1 * static_cast<double>(c)));
  const double lasting = noise(t, 1) + 0.6 * noise(t - 1, 1) + 0.36 * noise(t - 2, 1);
  return 5.0 * static_cast<double>(v) + 0.5 * static_cast<double>(r) + 3 * year + lasting;
}

/// A file of two variables, U (eastward) and V (northward), at the time steps listed.
struct TestData {
  std::vector<double> times = steps(0, 1, 72);  ///< in units of `units` times `unit_steps`
  std::string units = "months since 1980-01-16";
  std::string calendar;
  double steps_a_year = 12, unit_steps = 1;  ///< steps of the data a year, numbers of the units a step
  std::vector<double> latitudes = steps(-78.75, 22.5, 8), longitudes = steps(0, 30, 12);
  std::function<double(int64_t step, int64_t v, int64_t r, int64_t c)> value;  ///< default: weather()
  bool mask_variable = false;                                                  ///< a static field LAND

  void write(const std::string& path) const {
    data::test::TestFile file(path);
    file.dim("time", NC_UNLIMITED);
    file.dim("lat", latitudes.size());
    file.dim("lon", longitudes.size());
    file.var("time", NC_DOUBLE, {"time"});
    file.text("units", units);
    if (!calendar.empty()) file.text("calendar", calendar);
    file.var("lat", NC_DOUBLE, {"lat"});
    file.text("units", "degrees_north");
    file.var("lon", NC_DOUBLE, {"lon"});
    file.text("units", "degrees_east");
    if (mask_variable) {
      file.var("LAND", NC_FLOAT, {"lat", "lon"});
      file.text("units", "1");
    }
    const char* names[] = {"U", "V"};
    const char* standard[] = {"eastward_wind", "northward_wind"};
    for (size_t v = 0; v < 2; ++v) {
      file.var(names[v], NC_FLOAT, {"time", "lat", "lon"});
      file.text("units", "m/s");
      file.text("standard_name", standard[v]);
      file.number("_FillValue", NC_FLOAT, {-9999});
    }
    std::vector<double> scaled;
    for (double t : times) scaled.push_back(t * unit_steps);
    file.put("time", scaled);
    file.put("lat", latitudes);
    file.put("lon", longitudes);
    if (mask_variable) {
      std::vector<double> land;
      for (size_t i = 0; i < latitudes.size() * longitudes.size(); ++i) land.push_back(i % 3 == 0);
      file.put("LAND", land);
    }
    for (int64_t v = 0; v < 2; ++v) {
      std::vector<double> values;
      for (double t : times)
        for (size_t r = 0; r < latitudes.size(); ++r)
          for (size_t c = 0; c < longitudes.size(); ++c) {
            const double x = value ? value(static_cast<int64_t>(t), v, static_cast<int64_t>(r), static_cast<int64_t>(c))
                                   : weather(t, steps_a_year, v, static_cast<int64_t>(r), static_cast<int64_t>(c));
            values.push_back(std::isnan(x) ? -9999 : x);
          }
      file.put(names[v], values);
    }
  }
};

inline TestData six_hourly(int days) {
  TestData d;
  d.times = steps(0, 1, days * 4);
  d.units = "hours since 2001-01-01 00:00";
  d.unit_steps = 6;
  d.steps_a_year = 1461;
  d.latitudes = steps(-67.5, 45, 4);
  d.longitudes = steps(0, 60, 6);
  return d;
}

inline RunConfig test_config(const std::string& path, const std::vector<std::string>& overrides = {}) {
  RunConfig config = parse_config(
      "data:\n  path: " + path +
          "\n  variables: [U, V]\n  train: [1980, 1983]\n  validation: [1984, 1984]\n  test: [1985, 1985]\n"
          "model: {name: mlp, width: 4, depth: 1, target: anomaly}\n"
          "loss: {name: mse}\ntrain: {steps: 4, batch: 2}\n",
      "test.yaml", "", overrides);
  config.model.blocks = 2;
  return config;
}

inline Records open_records(const RunConfig& config) {
  return Records(data::FieldDataset::open(config.data.path, config.data.variables));
}

/// The emulator with weights drawn, none of them zero.
inline std::unique_ptr<Emulator::State> drawn_emulator(const Problem& problem, const RunConfig& config,
                                                       double scale = 0.2) {
  auto state = std::make_unique<Emulator::State>();
  state->problem = problem;
  state->graph = forecast_graph(problem, config.model, 1);
  for (const Variable& v : state->graph.variables()) {
    Tensor t(v.type.dtype, v.type.shape.extents());
    for (int64_t i = 0; i < t.size(); ++i)
      t.as<float>()[static_cast<size_t>(i)] =
          static_cast<float>(scale) * random_normal({3, 0, stream_of(v.name.c_str())}, static_cast<uint64_t>(i));
    state->parameters[v.name] = t;
  }
  state->executable = std::make_unique<Executable>(compile(state->graph));
  return state;
}

inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = a.size() == b.size() ? 0 : 1e30;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    const double d = std::abs(static_cast<double>(a[i]) - b[i]);
    largest = std::isnan(d) ? 1e30 : std::max(largest, d);
  }
  return largest;
}

}  // namespace gregale::train::test
