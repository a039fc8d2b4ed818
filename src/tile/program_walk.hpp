// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tile/tile_program.hpp"

namespace gregale::tile {

/// Where an operand's data begin, beyond its constant offset: panels count from where the phase's loops stand.
inline int64_t relative_offset(const TileProgram& program, const Operand& operand, const LoopIndex& at,
                               const LoopIndex& outer) {
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
