// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/onnx_inputs.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "data/npy.hpp"
#include "gregale/random.hpp"

namespace gregale::tools {
namespace {

using onnx::Datum;
using onnx::Model;
using onnx::Port;

constexpr const char *kInput = "--input", *kShape = "--input-shape";

std::string list_of(const std::vector<Port>& ports) {
  std::string all;
  for (const Port& p : ports) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", p.name, to_string(p));
  return all.empty() ? "none" : all;
}

/// NAME=VALUE, where a name may hold a '=' itself.
std::pair<size_t, std::string> split(const Model& model, const char* option, const std::string& text) {
  const auto& ports = model.inputs();
  for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1))
    for (size_t i = 0; i < ports.size(); ++i)
      if (text.compare(0, at, ports[i].name) == 0) return {i, text.substr(at + 1)};
  throw_error(ErrorCode::usage, fmt::format("{}: '{}' is for none of the model's inputs: {}", option,
                                            text.substr(0, text.find('=')), list_of(ports)));
}

Extents parse_shape(const std::string& name, const std::string& text) {
  Extents extents;
  const char *at = text.data(), *end = at + text.size();
  while (at != end) {
    int64_t extent = -1;
    const auto [next, error] = std::from_chars(at, end, extent);
    const bool more = next != end && (*next == 'x' || *next == ',');
    GREGALE_CHECK(error == std::errc() && extent >= 0 && (next == end || (more && next + 1 != end)), usage,
                  "{}: {}: expected extents such as 1x3x224x224, got '{}'", kShape, name, text);
    extents.push_back(extent);
    at = more ? next + 1 : next;
  }
  return extents;
}

/// Whether a tensor is what the model declares.
bool fits(const Port& port, DType dtype, const Extents& extents) {
  if (port.dtype != dtype) return false;
  if (!port.has_shape) return true;
  if (port.shape.rank() != static_cast<int64_t>(extents.size())) return false;
  for (int64_t a = 0; a < port.shape.rank(); ++a)
    if (port.shape[a].is_constant() && port.shape[a].value() != extents[static_cast<size_t>(a)]) return false;
  return true;
}

Tensor draw(ThreadTeam& team, const Port& port, const Extents& extents, uint64_t seed) {
  const RandomKey key{seed, 0, stream_of(port.name.c_str())};
  const bool real = is_real_float(port.dtype) || is_complex(port.dtype);
  Tensor x(real ? DType::f32 : DType::u8, extents);
  parallel_for(team, x.size(), 65536, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      if (real)
        x.as<float>()[static_cast<size_t>(i)] = random_normal(key, static_cast<uint64_t>(i));
      else
        x.as<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(random_below(key, static_cast<uint64_t>(i), 2));
    }
  });
  return x.dtype() == port.dtype ? x : x.cast(port.dtype);
}

void check_memory(const Model& model, const std::vector<Extents>& extents, const std::vector<bool>& drawn) {
  double bytes = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    if (!drawn[i]) continue;
    double count = 1;
    for (int64_t e : extents[i]) count *= static_cast<double>(e);
    bytes += count * static_cast<double>(size_of(model.inputs()[i].dtype));
  }
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  GREGALE_CHECK(bytes <= 0.9 * memory, usage, "{}: inputs take {}, this machine has {}", kShape, format_bytes(bytes),
                format_bytes(memory));
}

}  // namespace

onnx::Model load_onnx(const std::string& path, CompileOptions options) {
  check_readable_file("model", path);
  return onnx::Model::load(path, {.compile = std::move(options)});
}

