// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "data/forecast_file.hpp"
#include "data/netcdf_file.hpp"
#include "data/safetensors.hpp"
#include "report/terminal_map.hpp"
#include "tools/onnx.hpp"
#include "train/emulator_state.hpp"

namespace gregale::tools {
namespace {

using nlohmann::json;

/// What was found: a document for --json, and the lines a person reads.
struct Description {
  json document;
  std::string text;
  void line(const std::string& name, const std::string& value) { text += fmt::format("{:<14} {}\n", name, value); }
};

std::string small_map(const Tensor& field, const grid::LatLonGrid& grid, const std::string& units) {
  return report::terminal_map(field, grid, units, std::min<int64_t>(report::terminal_columns(STDOUT_FILENO), 72),
                              report::terminal_colours(STDOUT_FILENO));
}

Description describe_emulator(const std::string& path) {
  const Emulator emulator = Emulator::load(path);
  const train::Problem& p = emulator.state().problem;
  Description d;
  json variables = json::array();
  std::string names;
  for (const auto& v : p.variables) {
    variables.push_back({{"name", v.name}, {"units", v.units}, {"long_name", v.long_name}});
    names += fmt::format("{}{} [{}]", names.empty() ? "" : ", ", v.name, v.units);
  }
  d.document = {{"kind", "emulator"},
                {"variables", variables},
                {"grid", p.grid.describe()},
                {"step", p.step.describe()},
                {"lead", p.lead},
                {"target", train::to_string(p.target)},
                {"training", p.training.to_string()},
                {"parameters", emulator.parameter_count()},
                {"config", emulator.state().config},
                {"provenance", emulator.state().provenance}};
  d.line("Emulator", path);
  d.line("Forecasts", names);
  d.line("Grid", p.grid.describe());
  d.line("Step", p.lead_text());
  d.line("Target", train::to_string(p.target));
  d.line("Inputs", fmt::format("{} past states, means over {}{}{}{}", p.history,
                               p.means.empty() ? "nothing" : fmt::format("{} records", fmt::join(p.means, " and ")),
                               p.season ? ", season" : "", p.insolation ? ", insolation" : "",
                               p.static_names.empty() ? "" : fmt::format(", {}", fmt::join(p.static_names, ", "))));
  d.line("Model", fmt::format("{}, {} parameters", emulator.state().config.at("model").at("name").get<std::string>(),
                              emulator.parameter_count()));
  d.line("Trained on", p.training.to_string());
  d.line("Provenance", emulator.state().provenance.dump());
  return d;
}

Description describe_safetensors(const std::string& path) {
  const data::SafetensorsHeader header = data::read_safetensors_header(path);
  if (train::is_emulator(header.metadata)) return describe_emulator(path);
  Description d;
  auto format = header.metadata.find("format");
  const bool checkpoint = format != header.metadata.end() && format->second.rfind("gregale.checkpoint", 0) == 0;
  d.document = {
      {"kind", checkpoint ? "checkpoint" : "safetensors"}, {"tensors", json::array()}, {"bytes", header.data_bytes}};
  d.line(checkpoint ? "Checkpoint" : "Safetensors", path);
  if (checkpoint) {
    d.document["step"] = header.metadata.count("step") > 0 ? header.metadata.at("step") : "";
    d.line("Step", d.document["step"].get<std::string>());
  }
  d.line("Tensors", fmt::format("{}, {}", header.tensors.size(), format_bytes(static_cast<double>(header.data_bytes))));
  for (const auto& t : header.tensors) {
    d.document["tensors"].push_back({{"name", t.name}, {"dtype", name_of(t.dtype)}, {"shape", t.extents}});
    d.text += fmt::format("  {:<48} {}{}\n", t.name, name_of(t.dtype), gregale::to_string(t.extents));
  }
  return d;
}

Description describe_forecast(const std::string& path) {
  const data::ForecastFile f = data::read_forecast(path);
  Description d;
  std::vector<std::string> names;
  for (const auto& v : f.variables) names.push_back(v.name);
  d.document = {{"kind", "forecast"},    {"variables", names}, {"inits", f.init_seconds.size()},
                {"leads", f.lead_steps}, {"step", f.step},     {"grid", f.grid.describe()}};
  d.line("Forecast", path);
  d.line("Variables", fmt::format("{}", fmt::join(names, ", ")));
  d.line("Initial times",
         fmt::format("{} from {}", f.init_seconds.size(), grid::to_iso(f.calendar, f.init_seconds.front())));
  d.line("Leads", fmt::format("{} to {} steps of {}", f.lead_steps.front(), f.lead_steps.back(), f.step));
  d.line("Grid", f.grid.describe());
  const int64_t cells = f.grid.cells();
  const auto variables = static_cast<int64_t>(f.variables.size());
  Tensor last(DType::f32, {f.grid.rows(), f.grid.columns()});
  std::copy_n(f.fields.as<float>().data() + (static_cast<int64_t>(f.lead_steps.size()) - 1) * variables * cells, cells,
              last.as<float>().data());
  d.text += fmt::format("\n{} of the first forecast at lead {}\n{}", names[0], f.lead_steps.back(),
                        small_map(last, f.grid, f.variables[0].units));
  return d;
}

Description describe_netcdf(const std::string& path) {
  if (data::is_forecast(path)) return describe_forecast(path);
  const data::NetcdfFile file(path);
  Description d;
  d.document = {{"kind", "netcdf"}, {"format", file.format()}, {"variables", json::array()}};
  d.line("NetCDF", fmt::format("{} ({})", path, file.format()));
  for (const auto& v : file.variables()) {
    const std::string units = v.text("units");
    d.document["variables"].push_back({{"name", v.name},
                                       {"dimensions", v.dimensions},
                                       {"shape", v.extents},
                                       {"units", units},
                                       {"long_name", v.text("long_name")}});
    d.text += fmt::format("  {:<16} ({}) {} {}{}\n", v.name, fmt::join(v.dimensions, ", "),
                          gregale::to_string(v.extents), units.empty() ? "" : "[" + units + "] ", v.text("long_name"));
  }
  try {  // fields on a grid get their axes and a map; any other file is described by its variables alone
    const data::FieldDataset dataset = data::FieldDataset::open({path});
    const auto& time = dataset.time();
    d.document["grid"] = dataset.grid().describe();
    d.document["time"] = {{"records", time.size()},
                          {"first", time.label(0)},
                          {"last", time.label(time.size() - 1)},
                          {"step", time.step().describe()}};
    d.line("Grid", dataset.grid().describe());
    d.line("Time", fmt::format("{} records, {} to {}, every {}", time.size(), time.label(0),
                               time.label(time.size() - 1), time.step().describe()));
    Tensor field(DType::f32, {dataset.grid().rows(), dataset.grid().columns()});
    dataset.read_field(0, 0, field.as<float>());
    d.text += fmt::format("\n{} at {}\n{}", dataset.variables()[0].name, time.label(0),
                          small_map(field, dataset.grid(), dataset.variables()[0].units));
  } catch (const Error& e) {
    d.document["fields"] = e.what();
    d.line("Fields", fmt::format("none on a latitude-longitude grid: {}", e.message()));
  }
  return d;
}

int run_info(const Common& common, const std::string& path) {
  check_readable_file("file", path);
  std::ifstream file(path, std::ios::binary);
  char start[16] = {};
  file.read(start, sizeof start);
  const std::string head(start, static_cast<size_t>(file.gcount()));
  const bool netcdf = head.rfind("CDF", 0) == 0 || head.rfind("\x89HDF", 0) == 0;
  const bool safetensors = head.size() > 9 && head[8] == '{';
  const bool onnx = !netcdf && !safetensors && is_onnx_file(path);
  GREGALE_CHECK(netcdf || safetensors || onnx, unsupported, "{} is neither NetCDF nor safetensors, nor named .onnx",
                path);
  auto context = common.make_context();
  Description d;
  if (onnx) {
    OnnxDescription model = describe_onnx(path);
    d.document = std::move(model.document);
    for (const auto& [name, value] : model.lines) d.line(name, value);
  } else {
    d = netcdf ? describe_netcdf(path) : describe_safetensors(path);
  }
  common.finish(*context);
  std::fputs(
      common.json ? (d.document.dump(2, ' ', false, json::error_handler_t::replace) + "\n").c_str() : d.text.c_str(),
      stdout);
  return 0;
}

}  // namespace

Runner add_info(Command& program) {
  auto common = std::make_shared<Common>();
  auto path = std::make_shared<std::string>();
  Command c = add_command(program, "info", "Say what a file is: model, checkpoint, forecast, ONNX, NetCDF, safetensors",
                          "gregale info winds-out/model.safetensors", *common);
  c.option("file", *path, "FILE", "The file").required();
  return [common, path] { return run_info(*common, *path); };
}

}  // namespace gregale::tools
