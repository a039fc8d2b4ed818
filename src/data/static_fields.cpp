// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/static_fields.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <numbers>

#include "data/field_scan.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Which source cells a target cell overlaps, and by how much.
struct Overlap {
  size_t source;
  double weight;
};
using Overlaps = std::vector<std::vector<Overlap>>;  // one list a target row or column

double overlap_length(double a0, double a1, double b0, double b1) { return std::min(a1, b1) - std::max(a0, b0); }

Overlaps row_overlaps(const grid::LatLonGrid& from, const grid::LatLonGrid& to) {
  constexpr double kRadians = std::numbers::pi / 180;
  Overlaps result(static_cast<size_t>(to.rows()));
  const auto &a = to.latitude_bounds(), &b = from.latitude_bounds();
  for (size_t i = 0; i < result.size(); ++i)
    for (size_t j = 0; j + 1 < b.size(); ++j) {
      const double low = std::max(std::min(a[i], a[i + 1]), std::min(b[j], b[j + 1]));
      const double high = std::min(std::max(a[i], a[i + 1]), std::max(b[j], b[j + 1]));
      if (high - low > 1e-9) result[i].push_back({j, std::sin(high * kRadians) - std::sin(low * kRadians)});
    }
  return result;
}

Overlaps column_overlaps(const grid::LatLonGrid& from, const grid::LatLonGrid& to) {
  Overlaps result(static_cast<size_t>(to.columns()));
  const auto &a = to.longitude_bounds(), &b = from.longitude_bounds();
  for (size_t i = 0; i < result.size(); ++i)
    for (size_t j = 0; j + 1 < b.size(); ++j) {
      const double a0 = std::min(a[i], a[i + 1]), a1 = std::max(a[i], a[i + 1]);
      const double b0 = std::min(b[j], b[j + 1]), b1 = std::max(b[j], b[j + 1]);
      double total = 0;
      // The circle may be cut anywhere in either grid.
      const double turn = 360 * std::round((0.5 * (a0 + a1) - 0.5 * (b0 + b1)) / 360);
      for (double shift : {turn - 360, turn, turn + 360})
        total += std::max(0.0, overlap_length(a0, a1, b0 + shift, b1 + shift));
      if (total > 1e-9) result[i].push_back({j, total});
    }
  return result;
}

// One overlap with weight 1: the nearest, where the target's centre lies in the source's domain.
Overlaps nearest_rows(const grid::LatLonGrid& from, const grid::LatLonGrid& to) {
  Overlaps result(static_cast<size_t>(to.rows()));
  const auto& bounds = from.latitude_bounds();
  const double low = std::min(bounds.front(), bounds.back()), high = std::max(bounds.front(), bounds.back());
  for (size_t i = 0; i < result.size(); ++i)
    if (const double latitude = to.latitudes()[i]; latitude >= low - 1e-9 && latitude <= high + 1e-9)
      result[i].push_back({static_cast<size_t>(from.nearest_row(latitude)), 1});
  return result;
}

