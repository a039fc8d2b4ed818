// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "gregale/error.hpp"
#include "train/problem.hpp"

namespace gregale::train {

using nlohmann::json;

void Problem::to_parts(data::NamedTensors& tensors, json& out) const {
  json list = json::array();
  for (const auto& v : variables) {
    json entry = {{"name", v.name},
                  {"units", v.units},
                  {"long_name", v.long_name},
                  {"standard_name", v.standard_name},
                  {"component", data::to_string(v.component)}};
    if (v.level) {
      entry["level"] = *v.level;
      entry["level_units"] = v.level_units;
    }
    list.push_back(std::move(entry));
  }
  out = {
      {"variables", list},
      {"calendar", grid::to_string(calendar)},
      {"step",
       {{"kind", static_cast<int>(step.kind)},
        {"seconds", step.seconds},
        {"months", step.months},
        {"text", step.describe()}}},
      {"lead", lead},
      {"history", history},
      {"means", means},
      {"season", season},
      {"insolation", insolation},
      {"validity", validity},
      {"target", {{"kind", static_cast<int>(target.kind)}, {"baseline", target.baseline}, {"text", to_string(target)}}},
      {"static", static_names},
      {"climatology",
       {{"kind", static_cast<int>(climatology.kind)},
        {"slots_per_day", climatology.slots_per_day},
        {"window_days", climatology.window_days},
        {"counts", climatology.counts}}},
      {"training", {{"first", training.first}, {"last", training.last}, {"start_seconds", training_start}}},
      {"fingerprint", fingerprint}};
  tensors["problem/latitudes"] = Tensor::from(grid.latitudes(), {rows()});
  tensors["problem/longitudes"] = Tensor::from(grid.longitudes(), {columns()});
  if (!static_channels.empty()) tensors["problem/static"] = static_channels;
  tensors["problem/center"] = center;
  tensors["problem/scale"] = scale;
  tensors["problem/output_scale"] = output_scale;
  for (const auto& [name, tensor] : baselines.tensors()) tensors["problem/baselines/" + name] = tensor;
}

namespace {

const Tensor& tensor_at(const data::NamedTensors& tensors, const std::string& name) {
  auto at = tensors.find(name);
  GREGALE_CHECK(at != tensors.end(), corrupt_data, "tensor '{}' is missing", name);
  return at->second;
}

std::vector<double> doubles(const data::NamedTensors& tensors, const std::string& name) {
  const auto values = tensor_at(tensors, name).as<double>();
  return {values.begin(), values.end()};
}

/// A whole number within [least, most]: JSON's own conversions take fractions and overflow.
int64_t integer(const json& value, const char* what, int64_t least, int64_t most) {
  GREGALE_CHECK(value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX),
                corrupt_data, "{} is no whole number", what);
  const auto number = value.get<int64_t>();
  GREGALE_CHECK(number >= least && number <= most, corrupt_data, "{} is {}, not between {} and {}", what, number, least,
                most);
  return number;
}

std::vector<int64_t> integers(const json& value, const char* what, int64_t least, int64_t most) {
  GREGALE_CHECK(value.is_array() && value.size() <= 4096, corrupt_data, "{} is no short list", what);
  std::vector<int64_t> numbers;
  for (const json& entry : value) numbers.push_back(integer(entry, what, least, most));
  return numbers;
}

bool all_finite(const Tensor& tensor, double above) {
  for (double v : tensor.as<double>())
    if (!std::isfinite(v) || !(v > above)) return false;
  return true;
}

}  // namespace