OnnxInputs make_onnx_inputs(const Model& model, const OnnxInputOptions& o, bool all_given, ThreadTeam& team,
                            uint64_t seed) {
  const auto& ports = model.inputs();
  OnnxInputs inputs;
  inputs.values.resize(ports.size());
  std::vector<bool> given(ports.size(), false), drawn(ports.size(), false);
  std::vector<Extents> extents(ports.size());
  std::map<std::string, int64_t> symbols;  // dims that the file names, by what is given
  const auto note = [&](size_t i, const char* option) {
    GREGALE_CHECK(!given[i], usage, "{}: input '{}' is given twice", option, ports[i].name);
    given[i] = true;
  };
  const auto bind = [&](size_t i) {
    for (int64_t a = 0; a < ports[i].shape.rank(); ++a)
      if (!ports[i].shape[a].is_constant()) symbols[ports[i].shape[a].name()] = extents[i][static_cast<size_t>(a)];
  };
  for (const std::string& text : o.shapes) {
    const auto [i, shape] = split(model, kShape, text);
    note(i, kShape);
    const Port& port = ports[i];
    GREGALE_CHECK(port.kind == Port::Kind::tensor, unsupported, "{}: input '{}' is {}: no numbers can be drawn for it",
                  kShape, port.name, to_string(port));
    extents[i] = parse_shape(port.name, shape);
    for_option(kShape, [&] { return element_count(extents[i]); });
    GREGALE_CHECK(fits(port, port.dtype, extents[i]), usage, "{}: input '{}' is {}, got {}", kShape, port.name,
                  to_string(port), gregale::to_string(extents[i]));
    drawn[i] = true;
    bind(i);
  }
  std::vector<std::pair<size_t, std::string>> files;
  for (const std::string& text : o.files) {
    files.push_back(split(model, kInput, text));
    note(files.back().first, kInput);
    check_readable_file(kInput, files.back().second);
  }
  std::string missing;
  for (size_t i = 0; i < ports.size(); ++i)
    if (!given[i] && ports[i].kind != Port::Kind::optional)
      missing += fmt::format("{}{} {}", missing.empty() ? "" : ", ", ports[i].name, to_string(ports[i]));
  GREGALE_CHECK(!all_given || missing.empty(), usage,
                "no values for {}: give {} NAME=FILE.npy, or {} NAME=1x3x224x224 for random ones", missing, kInput,
                kShape);
  for (const auto& [i, file] : files) {
    Tensor value = for_option(kInput, [&, &path = file] { return data::read_npy(path); });
    if (ports[i].dtype == DType::bf16 && value.dtype() == DType::f32) value = value.cast(DType::bf16);
    GREGALE_CHECK(ports[i].kind == Port::Kind::optional ||
                      (ports[i].kind == Port::Kind::tensor && fits(ports[i], value.dtype(), value.extents())),
                  shape, "{}: input '{}' is {}, {} has {}", kInput, ports[i].name, to_string(ports[i]), file,
                  gregale::to_string(value.type()));
    extents[i] = value.extents();
    if (ports[i].kind == Port::Kind::tensor && ports[i].has_shape) bind(i);
    inputs.values[i] = std::move(value);
  }
  for (size_t i = 0; i < ports.size(); ++i) {
    const Port& port = ports[i];
    if (given[i] || port.kind == Port::Kind::optional) continue;
    GREGALE_CHECK(port.kind == Port::Kind::tensor, unsupported, "input '{}' is {}: no numbers can be drawn for it",
                  port.name, to_string(port));
    bool assumed = !port.has_shape;
    for (const Dim& d : port.shape.dims()) {
      const auto known = d.is_constant() ? symbols.end() : symbols.find(d.name());
      extents[i].push_back(d.is_constant() ? d.value() : known != symbols.end() ? known->second : 1);
      assumed = assumed || (!d.is_constant() && known == symbols.end());
    }
    drawn[i] = true;
    if (assumed)
      inputs.notes.push_back(fmt::format("{} is {}: taken as {} (see {})", port.name, to_string(port),
                                         gregale::to_string(extents[i]), kShape));
  }
  check_memory(model, extents, drawn);
  for (size_t i = 0; i < ports.size(); ++i)
    if (drawn[i]) inputs.values[i] = draw(team, ports[i], extents[i], seed);
  return inputs;
}

void check_onnx_options(const NetworkOptions& o) {
  for (const auto& [name, given] :
       {std::pair("--batch", o.batch.has_value()), std::pair("--length", o.length.has_value()),
        std::pair("--width", o.width.has_value()), std::pair("--depth", o.depth.has_value())})
    GREGALE_CHECK(!given, usage, "{}: an ONNX model has its own: see --input-shape", name);
  GREGALE_CHECK(o.mode == "infer", usage, "--mode: an ONNX model is only run: expected infer, got '{}'", o.mode);
  GREGALE_CHECK(!o.optimizer, usage, "--optimizer: --mode {} has none", o.mode);
  GREGALE_CHECK(!o.memory, usage, "--memory: only training has a cap");
  parse_precision(o.precision);
  parse_tune(o.tune);
  check_readable_file("model", o.name);
}

Workload make_onnx_workload(const NetworkOptions& o, ThreadTeam& team, uint64_t seed) {
  const Model model = load_onnx(o.name, compile_options(o, team.size()));
  const OnnxInputs inputs = make_onnx_inputs(model, o.onnx, false, team, seed);
  std::vector<Type> types;
  for (size_t i = 0; i < inputs.values.size(); ++i) {
    const Tensor* t = inputs.values[i].tensor();
    GREGALE_CHECK(t != nullptr, unsupported, "input '{}' holds nothing: the model is no single graph then",
                  model.inputs()[i].name);
    types.push_back(t->type());
  }
  Workload w;
  const auto make = [&](const std::map<std::string, Datum>& values) {
    w.graph = model.graph(types, values);
    for (size_t i = 0; i < inputs.values.size(); ++i)
      if (values.count(model.inputs()[i].name) == 0) w.inputs.push_back(*inputs.values[i].tensor());
  };
  try {
    make({});
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unsupported) throw;
    std::map<std::string, Datum> values;  // integers may say what the shapes are
    for (size_t i = 0; i < inputs.values.size(); ++i)
      if (is_integer(types[i].dtype)) values[model.inputs()[i].name] = inputs.values[i];
    if (values.empty()) throw;
    make(values);
  }
  return w;
}

}  // namespace gregale::tools
