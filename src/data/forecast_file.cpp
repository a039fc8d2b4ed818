// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/forecast_file.hpp"

#include <fmt/format.h>
#include <netcdf.h>
#include <netcdf_mem.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "data/atomic_file.hpp"
#include "data/netcdf_file.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr const char* kReserved[] = {"time",     "lead",     "lat",        "lon",      "bnds",
                                     "lat_bnds", "lon_bnds", "valid_time", "lead_step"};
constexpr const char* kOwnName = "gregale_name";  // attribute: the name before it was made one netCDF allows
constexpr const char* kOrder = "gregale_order";
constexpr const char* kStep = "gregale_step";  // global attribute

// A new netCDF file, made in memory and written as plain bytes: HDF5 does not survive a disk that fills up under it.
// Hold netcdf_mutex() meanwhile.
class NewFile {
 public:
  NewFile(const std::string& path, int mode, int64_t bytes) : path_(path) {
    check(nc_create_mem(path.c_str(), NC_CLOBBER | mode, static_cast<size_t>(bytes), &id_));
    open_ = true;
  }
  ~NewFile() {
    if (open_) nc_abort(id_);
    std::free(image_.memory);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  int id() const { return id_; }
  void check(int status) const {
    if (status != NC_NOERR) throw_error(ErrorCode::io, fmt::format("cannot write {}: {}", path_, nc_strerror(status)));
  }
  std::string_view finish() {
    open_ = false;
    check(nc_close_memio(id_, &image_));
    return {static_cast<const char*>(image_.memory), image_.size};
  }

 private:
  std::string path_;
  int id_ = -1;
  bool open_ = false;
  NC_memio image_{};
};

class Writer {
 public:
  explicit Writer(NewFile& file) : file_(file) {}
  int dimension(const char* name, int64_t size) {
    int id = -1;
    file_.check(nc_def_dim(file_.id(), name, static_cast<size_t>(size), &id));
    return id;
  }
  int variable(const std::string& name, nc_type type, const std::vector<int>& dimensions) {
    int id = -1;
    file_.check(
        nc_def_var(file_.id(), name.c_str(), type, static_cast<int>(dimensions.size()), dimensions.data(), &id));
    return id;
  }
  void text(int variable, const char* name, const std::string& value) {
    if (!value.empty()) file_.check(nc_put_att_text(file_.id(), variable, name, value.size(), value.data()));
  }
  void put(int variable, const std::vector<double>& values) {
    if (!values.empty()) file_.check(nc_put_var_double(file_.id(), variable, values.data()));
  }

 private:
  NewFile& file_;
};

std::string legal_name(const std::string& name, const std::vector<std::string>& taken) {
  std::string legal;
  for (unsigned char c : name)
    legal += std::isalnum(c) || c == '_' || c == '-' || c == '.' ? static_cast<char>(c) : '_';
  if (legal.empty() || !(std::isalpha(static_cast<unsigned char>(legal[0])) || legal[0] == '_')) legal = "v_" + legal;
  auto used = [&](const std::string& text) {
    return std::any_of(std::begin(kReserved), std::end(kReserved), [&](const char* word) { return text == word; }) ||
           std::find(taken.begin(), taken.end(), text) != taken.end();
  };
  while (used(legal)) legal += '_';
  return legal;
}

std::vector<double> bounds_pairs(const std::vector<double>& bounds) {
  std::vector<double> pairs;
  for (size_t i = 0; i + 1 < bounds.size(); ++i) pairs.insert(pairs.end(), {bounds[i], bounds[i + 1]});
  return pairs;
}

void check_forecast(const ForecastFile& f) {
  const Extents expected{static_cast<int64_t>(f.init_seconds.size()), static_cast<int64_t>(f.lead_steps.size()),
                         static_cast<int64_t>(f.variables.size()), f.grid.rows(), f.grid.columns()};
  GREGALE_CHECK(f.fields.extents() == expected, shape,
                "[write_forecast] fields {} are not {} (init, lead, variable, lat, lon)",
                gregale::to_string(f.fields.extents()), gregale::to_string(expected));
  GREGALE_CHECK(f.valid_seconds.size() == f.init_seconds.size() * f.lead_steps.size(), shape,
                "[write_forecast] {} valid times for {} x {} forecasts", f.valid_seconds.size(), f.init_seconds.size(),
                f.lead_steps.size());
  for (int64_t extent : expected)
    GREGALE_CHECK(extent > 0, shape, "[write_forecast] an empty forecast: {}", gregale::to_string(expected));
}

}  // namespace

