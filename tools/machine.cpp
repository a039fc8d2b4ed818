// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/machine/machine.hpp"
#include "base/json.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "tools/command.hpp"

namespace gregale::tools {
namespace {

struct MachineOptions {
  Common common;
  bool fresh = false;
};

std::string number(double value) { return fmt::format("{:.{}f}", value, value < 99.95 ? 1 : 0); }

void print_line(const char* name, const std::string& one, const std::string& all, const char* unit,
                const std::string& what) {
  fmt::print("  {:<11}  {:>10}  {:>11}  {:<8}  {}\n", name, one, all, unit, what);
}
void print_line(const char* name, const kernels::Rate& rate, const char* unit, const std::string& what) {
  print_line(name, number(rate.one_thread), number(rate.all_threads), unit, what);
}
void print_unit(const char* name, const kernels::Machine& m, const std::optional<kernels::Rate>& rate, const char* key,
                const std::string& what) {
  if (rate) return print_line(name, *rate, "Gflop/s", what);
  const auto reason = m.reasons.find(key);
  print_line(name, "-", "-", "", reason == m.reasons.end() ? "not measured" : "not measured: " + reason->second);
}

void print_table(const kernels::Machine& m) {
  auto kib = [](int64_t bytes) { return fmt::format("{} KiB", bytes >> 10); };
  const std::string memory = fmt::format("{} MiB", m.memory_set >> 20);
  fmt::print("{}: {} {}, instruction set {}\n\n", m.target.cpu, m.target.cores, m.target.cores == 1 ? "core" : "cores",
             to_string(m.target.isa));
  print_line("", "one thread", fmt::format("{} thread{}", m.threads, m.threads == 1 ? "" : "s"), "", "");
  print_line("peak fp32", m.fp32, "Gflop/s",
             m.target.isa == Isa::reference ? "multiplications and additions in registers"
                                            : "fused multiply-adds in registers");
  const bool tiles = m.target.isa == Isa::amx;
  print_unit("peak bf16", m, m.bf16, "bf16",
             tiles ? "products of bf16 tiles (tdpbf16ps)" : "dot products of bf16 pairs in registers (vdpbf16ps)");
  print_unit("peak int8", m, m.int8, "int8",
             tiles ? "products of 8-bit tiles (tdpbssd)" : "dot products of 8-bit quadruples in registers (vpdpbusd)");
  print_line("read L1", m.read_l1, "GB/s", kib(m.l1_set) + " a thread, again and again");
  print_line("read L2", m.read_l2, "GB/s", kib(m.l2_set) + " a thread, again and again");
  print_line("read memory", m.read_memory, "GB/s", memory + " in all");
  print_line("copy", m.copy, "GB/s", memory + " in all, ordinary stores; bytes read + bytes written");
  if (m.copy_nt) print_line("copy nt", "", number(*m.copy_nt), "GB/s", "the same with non-temporal stores");
  fmt::print(
      "\nMedians of {} runs each, without those that another program interrupted. Gflop/s: 1e9 operations a second, a\n"
      "multiply-add counting two; GB/s: 1e9 bytes a second.\n",
      m.rounds);
}

int run_machine(const MachineOptions& o) {
  auto context = o.common.make_context();
  const Target target = Target::detect();
  const int threads = context->team().size();
  const std::string path = kernels::machine_cache_path();
  std::optional<kernels::Machine> machine;
  if (!o.fresh) machine = kernels::load_machine(path, target, threads);
  const bool cached = machine.has_value();
  if (!cached) {
    std::unique_ptr<Progress> progress;
    kernels::MachineOptions options;
    options.progress = [&](int64_t done, int64_t total, const std::string& what) {
      if (!progress) progress = std::make_unique<Progress>("run", total, o.common.quiet);
      progress->update(done, what);
    };
    const TraceSpan span(context->trace(), "machine", "measure");
    machine = kernels::measure_machine(target, context->team(), options);
    if (progress) progress->done();
    try {
      kernels::save_machine(path, *machine);
    } catch (const Error& error) {  // the numbers are good all the same
      if (!o.common.quiet) std::fprintf(stderr, "note: not cached: %s\n", error.what());
    }
  }
  o.common.finish(*context);
  constexpr double kNoisy = 0.2;
  if (machine->noise > kNoisy && !o.common.quiet) {
    std::fprintf(
        stderr, "note: runs differed by up to %.0f%%: the machine was probably doing other work%s\n",
        machine->noise * 100,
        cached ? " when it was measured; --fresh measures again" : "; measure again with --fresh when it is idle");
  }
  if (o.common.json) {
    nlohmann::json document = kernels::to_json(*machine);
    document["cached"] = cached;
    std::printf("%s\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return 0;
  }
  print_table(*machine);
  if (cached) fmt::print("From {}; --fresh measures again.\n", path);
  return 0;
}

}  // namespace

Runner add_machine(Command& program) {
  auto o = std::make_shared<MachineOptions>();
  Command c = add_command(program, "machine", "Measure this machine's ceilings: arithmetic, caches and memory",
                          "gregale machine --fresh", o->common);
  c.flag("--fresh", o->fresh, "Measure again instead of using the numbers of last time");
  return [o] { return run_machine(*o); };
}

}  // namespace gregale::tools
