// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"

namespace gregale::data {

/// Forecasts from several initial times: what `gregale forecast` writes and `gregale score` reads.
struct ForecastFile {
  grid::LatLonGrid grid;
  grid::Calendar calendar = grid::Calendar::standard;
  std::vector<int64_t> init_seconds;   ///< increasing
  std::vector<int64_t> lead_steps;     ///< increasing, in steps of the model; 0 is the initial state
  std::vector<int64_t> valid_seconds;  ///< [init, lead] row-major
  std::string step;                    ///< length of a step in words: "1 month"
  std::vector<FieldVariable> variables;
  Tensor fields;  ///< f32 [init, lead, variable, lat, lon]; NaN where missing
  std::vector<std::pair<std::string, std::string>> attributes;  ///< global: title, source, history, ...

  int64_t valid(int64_t init, int64_t lead) const {
    return valid_seconds.at(static_cast<size_t>(init) * lead_steps.size() + static_cast<size_t>(lead));
  }
};

enum class NetcdfFormat : uint8_t { classic_64bit, netcdf4 };

/// Writes CF-1.8: dimensions time (forecast_reference_time) × lead (forecast_period) × lat × lon, with bounds of
/// latitude and longitude, the auxiliary coordinates valid_time(time, lead) and lead_step(lead), units, long_name,
/// standard_name and _FillValue. `lead` is in hours or days after the initial time; where steps are calendar months
/// their length differs from one initial time to the next: lead is then their mean, valid_time is exact and lead_step
/// counts them. A variable at a level ("T@500") becomes T_500 with a scalar coordinate. Written to a temporary name
/// beside `path`, synced, then renamed: `path` is whole or untouched. Throws ErrorCode::io ("cannot write out.nc: no
/// space left on device") and leaves nothing behind.
void write_forecast(const std::string& path, const ForecastFile& forecast, NetcdfFormat format = NetcdfFormat::netcdf4);

/// Reads back what write_forecast wrote: equal in every member (fields bit for bit). Throws as NetcdfFile does, and
/// ErrorCode::corrupt_data for a netCDF file that is not a forecast.
ForecastFile read_forecast(const std::string& path);
/// Whether the file says that it is one (a variable with standard_name forecast_reference_time); false for other netCDF
/// files. Throws as NetcdfFile does where it is no netCDF file at all.
bool is_forecast(const std::string& path);

}  // namespace gregale::data