void write_forecast(const std::string& path, const ForecastFile& forecast, NetcdfFormat format) {
  check_forecast(forecast);
  const auto inits = static_cast<int64_t>(forecast.init_seconds.size()),
             leads = static_cast<int64_t>(forecast.lead_steps.size());
  const int64_t rows = forecast.grid.rows(), columns = forecast.grid.columns();

  // The coarsest unit that holds all times exactly.
  int64_t unit = 3600;
  for (const auto* list : {&forecast.init_seconds, &forecast.valid_seconds})
    for (int64_t seconds : *list)
      while (seconds % unit != 0) unit /= 60;
  const std::string time_units =
      fmt::format("{} since 1970-01-01 00:00:00", unit == 3600 ? "hours" : (unit == 60 ? "minutes" : "seconds"));
  auto in_units = [&](const std::vector<int64_t>& seconds) {
    std::vector<double> values;
    for (int64_t s : seconds) values.push_back(static_cast<double>(s) / static_cast<double>(unit));
    return values;
  };
  std::vector<double> lead_seconds(static_cast<size_t>(leads), 0), lead_numbers;
  for (int64_t l = 0; l < leads; ++l) {
    for (int64_t i = 0; i < inits; ++i)
      lead_seconds[static_cast<size_t>(l)] +=
          static_cast<double>(forecast.valid(i, l) - forecast.init_seconds[static_cast<size_t>(i)]);
    lead_seconds[static_cast<size_t>(l)] /= static_cast<double>(inits);
    lead_numbers.push_back(static_cast<double>(forecast.lead_steps[static_cast<size_t>(l)]));
  }
  const bool days = lead_seconds.back() >= 15 * 86400.0;
  for (double& lead : lead_seconds) lead /= days ? 86400.0 : 3600.0;

  std::lock_guard lock(netcdf_mutex());
  const bool large = rows * columns > (int64_t{1} << 30) / (inits * leads);
  NewFile file(path, format == NetcdfFormat::netcdf4 ? NC_NETCDF4 : (large ? NC_64BIT_DATA : NC_64BIT_OFFSET), 4096);
  Writer w(file);
  const int d_time = w.dimension("time", inits), d_lead = w.dimension("lead", leads), d_lat = w.dimension("lat", rows),
            d_lon = w.dimension("lon", columns), d_bnds = w.dimension("bnds", 2);

  const int time = w.variable("time", NC_DOUBLE, {d_time});
  w.text(time, "standard_name", "forecast_reference_time");
  w.text(time, "long_name", "initial time");
  w.text(time, "units", time_units);
  w.text(time, "calendar", grid::to_string(forecast.calendar));
  w.text(time, "axis", "T");
  const int lead = w.variable("lead", NC_DOUBLE, {d_lead});
  w.text(lead, "standard_name", "forecast_period");
  w.text(lead, "long_name", "time after the initial time");
  w.text(lead, "units", days ? "days" : "hours");
  const int lead_step = w.variable("lead_step", NC_DOUBLE, {d_lead});
  w.text(lead_step, "long_name", "number of steps after the initial time");
  w.text(lead_step, "units", "1");
  const int valid_time = w.variable("valid_time", NC_DOUBLE, {d_time, d_lead});
  w.text(valid_time, "standard_name", "time");
  w.text(valid_time, "long_name", "time the forecast is for");
  w.text(valid_time, "units", time_units);
  w.text(valid_time, "calendar", grid::to_string(forecast.calendar));
  const int lat = w.variable("lat", NC_DOUBLE, {d_lat}), lat_bnds = w.variable("lat_bnds", NC_DOUBLE, {d_lat, d_bnds});
  w.text(lat, "standard_name", "latitude");
  w.text(lat, "units", "degrees_north");
  w.text(lat, "axis", "Y");
  w.text(lat, "bounds", "lat_bnds");
  const int lon = w.variable("lon", NC_DOUBLE, {d_lon}), lon_bnds = w.variable("lon_bnds", NC_DOUBLE, {d_lon, d_bnds});
  w.text(lon, "standard_name", "longitude");
  w.text(lon, "units", "degrees_east");
  w.text(lon, "axis", "X");
  w.text(lon, "bounds", "lon_bnds");

  std::vector<int> ids, level_ids;
  std::vector<std::string> names;
  for (const FieldVariable& variable : forecast.variables) {
    const std::string name = legal_name(variable.name, names);
    names.push_back(name);
    const int id = w.variable(name, NC_FLOAT, {d_time, d_lead, d_lat, d_lon});
    ids.push_back(id);
    const float fill = NC_FILL_FLOAT;
    file.check(nc_put_att_float(file.id(), id, "_FillValue", NC_FLOAT, 1, &fill));
    if (format == NetcdfFormat::netcdf4) {
      const size_t chunk[] = {1, 1, static_cast<size_t>(rows), static_cast<size_t>(columns)};
      if (rows * columns < (int64_t{1} << 29)) file.check(nc_def_var_chunking(file.id(), id, NC_CHUNKED, chunk));
      file.check(nc_def_var_deflate(file.id(), id, 1, 1, 1));
    }
    w.text(id, "long_name", variable.long_name);
    w.text(id, "standard_name", variable.standard_name);
    w.text(id, "units", variable.units);
    std::string coordinates = "valid_time lead_step";
    level_ids.push_back(-1);
    if (variable.level) {
      const std::string level_name = legal_name(name + "_level", names);
      names.push_back(level_name);
      level_ids.back() = w.variable(level_name, NC_DOUBLE, {});
      w.text(level_ids.back(), "long_name", "level of " + name);
      w.text(level_ids.back(), "units", variable.level_units);
      coordinates += " " + level_name;
      w.text(id, "gregale_level", level_name);
    }
    w.text(id, "coordinates", coordinates);
    w.text(id, kOwnName, variable.name);
    // HDF5 may list variables by name: their order is that of the model's channels.
    w.text(id, kOrder, fmt::format("{:06d}", ids.size() - 1));
    w.text(id, "vector_component", to_string(variable.component));
  }
  w.text(NC_GLOBAL, "Conventions", "CF-1.8");
  w.text(NC_GLOBAL, kStep, forecast.step);
  for (const auto& [name, value] : forecast.attributes)
    if (name != "Conventions" && name != kStep) w.text(NC_GLOBAL, name.c_str(), value);
  file.check(nc_enddef(file.id()));

  w.put(time, in_units(forecast.init_seconds));
  w.put(valid_time, in_units(forecast.valid_seconds));
  w.put(lead, lead_seconds);
  w.put(lead_step, lead_numbers);
  w.put(lat, forecast.grid.latitudes());
  w.put(lon, forecast.grid.longitudes());
  w.put(lat_bnds, bounds_pairs(forecast.grid.latitude_bounds()));
  w.put(lon_bnds, bounds_pairs(forecast.grid.longitude_bounds()));
  for (size_t v = 0; v < ids.size(); ++v)
    if (level_ids[v] >= 0) w.put(level_ids[v], {*forecast.variables[v].level});

  const auto cells = static_cast<size_t>(rows * columns);
  const auto values = forecast.fields.as<float>();
  std::vector<float> field(cells);
  for (int64_t i = 0; i < inits; ++i)
    for (int64_t l = 0; l < leads; ++l)
      for (size_t v = 0; v < ids.size(); ++v) {
        const size_t at = (static_cast<size_t>(i * leads + l) * ids.size() + v) * cells;
        for (size_t c = 0; c < cells; ++c) field[c] = std::isnan(values[at + c]) ? NC_FILL_FLOAT : values[at + c];
        const size_t start[] = {static_cast<size_t>(i), static_cast<size_t>(l), 0, 0};
        const size_t count[] = {1, 1, static_cast<size_t>(rows), static_cast<size_t>(columns)};
        file.check(nc_put_vara_float(file.id(), ids[v], start, count, field.data()));
      }
  write_file_atomically(path, file.finish());
}

