// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "train/problem.hpp"

namespace gregale::train {

using nlohmann::json;

void Problem::to_parts(data::NamedTensors& tensors, json& out) const {
  json list = json::array();
  for (const auto& v : variables) {
    json entry = {{"name", v.name},       {"units", v.units},         {"long_name", v.long_name},
                  {"standard_name", v.standard_name}, {"component", data::to_string(v.component)}};
    if (v.level) {
      entry["level"] = *v.level;
      entry["level_units"] = v.level_units;
    }
    list.push_back(std::move(entry));
  }
  out = {{"variables", list},
         {"calendar", grid::to_string(calendar)},
         {"step", {{"kind", static_cast<int>(step.kind)}, {"seconds", step.seconds}, {"months", step.months}, {"text", step.describe()}}},
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

int checked_enum(int value, int count, const char* what) {
  GREGALE_CHECK(value >= 0 && value < count, corrupt_data, "unknown {} {}", what, value);
  return value;
}

}  // namespace

Problem Problem::from_parts(const data::NamedTensors& tensors, const json& in) {
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
    p.step.kind = static_cast<grid::TimeStep::Kind>(checked_enum(in.at("step").at("kind").get<int>(), 5, "time step"));
    p.step.seconds = in.at("step").at("seconds").get<int64_t>();
    p.step.months = in.at("step").at("months").get<decltype(p.step.months)>();
    p.lead = in.at("lead").get<int64_t>();
    p.history = in.at("history").get<int64_t>();
    p.means = in.at("means").get<std::vector<int64_t>>();
    p.season = in.at("season").get<bool>();
    p.insolation = in.at("insolation").get<bool>();
    p.validity = in.at("validity").get<bool>();
    p.target.kind = static_cast<TargetChoice::Kind>(checked_enum(in.at("target").at("kind").get<int>(), 3, "target"));
    p.target.baseline = in.at("target").at("baseline").get<std::string>();
    p.static_names = in.at("static").get<std::vector<std::string>>();
    const json& c = in.at("climatology");
    p.climatology.kind = static_cast<data::Climatology::Kind>(checked_enum(c.at("kind").get<int>(), 2, "climatology"));
    p.climatology.slots_per_day = c.at("slots_per_day").get<int>();
    p.climatology.window_days = c.at("window_days").get<int>();
    p.climatology.counts = c.at("counts").get<std::vector<int64_t>>();
    p.climatology.calendar = p.calendar;
    p.training = {in.at("training").at("first").get<std::string>(), in.at("training").at("last").get<std::string>()};
    p.training_start = in.at("training").at("start_seconds").get<int64_t>();
    p.fingerprint = in.at("fingerprint").get<std::string>();
  } catch (const json::exception& e) {
    throw_error(ErrorCode::corrupt_data, fmt::format("the description of the problem is damaged: {}", e.what()));
  }
  constexpr int64_t kMost = 1 << 20;
  bool sane = p.lead >= 1 && p.lead < kMost && p.history >= 1 && p.history < kMost;
  for (int64_t n : p.means) sane = sane && n >= 1 && n < kMost;
  GREGALE_CHECK(sane && !p.variables.empty() && p.climatology.slots_per_day >= 1, corrupt_data,
                "the description of the problem has values out of range");
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
    check(p.static_channels.type() == Type(DType::f32, {static_cast<int64_t>(p.static_names.size()), p.rows(), p.columns()}),
          "problem/static");
  }
  for (const auto& [t, name] : {std::pair{&p.center, "problem/center"}, {&p.scale, "problem/scale"},
                                {&p.output_scale, "problem/output_scale"}})
    check(t->type() == Type(DType::f64, {p.variable_count()}), name);
  check(p.baselines.variables() == p.variable_count() && p.baselines.rows() == p.rows() &&
            p.baselines.columns() == p.columns() && p.baselines.phases() == p.climatology.bins(),
        "problem/baselines");
  if (p.has_base() && p.target.baseline != "persistence")
    GREGALE_CHECK(p.baselines.has_lead(p.lead), corrupt_data, "no damping is stored for lead {}", p.lead);
  return p;
}

}  // namespace gregale::train