Problem Problem::from_parts(const data::NamedTensors& tensors, const json& in) {
  constexpr int64_t kMost = 1 << 20, kMostHistory = 1024;  // of steps, of records at a time
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  Problem p;
  try {
    for (const json& entry : in.at("variables")) {
      data::FieldVariable v;
      v.name = entry.at("name").get<std::string>();
      v.units = entry.at("units").get<std::string>();
      v.long_name = entry.at("long_name").get<std::string>();
      v.standard_name = entry.at("standard_name").get<std::string>();
      v.component = data::vector_component_from_name(entry.at("component").get<std::string>());
      if (entry.contains("level")) {
        v.level = entry.at("level").get<double>();
        v.level_units = entry.at("level_units").get<std::string>();
      }
      p.variables.push_back(std::move(v));
    }
    p.calendar = grid::calendar_from_name(in.at("calendar").get<std::string>());
    const json& step = in.at("step");
    p.step.kind = static_cast<grid::TimeStep::Kind>(integer(step.at("kind"), "the kind of time step", 0, 4));
    p.step.seconds = integer(step.at("seconds"), "the time step's length", 0, kAny);
    p.step.months = integer(step.at("months"), "the time step's months", 0, kMost);
    p.lead = integer(in.at("lead"), "the lead", 1, kMost);
    p.history = integer(in.at("history"), "the history", 1, kMostHistory);
    p.means = integers(in.at("means"), "a mean's length", 1, kMostHistory);
    p.season = in.at("season").get<bool>();
    p.insolation = in.at("insolation").get<bool>();
    p.validity = in.at("validity").get<bool>();
    p.target.kind = static_cast<TargetChoice::Kind>(integer(in.at("target").at("kind"), "the kind of target", 0, 2));
    p.target.baseline = in.at("target").at("baseline").get<std::string>();
    p.static_names = in.at("static").get<std::vector<std::string>>();
    const json& c = in.at("climatology");
    p.climatology.kind = static_cast<data::Climatology::Kind>(integer(c.at("kind"), "the kind of climatology", 0, 1));
    p.climatology.slots_per_day =
        static_cast<int>(integer(c.at("slots_per_day"), "the climatology's slots a day", 1, 24));
    p.climatology.window_days = static_cast<int>(integer(c.at("window_days"), "the climatology's window", 1, 366));
    GREGALE_CHECK(c.at("counts").is_array() && c.at("counts").size() <= 366 * 24, corrupt_data,
                  "the climatology has too many bins");
    for (const json& count : c.at("counts"))
      p.climatology.counts.push_back(integer(count, "a climatology's count", 0, kAny));
    p.climatology.calendar = p.calendar;
    p.training = {in.at("training").at("first").get<std::string>(), in.at("training").at("last").get<std::string>()};
    p.training_start = integer(in.at("training").at("start_seconds"), "the training period's start", -kAny, kAny);
    p.fingerprint = in.at("fingerprint").get<std::string>();
  } catch (const json::exception& e) {
    throw_error(ErrorCode::corrupt_data, fmt::format("the description of the problem is damaged: {}", e.what()));
  }
  GREGALE_CHECK(!p.variables.empty(), corrupt_data, "the description of the problem has no variables");
  // Bins are looked up by date: they must be as many as dates can name.
  const int64_t days = p.calendar == grid::Calendar::day360 ? 360 : 366;
  GREGALE_CHECK(p.climatology.bins() ==
                    (p.climatology.kind == data::Climatology::Kind::month ? 12 : days * p.climatology.slots_per_day),
                corrupt_data, "a climatology of {} bins does not cover the year", p.climatology.bins());
  if (p.target.kind == TargetChoice::Kind::residual) {
    bool known = false;
    for (score::Baseline b : score::kBaselines)
      known = known || (b != score::Baseline::anomaly_persistence && p.target.baseline == score::to_string(b));
    GREGALE_CHECK(known, corrupt_data, "unknown baseline '{}'", p.target.baseline.substr(0, 60));
  }
  p.grid = grid::LatLonGrid(doubles(tensors, "problem/latitudes"), doubles(tensors, "problem/longitudes"));
  p.center = tensor_at(tensors, "problem/center");
  p.scale = tensor_at(tensors, "problem/scale");
  p.output_scale = tensor_at(tensors, "problem/output_scale");
  std::map<std::string, Tensor> baselines;
  const std::string prefix = "problem/baselines/";
  for (const auto& [name, tensor] : tensors)
    if (name.rfind(prefix, 0) == 0) baselines[name.substr(prefix.size())] = tensor;
  p.baselines = score::BaselineModel::from_tensors(baselines);
  p.climatology.mean = p.baselines.climatology();
  auto check = [](bool fits, const char* what) {
    GREGALE_CHECK(fits, corrupt_data, "tensor '{}' does not fit the problem", what);
  };
  if (!p.static_names.empty()) {
    p.static_channels = tensor_at(tensors, "problem/static");
    check(p.static_channels.type() ==
              Type(DType::f32, {static_cast<int64_t>(p.static_names.size()), p.rows(), p.columns()}),
          "problem/static");
  }
  for (const auto& [t, name] :
       {std::pair{&p.center, "problem/center"}, {&p.scale, "problem/scale"}, {&p.output_scale, "problem/output_scale"}})
    check(t->type() == Type(DType::f64, {p.variable_count()}) &&
              all_finite(*t, t == &p.center ? -std::numeric_limits<double>::infinity() : 0),
          name);
  check(p.baselines.variables() == p.variable_count() && p.baselines.rows() == p.rows() &&
            p.baselines.columns() == p.columns() && p.baselines.phases() == p.climatology.bins(),
        "problem/baselines");
  if (p.has_base() && p.target.baseline != "persistence")
    GREGALE_CHECK(p.baselines.has_lead(p.lead), corrupt_data, "no damping is stored for lead {}", p.lead);
  return p;
}

}  // namespace gregale::train
