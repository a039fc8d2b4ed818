// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tools/onnx_inputs.hpp"

namespace gregale::tools {
namespace {

using nlohmann::json;

/// Texts of the file, fit for a line.
std::string shown(const std::string& text) {
  std::string line;
  for (char c : text.substr(0, 200)) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return text.size() > 200 ? line + "..." : line;
}

json describe(const std::vector<onnx::Port>& ports, std::string& text) {
  json all = json::array();
  for (const onnx::Port& p : ports) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", shown(p.name), to_string(p));
    json port = {{"name", p.name}, {"type", to_string(p)}};
    if (p.has_shape) {
      json dims = json::array();
      for (const Dim& d : p.shape.dims())
        if (d.is_constant())
          dims.push_back(d.value());
        else
          dims.push_back(d.name());
      port["shape"] = dims;
    }
    all.push_back(std::move(port));
  }
  return all;
}

}  // namespace

OnnxDescription describe_onnx(const std::string& path) {
  const onnx::Model model = onnx::Model::load(path);
  OnnxDescription d;
  std::set<std::string> known;
  for (const onnx::Coverage& c : onnx::coverage())
    if (!c.how.ends_with("of strings") && (!c.domain.empty() || c.since <= model.opset()))
      known.insert(c.domain.empty() ? c.name : c.domain + "." + c.name);
  auto operators = model.operators();
  std::stable_sort(operators.begin(), operators.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  json histogram = json::object(), unsupported = json::array();
  std::string counts, lacking;
  for (const auto& [name, count] : operators) {
    histogram[name] = count;
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, shown(name));
    if (known.count(name) > 0) continue;
    unsupported.push_back(name);
    lacking += fmt::format("{}{}", lacking.empty() ? "" : ", ", shown(name));
  }
  std::string inputs, outputs;
  d.document = {{"kind", "onnx"},
                {"opset", model.opset()},
                {"parameters", model.parameters()},
                {"inputs", describe(model.inputs(), inputs)},
                {"outputs", describe(model.outputs(), outputs)},
                {"operators", histogram},
                {"unsupported", unsupported},
                {"metadata", model.metadata()}};
  d.lines = {{"ONNX model", path}, {"Operator set", fmt::format("{}", model.opset())},    {"Inputs", inputs},
             {"Outputs", outputs}, {"Parameters", fmt::format("{}", model.parameters())}, {"Operators", counts}};
  d.lines.emplace_back("Unsupported", lacking.empty() ? "none" : lacking);
  for (const auto& [key, value] : model.metadata()) d.lines.emplace_back(shown(key), shown(value));
  return d;
}

}  // namespace gregale::tools
