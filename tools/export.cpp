// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "base/json.hpp"
#include "data/atomic_file.hpp"
#include "gregale/onnx.hpp"
#include "tools/networks.hpp"
#include "train/emulator_state.hpp"
#include "train/physical_graph.hpp"

namespace gregale::tools {
namespace {

struct ExportCommand {
  Common common;
  std::string model, out;
  bool physical = false;
  onnx::ExportOptions options;
};

/// An emulator's step, or a built-in network with weights drawn from the seed.
Graph graph_of(const ExportCommand& o, ThreadTeam& team) {
  if (std::filesystem::exists(o.model)) {
    const std::string path = model_path(o.model);
    check_readable_file("MODEL", path);
    const Emulator emulator = for_option("MODEL", [&] { return Emulator::load(path); });
    return o.physical ? train::physical_graph(emulator.state()) : train::normalised_graph(emulator.state());
  }
  GREGALE_CHECK(!o.physical, usage, "--physical-units: '{}' is no emulator", o.model);
  NetworkOptions network;
  network.name = o.model;
  check_network(network);
  return make_workload(network, team, static_cast<uint64_t>(o.common.seed.value_or(0))).graph;
}

int run_export(const ExportCommand& o) {
  check_writable_file("-o", o.out);
  auto context = o.common.make_context();
  const Graph graph = graph_of(o, context->team());
  const std::string bytes = onnx::export_model(graph, o.options);
  data::write_file_atomically(o.out, bytes);
  o.common.finish(*context);
  nlohmann::json document = {{"file", o.out}, {"bytes", bytes.size()}, {"inputs", nlohmann::json::array()}};
  for (Value v : graph.inputs())
    document["inputs"].push_back({{"name", graph.name_of(v)}, {"type", to_string(graph.type(v))}});
  if (o.common.json) {
    fmt::print("{}\n", document.dump(2));
    return 0;
  }
  fmt::print("{}: {}, ONNX operator set 17\n", o.out, format_bytes(static_cast<double>(bytes.size())));
  for (Value v : graph.inputs()) fmt::print("  takes {} {}\n", graph.name_of(v), to_string(graph.type(v)));
  for (size_t i = 0; i < graph.outputs().size(); ++i)
    fmt::print("  gives {} {}\n", graph.output_names().empty() ? "" : graph.output_names()[i],
               to_string(graph.type(graph.outputs()[i])));
  return 0;
}

}  // namespace

Runner add_export(Command& program) {
  auto o = std::make_shared<ExportCommand>();
  Command c = add_command(program, "export", "Write a model as an ONNX file (operator set 17)",
                          "gregale export winds-out -o winds.onnx --physical-units", o->common);
  c.option("model", o->model, "MODEL", "A trained emulator or its folder, or the name of a built-in network")
      .required();
  c.option("-o,--output", o->out, "FILE.onnx", "The file").required();
  c.flag("--physical-units", o->physical, "Fold an emulator's normalisation and climatology in");
  c.flag("--fft-as-matmul", o->options.fft_as_matmul, "Fourier transforms as matrix products, for readers without DFT");
  return [o] { return run_export(*o); };
}

}  // namespace gregale::tools