bool is_forecast(const std::string& path) {
  const NetcdfFile file(path);
  return std::any_of(file.variables().begin(), file.variables().end(), [](const NetcdfVariable& variable) {
    return variable.text("standard_name") == "forecast_reference_time";
  });
}

ForecastFile read_forecast(const std::string& path) {
  const NetcdfFile file(path);
  auto need = [&](const char* name, const std::vector<std::string>& dimensions) -> const NetcdfVariable& {
    const NetcdfVariable* variable = file.find(name);
    GREGALE_CHECK(variable != nullptr && variable->is_numeric() && variable->dimensions == dimensions, corrupt_data,
                  "not a forecast file: {} (no variable {} along {})", path, name, fmt::format("{}", dimensions[0]));
    return *variable;
  };
  const NetcdfVariable& time = need("time", {"time"});
  GREGALE_CHECK(time.text("standard_name") == "forecast_reference_time", corrupt_data,
                "not a forecast file: {} (its time is not a forecast_reference_time)", path);
  const NetcdfVariable& steps = need("lead_step", {"lead"});
  const NetcdfVariable& valid = need("valid_time", {"time", "lead"});
  const NetcdfVariable& lat = need("lat", {"lat"});
  const NetcdfVariable& lon = need("lon", {"lon"});

  ForecastFile result;
  try {
    const grid::TimeAxis axis =
        grid::TimeAxis::from_values(file.read_all(time), time.text("units"), time.text("calendar"));
    result.calendar = axis.calendar();
    result.init_seconds = axis.seconds();
    const std::vector<double> numbers = file.read_all(steps);
    for (size_t i = 0; i < numbers.size(); ++i) {
      GREGALE_CHECK(
          numbers[i] == std::floor(numbers[i]) && std::abs(numbers[i]) < 1e9 && (i == 0 || numbers[i] > numbers[i - 1]),
          corrupt_data, "lead {} is {} steps", i, numbers[i]);
      result.lead_steps.push_back(static_cast<int64_t>(numbers[i]));
    }
    const std::vector<double> times = file.read_all(valid);
    for (size_t i = 0; i < result.init_seconds.size(); ++i) {
      const std::span<const double> row = std::span(times).subspan(i * numbers.size(), numbers.size());
      const grid::TimeAxis valid_axis = grid::TimeAxis::from_values(row, valid.text("units"), valid.text("calendar"));
      result.valid_seconds.insert(result.valid_seconds.end(), valid_axis.seconds().begin(), valid_axis.seconds().end());
    }
    result.grid = grid::LatLonGrid(file.read_all(lat), file.read_all(lon));
  } catch (const Error& error) {
    throw Error(ErrorCode::corrupt_data, error.message()).add_context(path);
  }
  result.step = file.global_text(kStep);
  for (const NetcdfAttribute& attribute : file.attributes())
    if (attribute.is_text && attribute.name != "Conventions" && attribute.name != kStep &&
        attribute.name != "_NCProperties")
      result.attributes.emplace_back(attribute.name, attribute.text);

  std::vector<const NetcdfVariable*> found;
  for (const NetcdfVariable& variable : file.variables())
    if (variable.is_numeric() && variable.dimensions == std::vector<std::string>{"time", "lead", "lat", "lon"})
      found.push_back(&variable);
  std::stable_sort(found.begin(), found.end(),
                   [](const NetcdfVariable* a, const NetcdfVariable* b) { return a->text(kOrder) < b->text(kOrder); });
  for (const NetcdfVariable* source : found) {
    const NetcdfVariable& variable = *source;
    FieldVariable info;
    info.name = variable.text(kOwnName, variable.name);
    info.units = variable.text("units");
    info.long_name = variable.text("long_name");
    info.standard_name = variable.text("standard_name");
    const std::string component = variable.text("vector_component");
    info.component = component == "eastward"    ? VectorComponent::eastward
                     : component == "northward" ? VectorComponent::northward
                                                : VectorComponent::none;
    if (const NetcdfVariable* level = file.find(variable.text("gregale_level"));
        level != nullptr && level->is_numeric() && level->dimensions.empty()) {
      info.level = file.read_all(*level)[0];
      info.level_units = level->text("units");
    }
    result.variables.push_back(std::move(info));
  }
  GREGALE_CHECK(!found.empty() && !result.init_seconds.empty() && !result.lead_steps.empty(), corrupt_data,
                "not a forecast file: {} (no variable along time, lead, lat and lon)", path);
  const auto inits = static_cast<int64_t>(result.init_seconds.size()),
             leads = static_cast<int64_t>(result.lead_steps.size());
  const auto count = static_cast<int64_t>(found.size());
  const auto cells = static_cast<size_t>(result.grid.cells());
  result.fields = Tensor(DType::f32, {inits, leads, count, result.grid.rows(), result.grid.columns()});
  const auto out = result.fields.as<float>();
  for (int64_t i = 0; i < inits; ++i)
    for (int64_t l = 0; l < leads; ++l)
      for (int64_t v = 0; v < count; ++v) {
        const int64_t start[] = {i, l, 0, 0}, block[] = {1, 1, result.grid.rows(), result.grid.columns()};
        file.read(*found[static_cast<size_t>(v)], start, block,
                  out.subspan(static_cast<size_t>((i * leads + l) * count + v) * cells, cells));
      }
  return result;
}

}  // namespace gregale::data
