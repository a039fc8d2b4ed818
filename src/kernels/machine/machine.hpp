// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "gregale/context.hpp"

/// The ceilings of a machine: what `gregale machine` prints, and what every "fraction of peak" is a fraction of.
/// All are measured, none is derived from a clock rate or a data sheet. Gflop/s: 1e9 operations a second, a
/// multiply-add counting two. GB/s: 1e9 bytes a second.
namespace gregale::kernels {

struct Rate {
  double one_thread = 0;
  double all_threads = 0;  ///< the sum over all threads of the team
};

struct Machine {
  Target target;
  int threads = 1;  ///< of `all_threads`

  /// Chains of multiply-adds that never leave the registers.
  Rate fp32;
  std::optional<Rate> bf16;  ///< products of bf16 pairs added up in fp32; none: see reasons["bf16"]
  std::optional<Rate> int8;  ///< products of uint8 and int8 quadruples added up in int32; none: see reasons["int8"]

  /// Sums over a working set: half of the L1, half of the L2 (each thread its own), and memory_set for all together.
  Rate read_l1, read_l2, read_memory;
  /// One half of memory_set to the other with ordinary stores; read and written bytes both count, the lines a store
  /// fetches first do not.
  Rate copy;
  std::optional<double> copy_nt;  ///< the same on all threads with non-temporal stores; none: reasons["copy_nt"]

  int64_t l1_set = 0, l2_set = 0, memory_set = 0;  ///< bytes
  /// Runs of each kind. A value is the median of those during which no other program took a processor, or the fastest
  /// run where every one was disturbed.
  int rounds = 0;
  /// The largest distance between quartiles of a series of runs, as a fraction of its value. Above about 0.2 the
  /// machine did other work meanwhile.
  double noise = 0;
  std::map<std::string, std::string> reasons;  ///< why a value is missing
};

struct MachineOptions {
  double run_seconds = 0.003;  ///< about how long one run of one kind takes (memory: at least one part of the set)
  int rounds = 15;             ///< runs of each kind, the kinds taking turns; more where few of them were undisturbed
  double budget_seconds = 6;   ///< after this long no further round is begun once there are three
  int64_t memory_bytes = 0;    ///< 0: four times the L3 and 16 MB a core, at most 512 MB and a quarter of the memory
  /// Called after each of `total` steps.
  std::function<void(int64_t done, int64_t total, const std::string& what)> progress;
};

/// Measures this machine with the instructions of target.isa, on the calling thread and on the whole team.
/// Throws ErrorCode::out_of_memory where the system refuses the buffer.
Machine measure_machine(const Target& target, ThreadTeam& team, const MachineOptions& options = {});

enum class ComputeUnit : uint8_t { fp32, bf16, int8 };
/// One peak alone, on the whole team, in Gflop/s: takes about rounds x run_seconds. Throws ErrorCode::unsupported where
/// measure_machine would give a reason instead of a value.
double measure_compute_peak(const Target& target, ThreadTeam& team, ComputeUnit unit, double run_seconds = 0.003,
                            int rounds = 15);

/// The document of `gregale machine --json`; missing values are null.
nlohmann::json to_json(const Machine& machine);
/// The machine such a document describes, or nothing where a key is missing or a value is not possible.
std::optional<Machine> machine_from_json(const nlohmann::json& document);

/// ${XDG_CACHE_HOME:-~/.cache}/gregale/machine.json; empty where neither variable holds an absolute path.
std::string machine_cache_path();
/// What the cache at `path` knows of this target (name, cores, caches and instruction set) with this many threads.
/// A file that is missing, unreadable or damaged knows nothing.
std::optional<Machine> load_machine(const std::string& path, const Target& target, int threads);
/// Adds the machine to the cache, in place of what it held for the same target and threads; a damaged cache is
/// replaced. Creates the folder. Throws ErrorCode::io.
void save_machine(const std::string& path, const Machine& machine);

}  // namespace gregale::kernels
