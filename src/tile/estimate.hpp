// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/graph.hpp"
#include "kernels/machine/machine.hpp"
#include "tile/lower_region.hpp"

/// How long a tile program takes, in closed form: the greatest of the times that its arithmetic, the bytes its calls
/// touch and the bytes past L2 take, and the calls and barriers beside them. It ranks schedules; it has no part in what
/// a program computes.
namespace gregale::tile {

/// What a machine does in a second. One core's, but for memory, which all share.
struct Rates {
  double f32_flops = 0, bf16_flops = 0;  ///< of contractions
  double l2_bytes = 0, l3_bytes = 0;
  double memory_bytes = 0;
  double call_seconds = 10e-9;    ///< of a kernel's call, addresses included
  double barrier_seconds = 4e-6;  ///< to wake the threads of a region and to wait for the last
  bool measured = false;          ///< from figures of this machine
};

/// From the instruction set and the number of cores alone, at 3 GHz: it knows that AVX-512 multiplies twice as fast as
/// AVX2, not how fast this memory is.
Rates rates_of(const Target& target);
/// From what was measured on this machine (`gregale machine`). It has no figure for L3: that is taken to be the
/// geometric mean of L2 and memory.
Rates rates_of(const Target& target, const kernels::Machine& machine);

struct Estimate {
  double seconds = 0;
  // Its parts, each as if it were alone on all cores.
  double compute = 0, cache = 0, memory = 0, overhead = 0;
};

Estimate estimate(const TileProgram& program, const Target& target, const Rates& rates);

/// A schedule that is worth a measurement.
struct ScheduleCandidate {
  ScheduleChoice choice;
  LoweredRegion region;
  double seconds = 0;  ///< as estimated
};

/// The formulas' own schedule first, then those around it that are estimated to take little longer than the best, the
/// most promising first: `most` in all. Empty where the region has no program.
std::vector<ScheduleCandidate> schedule_candidates(const Graph& region, const Target& target,
                                                   const std::vector<Given>& given, const Rates& rates,
                                                   size_t most = 6);

}  // namespace gregale::tile
