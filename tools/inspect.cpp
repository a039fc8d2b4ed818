// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/json.hpp"
#include "gregale/error.hpp"
#include "kernels/machine/machine.hpp"
#include "tile/estimate.hpp"
#include "tools/bench.hpp"
#include "tools/inspect_page.hpp"
#include "tools/ledger.hpp"
#include "tools/networks.hpp"

namespace gregale::tools {
namespace {

struct InspectOptions {
  Common common;
  NetworkOptions network;
  bool programs = false, graph = false, no_run = false;
  std::string html;
};

/// Joules, as a model, not a measurement: 45 nm figures of Horowitz, "Computing's energy problem", ISSCC 2014 (an fp32
/// multiply-add 4.6 pJ, 8 bytes from a 1 MB cache 100 pJ, 8 bytes from DRAM 1.3 nJ). They rank programs; today's chips
/// take less of each.
constexpr double kJoulesAFlop = 2.3e-12, kJoulesACacheByte = 12.5e-12, kJoulesAMemoryByte = 160e-12;

struct Ceilings {
  double flops = 0, bytes = 0;  ///< a second, all threads
  double bf16_flops = 0;        ///< of groups that multiply bf16, whatever the precision; 0: the same
  tile::Rates rates;            ///< of the time predicted
};

Ceilings ceilings_of(const CompileOptions& options, ThreadTeam& team) {
  const Target& target = options.target;
  auto machine = kernels::load_machine(kernels::machine_cache_path(), target, team.size());
  if (!machine) {
    kernels::MachineOptions quick;
    quick.budget_seconds = 2;
    quick.rounds = 5;
    machine = kernels::measure_machine(target, team, quick);
  }
  const int products = machine->bf16 ? bf16_products(options) : 0;
  return {1e9 * (products > 0 ? machine->bf16->all_threads / products : machine->fp32.all_threads),
          1e9 * machine->read_memory.all_threads, machine->bf16 && products == 0 ? 1e9 * machine->bf16->all_threads : 0,
          tile::rates_of(target, *machine)};
}

/// Whole numbers are multiplied in bf16 where the precision is fp32, too.
bool multiplies_bf16(const Executable::Group& group) {
  if (group.program == nullptr) return false;
  for (const tile::Phase& phase : group.program->program().phases)
    for (const tile::Stage& stage : phase.stages)
      for (const tile::Call& call : stage.calls)
        if (const auto* product = std::get_if<tile::Contract>(&call.what))
          if (product->compute == kernels::Compute::bf16) return true;
  return false;
}

std::string operators_of(const Executable::Group& group) {
  if (group.body == nullptr) return group.op;
  return group.body->name();
}

double cache_bytes(const tile::TileProgram& program) {
  double bytes = 0;
  std::vector<tile::Access> accesses;
  tile::walk(program, [&](const tile::Phase&, const tile::Stage&, const tile::Call& call, const tile::LoopIndex& at,
                          const tile::LoopIndex&) {
    accesses.clear();
    tile::accesses_of(call, tile::sizes_of(call, at), true, accesses);
    for (const tile::Access& a : accesses)
      bytes += static_cast<double>(a.rows * a.columns * size_of(program.buffers[static_cast<size_t>(a.buffer)].dtype));
  });
  return bytes;
}

std::string ceiling_text(const Ceilings& c) {
  const std::string bf16 =
      c.bf16_flops > 0 ? fmt::format(" ({:.0f} of groups that multiply bf16)", c.bf16_flops * 1e-9) : "";
  return fmt::format("the greater of flops at {:.0f} Gflop/s{} and bytes at {:.1f} GB/s", c.flops * 1e-9, bf16,
                     c.bytes * 1e-9);
}

/// The page of --html.
void write_page(const InspectOptions& o, const CompileOptions& options, const Workload& work, const Executable& program,
                const std::vector<GroupFigures>& figures, const Ceilings& ceilings) {
  report::GraphPage page = make_graph_page(work.graph, options, program, figures);
  page.title = std::filesystem::path(o.network.name).filename().string();
  page.subtitle = fmt::format(
      "{} in {}, compiled for {} with {} thread{}", o.network.mode == "train" ? "Training" : "Inference",
      o.network.precision, to_string(options.target.isa), options.target.cores, options.target.cores == 1 ? "" : "s");
  if (!program.keep().empty()) page.notes.push_back(program.keep());
  page.notes.push_back(
      "Bytes are those between memory and L2: predicted by the formula of a tile program's loops, counted by replaying "
      "the executor's calls through a simulated cache. The lower bound is every argument's touched elements once.");
  page.notes.push_back(fmt::format(
      "The ceiling is {}, both as measured on this machine. Predicted times include calls, barriers and idle threads; "
      "where a kernel is no tile program, the ceiling stands in.",
      ceiling_text(ceilings)));
  report::write_graph_page(o.html, page);
}

int run_inspect(const InspectOptions& o) {
  check_network(o.network);
  if (!o.html.empty()) check_writable_file("--html", o.html);
  auto context = o.common.make_context();
  ThreadTeam& team = context->team();
  const auto seed = static_cast<uint64_t>(o.common.seed.value_or(0));
  const CompileOptions options = compile_options(o.network, team.size());
  Workload work = make_workload(o.network, team, seed);
  const Executable program = compile_workload(o.network, work, options);
  const std::vector<Executable::Group> groups = program.groups();

  std::vector<double> seconds(groups.size(), 0);
  int runs = 0;
  if (!o.no_run) {
    std::vector<Tensor> outputs = program.make_outputs();
    program.run(*context, work.inputs, outputs, &work.state);
    constexpr int kRuns = 5;
    Progress progress("run", kRuns, o.common.quiet);
    for (; runs < kRuns; ++runs) {
      program.profile(*context, work.inputs, outputs, &work.state, seconds);
      progress.update(runs + 1);
    }
    progress.done();
  }
  const Ceilings ceilings = ceilings_of(options, team);

  std::vector<GroupFigures> rows;
  GroupFigures total;
  GroupLedger ledger(options.target, team.size());
  Progress counting("count", static_cast<int64_t>(groups.size()), o.common.quiet);
  for (size_t i = 0; i < groups.size(); ++i) {
    const Executable::Group& group = groups[i];
    GroupFigures row;
    const GroupBytes bytes = ledger.of(group);
    row.predicted = bytes.predicted;
    row.counted = bytes.counted;
    row.least = bytes.least;
    row.joules = kJoulesACacheByte * (group.program != nullptr ? cache_bytes(group.program->program()) : bytes.counted);
    row.flops = group.flops;
    row.time = runs > 0 ? seconds[i] / runs : 0;
    const double flops = ceilings.bf16_flops > 0 && multiplies_bf16(group) ? ceilings.bf16_flops : ceilings.flops;
    row.ceiling = std::max(row.flops / flops, row.predicted / ceilings.bytes);
    row.expected = group.program == nullptr
                       ? row.ceiling
                       : tile::estimate(group.program->program(), options.target, ceilings.rates).seconds;
    row.joules += kJoulesAFlop * row.flops + kJoulesAMemoryByte * row.counted;
    total += row;
    rows.push_back(row);
    counting.update(static_cast<int64_t>(i) + 1);
  }
  counting.done();
  if (!o.html.empty()) write_page(o, options, work, program, rows, ceilings);
  o.common.finish(*context);

  if (o.common.json) {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 0; i < groups.size(); ++i) {
      nlohmann::json g = {
          {"ops", operators_of(groups[i])},
          {"lowering", groups[i].lowering},
          {"flops", rows[i].flops},
          {"bytes", {{"predicted", rows[i].predicted}, {"counted", rows[i].counted}, {"lower_bound", rows[i].least}}},
          {"seconds", rows[i].time},
          {"predicted_seconds", rows[i].expected},
          {"ceiling_seconds", rows[i].ceiling},
          {"modelled_joules", rows[i].joules}};
      if (groups[i].program != nullptr) g["program"] = tile::print(groups[i].program->program());
      list.push_back(std::move(g));
    }
    const nlohmann::json document = {
        {"model", o.network.name},
        {"precision", o.network.precision},
        {"mode", o.network.mode},
        {"isa", to_string(options.target.isa)},
        {"threads", team.size()},
        {"arena_bytes", program.arena_bytes()},
        {"groups", list},
        {"ledger",
         {{"predicted_bytes", total.predicted}, {"counted_bytes", total.counted}, {"lower_bound_bytes", total.least}}}};
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
  }
  fmt::print("{} {}, {}, for {}, {} thread{}: {} steps, {:.4g} Gflop, {} for intermediate results\n", o.network.name,
             o.network.precision, o.network.mode, to_string(options.target.isa), team.size(),
             team.size() == 1 ? "" : "s", groups.size(), program.flops() * 1e-9,
             format_bytes(static_cast<double>(program.arena_bytes())));
  if (!program.keep().empty()) fmt::print("{}\n", program.keep());
  Blobs large;  // named, not printed
  if (o.graph) fmt::print("\n{}", print(program.graph(), &large));
  fmt::print(
      "\nBytes between memory and L2: predicted by the formula, counted by a simulated cache, at least needed.\n"
      "Pred. ms: the time the tile program's loops should take, calls, barriers and idle threads included; in "
      "brackets where a kernel is no tile program, and the ceiling stands in.\n"
      "Ceiling: {}. Energy: a model from 45 nm figures (Horowitz, ISSCC 2014); it ranks, it does not measure.\n\n",
      ceiling_text(ceilings));
  fmt::print("{:>4}  {:>9} {:>11} {:>8}  {:>9} {:>9} {:>9}  {:>8}  {}\n", "step", "ms", "pred. ms", "ceiling",
             "predicted", "counted", "least", "mJ", "operators");
  const auto line = [&](const std::string& number, const GroupFigures& r, bool is_ceiling, const std::string& what) {
    const std::string share = r.time > 0 ? fmt::format("{:.0f} %", 100 * r.ceiling / r.time) : "-";
    const std::string expected =
        is_ceiling ? fmt::format("({:.4g})", r.expected * 1e3) : fmt::format("{:.4g}", r.expected * 1e3);
    fmt::print("{:>4}  {:>9.4g} {:>11} {:>8}  {:>9} {:>9} {:>9}  {:>8.3g}  {}\n", number, r.time * 1e3, expected, share,
               format_bytes(r.predicted), format_bytes(r.counted), format_bytes(r.least), r.joules * 1e3, what);
  };
  for (size_t i = 0; i < groups.size(); ++i)
    line(fmt::format("{}", i), rows[i], groups[i].program == nullptr,
         operators_of(groups[i]) + (groups[i].program == nullptr ? fmt::format(" ({})", groups[i].lowering) : ""));
  line("", total, false, "all");
  if (o.programs)
    for (size_t i = 0; i < groups.size(); ++i)
      if (groups[i].program != nullptr) fmt::print("\nstep {}\n{}", i, tile::print(groups[i].program->program()));
  if (!o.html.empty()) fmt::print("\nwrote {}\n", o.html);
  return 0;
}

}  // namespace

Runner add_inspect(Command& program) {
  auto o = std::make_shared<InspectOptions>();
  Command inspect =
      add_command(program, "inspect", "Show a compiled model: groups of operators, tile programs, bytes and time",
                  "gregale inspect bert-base-layer --batch 8 --length 128 --programs", o->common);
  inspect
      .option("model", o->network.name, "NAME|F.onnx",
              "fourcastnet, bert-base-layer, resnet50, surrogate3d, mlp, or an ONNX file")
      .required();
  add_network_options(inspect, o->network);
  inspect.flag("--programs", o->programs, "Print every group's tile program");
  inspect.flag("--graph", o->graph, "Print the graph as it is run");
  inspect.option("--html", o->html, "F.html", "Write the graph and its ledger as an interactive page");
  inspect.flag("--no-run", o->no_run, "Do not measure times");
  return [o] { return run_inspect(*o); };
}

}  // namespace gregale::tools
