// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "tile/tile_program.hpp"

namespace gregale::tile {

/// The dims that a schedule or a stage's loops name, outermost first.
inline std::vector<int> letters_of(const std::string& loops) {
  std::vector<int> dims;
  for (const char c : loops)
    if (std::isalpha(static_cast<unsigned char>(c)) != 0)
      dims.push_back(std::tolower(static_cast<unsigned char>(c)) - 'a');
  return dims;
}

/// A loop as formulas see it: how often it runs on average, a last and shorter step counted as the part it is.
struct Trips {
  int dim = 0;
  double trips = 1;
  double step = 1;
};

/// The loops that `loops` names, outermost first. `used`: how many loops of each dim stand outside; these are added.
inline std::vector<Trips> trips_of(const TileProgram& program, const std::string& loops, std::vector<size_t>& used) {
  std::vector<Trips> trips;
  for (const int d : letters_of(loops)) {
    const Dim& dim = program.dims[static_cast<size_t>(d)];
    const size_t level = used[static_cast<size_t>(d)]++;
    const auto span = static_cast<double>(level == 0 ? dim.extent : std::min(dim.extent, dim.steps[level - 1]));
    const auto step = static_cast<double>(dim.steps[level]);
    trips.push_back({d, std::max(1.0, span / step), step});
  }
  return trips;
}

/// The sizes of a whole (not a tail) call inside those loops.
inline CallSizes whole_sizes(const TileProgram& program, const Stage& stage, const Call& call,
                             const std::vector<size_t>& used) {
  LoopIndex at;
  for (size_t d = 0; d < program.dims.size(); ++d) {
    const Dim& dim = program.dims[d];
    at.size[d] = dim.extent;
    for (const Range& range : stage.box)
      if (range.dim == static_cast<int32_t>(d)) at.size[d] = range.end - range.begin;
    if (used[d] > 0) at.size[d] = std::min(at.size[d], dim.steps[used[d] - 1]);
  }
  return sizes_of(call, at);
}

/// Where an operand's data begin, beyond its constant offset: panels count from where the phase's loops stand.
inline int64_t relative_offset(const TileProgram& program, const Operand& operand, const LoopIndex& at,
                               const LoopIndex& outer) {
  if (operand.by_step) {
    int64_t offset = 0;
    for (size_t d = 0; d < operand.strides.size(); ++d)
      if (operand.strides[d] != 0) offset += operand.strides[d] * (outer.begin[d] / program.dims[d].steps.back());
    return offset;
  }
  const bool panel = program.buffers[static_cast<size_t>(operand.buffer)].scope == Scope::panel;
  int64_t offset = 0;
  for (size_t d = 0; d < operand.strides.size(); ++d)
    offset += operand.strides[d] * (at.begin[d] - (panel ? outer.begin[d] : 0));
  return offset;
}

/// Whether a contraction's sums are complete after this step.
inline bool is_complete(const TileProgram& program, const Contract& c, const LoopIndex& at) {
  return c.sum < 0 || at.begin[c.sum] + at.size[c.sum] >= program.dims[static_cast<size_t>(c.sum)].extent;
}

inline bool holds(const When& when, const LoopIndex& at, const LoopIndex& outer) {
  if (when.kind == When::Kind::always) return true;
  const int d = when.dim;
  if (when.kind == When::Kind::first) return at.begin[d] == outer.begin[d];
  return at.begin[d] + at.size[d] == outer.begin[d] + outer.size[d];
}

}  // namespace gregale::tile