Overlaps nearest_columns(const grid::LatLonGrid& from, const grid::LatLonGrid& to) {
  Overlaps result(static_cast<size_t>(to.columns()));
  const auto& bounds = from.longitude_bounds();
  const double low = std::min(bounds.front(), bounds.back()), high = std::max(bounds.front(), bounds.back());
  for (size_t i = 0; i < result.size(); ++i) {
    const double longitude = to.longitudes()[i];
    const double inside = longitude - 360 * std::floor((longitude - low) / 360);
    if (from.periodic() || inside <= high + 1e-9)
      result[i].push_back({static_cast<size_t>(from.nearest_column(longitude)), 1});
  }
  return result;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

bool is_relief(const StaticField& field) {
  const std::string units = lower(field.units);
  if (units != "m" && units != "meter" && units != "meters" && units != "metre" && units != "metres") return false;
  float low = 0, high = 0;
  for (float value : field.values.as<float>())
    if (!std::isnan(value)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  return low < -100 && high > 100;
}

Regrid method_for(const grid::LatLonGrid& from, const grid::LatLonGrid& to) {
  auto step = [](const std::vector<double>& values) {
    return values.size() < 2 ? 360.0
                             : std::abs(values.back() - values.front()) / static_cast<double>(values.size() - 1);
  };
  const bool finer = step(from.latitudes()) < step(to.latitudes()) || step(from.longitudes()) < step(to.longitudes());
  return finer ? Regrid::area_mean : Regrid::nearest;
}

StaticField derived(const StaticField& relief, bool land, const grid::LatLonGrid& grid) {
  Tensor values = relief.values.clone();
  for (float& value : values.as<float>())
    if (!std::isnan(value)) value = land ? (value > 0 ? 1.0F : 0.0F) : std::max(value, 0.0F);
  StaticField field;
  field.name = land ? "land_fraction" : "orography";
  field.units = land ? "1" : "m";
  field.long_name = land ? "fraction of land" : "mean height of land above the sea";
  field.grid = grid;
  field.values = regrid(values, relief.grid, grid, method_for(relief.grid, grid));
  return field;
}

}  // namespace

Tensor regrid(const Tensor& fields, const grid::LatLonGrid& from, const grid::LatLonGrid& to, Regrid method) {
  const int64_t rank = fields.rank();
  GREGALE_CHECK(rank >= 2 && fields.extent(rank - 2) == from.rows() && fields.extent(rank - 1) == from.columns(), shape,
                "[regrid] {} is not [..., {}, {}]", gregale::to_string(fields.extents()), from.rows(), from.columns());
  const Overlaps rows = method == Regrid::nearest ? nearest_rows(from, to) : row_overlaps(from, to);
  const Overlaps columns = method == Regrid::nearest ? nearest_columns(from, to) : column_overlaps(from, to);
  Extents extents = fields.extents();
  extents[static_cast<size_t>(rank - 2)] = to.rows();
  extents[static_cast<size_t>(rank - 1)] = to.columns();
  Tensor result(DType::f32, extents);
  const auto in = fields.as<float>();
  const auto out = result.as<float>();
  const auto in_cells = static_cast<size_t>(from.cells()), out_cells = static_cast<size_t>(to.cells());
  const size_t in_columns = static_cast<size_t>(from.columns()), count = in.size() / in_cells;
  for (size_t f = 0; f < count; ++f) {
    size_t at = f * out_cells;
    for (const auto& row : rows)
      for (const auto& column : columns) {
        double sum = 0, weight = 0;
        for (const Overlap& r : row)
          for (const Overlap& c : column)
            if (const float value = in[f * in_cells + r.source * in_columns + c.source]; !std::isnan(value)) {
              sum += r.weight * c.weight * static_cast<double>(value);
              weight += r.weight * c.weight;
            }
        out[at++] = weight > 0 ? static_cast<float>(sum / weight) : kNaN;
      }
  }
  return result;
}

std::vector<StaticField> read_static_fields(const std::string& path, const std::string& variable) {
  const NetcdfFile file(path);
  const ScannedFile scanned = scan_fields(file);
  std::vector<StaticField> result;
  std::string names;
  for (const ScannedField& field : scanned.fields) {
    const int64_t times = field.time_dim < 0 ? 1 : scanned.axes[static_cast<size_t>(field.time_axis)].time.size();
    const bool fits = field.refusal.empty() && field.levels(scanned.axes) == 1 && times == 1;
    names += (names.empty() ? "" : ", ") + field.name;
    if (variable.empty() ? !fits : field.name != variable) continue;
    GREGALE_CHECK(fits, invalid_argument, "variable {} of {} is not static: {}", field.name, path,
                  !field.refusal.empty()
                      ? field.refusal
                      : (times != 1 ? fmt::format("it has {} records", times) : "it has several levels"));
    StaticField read;
    const NetcdfVariable& info = file.variable(field.name);
    read.name = field.name;
    read.units = info.text("units");
    read.long_name = info.text("long_name");
    read.grid = scanned.grid_of(field);
    read.values = Tensor(DType::f32, {read.grid.rows(), read.grid.columns()});
    read_slice(file, field, 0, 0, read.values.as<float>());
    result.push_back(std::move(read));
  }
  GREGALE_CHECK(!result.empty(), invalid_argument, "{} in {} (it has {})",
                variable.empty() ? "no static field" : fmt::format("no variable '{}'", variable), path,
                names.empty() ? "no fields" : names);
  return result;
}

std::vector<StaticField> read_static_channels(const std::vector<std::string>& sources, const grid::LatLonGrid& grid) {
  std::vector<StaticField> channels;
  for (const std::string& source : sources) {
    std::string path = source, variable, derive;
    struct stat info {};
    if (::stat(source.c_str(), &info) != 0) {  // else the name is a file's as it stands, whatever it contains
      if (const size_t hash = path.rfind('#'); hash != std::string::npos) {
        derive = path.substr(hash + 1);
        path.resize(hash);
      }
      if (const size_t colon = path.rfind(':');
          colon != std::string::npos && path.find('/', colon) == std::string::npos) {
        variable = path.substr(colon + 1);
        path.resize(colon);
      }
    }
    GREGALE_CHECK(derive.empty() || derive == "orography" || derive == "land", invalid_argument,
                  "'{}' cannot be derived from {} (known: orography, land)", derive, path);
    for (const StaticField& field : read_static_fields(path, variable)) {
      const bool both = derive.empty() && is_relief(field);
      if (both || derive == "orography") channels.push_back(derived(field, false, grid));
      if (both || derive == "land") channels.push_back(derived(field, true, grid));
      if (both || !derive.empty()) continue;
      StaticField channel = field;
      channel.grid = grid;
      if (!grid.same_as(field.grid))
        channel.values = regrid(field.values, field.grid, grid, method_for(field.grid, grid));
      channels.push_back(std::move(channel));
    }
  }
  for (size_t i = 0; i < channels.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      GREGALE_CHECK(channels[i].name != channels[j].name, invalid_argument, "two static channels are named {}",
                    channels[i].name);
  return channels;
}

}  // namespace gregale::data
