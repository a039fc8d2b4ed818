// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: a data set and a configuration on which training takes a fraction of a second.
#pragma once

#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/json.hpp"
#include "data/netcdf_test_file.hpp"
#include "data/temporary_folder_for_tests.hpp"
#include "gregale/random.hpp"
#include "program.hpp"

namespace gregale::cli {

struct TinyWinds {
  int months = 48, rows = 8, columns = 12;
  double first_longitude = 0;
  std::vector<std::string> variables{"U", "V"};
  int format = 0;  ///< for nc_create: 0 classic, NC_NETCDF4
  /// Changes the values before they are written.
  std::function<double(size_t variable, int month, int row, int column, double value)> change;
};

/// Months from January 1990: a seasonal cycle and waves that persist from month to month (AR(1), coefficient 0.6).
inline void write_tiny_winds(const std::string& path, const TinyWinds& w = {}) {
  using data::test::steps;
  data::test::TestFile file(path, w.format);
  file.dim("time", NC_UNLIMITED);
  file.dim("lat", static_cast<size_t>(w.rows));
  file.dim("lon", static_cast<size_t>(w.columns));
  file.var("time", NC_DOUBLE, {"time"});
  file.text("units", "months since 1990-01-16");
  file.var("lat", NC_DOUBLE, {"lat"});
  file.text("units", "degrees_north");
  file.var("lon", NC_DOUBLE, {"lon"});
  file.text("units", "degrees_east");
  for (const std::string& name : w.variables) {
    file.var(name, NC_FLOAT, {"time", "lat", "lon"});
    file.text("units", "m/s");
    file.text("long_name", name + " of the wind");
  }
  file.put("time", steps(0, 1, w.months));
  file.put("lat", steps(-90 + 90.0 / w.rows, 180.0 / w.rows, w.rows));
  file.put("lon", steps(w.first_longitude, 360.0 / w.columns, w.columns));
  for (size_t v = 0; v < w.variables.size(); ++v) {
    constexpr int kWaves = 4;
    double amplitudes[kWaves] = {};
    std::vector<double> values;
    for (int t = 0; t < w.months; ++t) {
      const RandomKey key{7, static_cast<uint32_t>(t), static_cast<uint32_t>(v)};
      for (int k = 0; k < kWaves; ++k)
        amplitudes[k] = 0.6 * amplitudes[k] + random_normal(key, static_cast<uint64_t>(k));
      for (int r = 0; r < w.rows; ++r)
        for (int c = 0; c < w.columns; ++c) {
          const double x = 2 * std::numbers::pi * c / w.columns, y = std::numbers::pi * (r + 0.5) / w.rows;
          double value = 5 * std::cos(2 * std::numbers::pi * t / 12) * std::cos(y) + static_cast<double>(v);
          for (int k = 0; k < kWaves; ++k) value += amplitudes[k] * std::sin(y) * std::cos((k + 1) * x + k);
          value += 0.3 * random_normal(key, static_cast<uint64_t>(100 + r * w.columns + c));
          values.push_back(w.change ? w.change(v, t, r, c, value) : value);
        }
    }
    file.put(w.variables[v], values);
  }
}

inline constexpr const char* kTinyRun = R"(data:
  path: winds.nc
  variables: [U, V]
  train: [1990, 1992]
  validation: [1993-01, 1993-06]
  test: [1993-07, 1993-12]
  time_features: [season]
model:
  name: afno
  target: {residual: damped_global}
  patch: 2
  width: 8
  depth: 1
  blocks: 2
train:
  steps: 6
  batch: 4
  checkpoint_every: 2
  validate_every: 3
)";

/// A folder with winds.nc and run.yaml.
class TinyRun : public testing::Test {
 protected:
  TinyRun() {
    write_tiny_winds(path("winds.nc"));
    data::write_text(path("run.yaml"), kTinyRun);
  }
  std::string path(const std::string& name) const { return folder_.path(name); }
  /// run.yaml with `from` replaced.
  void edit(const std::string& from, const std::string& to) {
    std::string text = data::read_text(path("run.yaml"));
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    data::write_text(path("run.yaml"), text.replace(at, from.size(), to));
  }
  /// `gregale train run.yaml --quiet ...` in the folder.
  Outcome train(const std::vector<std::string>& more = {}, How how = {}) const {
    std::vector<std::string> arguments{"train", "run.yaml", "--quiet", "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return in_folder(arguments, std::move(how));
  }
  Outcome in_folder(const std::vector<std::string>& arguments, How how = {}) const {
    how.folder = folder_.path();
    return run(arguments, how);
  }
  nlohmann::json summary(const std::string& out = "run-out") const {
    return nlohmann::json::parse(data::read_text(path(out + "/train.json")));
  }
  std::string sha256(const std::string& out = "run-out") const { return summary(out).at("weights_sha256"); }
  std::vector<std::string> names(const std::string& out) const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path(out))) found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }
  /// No temporary file is left anywhere.
  void expect_no_leftovers() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path()))
      EXPECT_NE(entry.path().filename().string()[0], '.') << entry.path();
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }

  data::TemporaryFolder folder_;
};

}  // namespace gregale::cli
