// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/contraction/contraction_kernel.hpp"

namespace gregale::tile {

/// What one fused group becomes: a loop nest over tile primitives. It holds descriptors, never function pointers, so
/// that it prints, parses, can be costed in closed form and can be emitted as C.

/// An extent in the graph's symbolic dims: constant + sum of coefficient * product of symbols, e.g. 64 * n.
struct Extent {
  struct Term {
    int64_t coefficient = 1;
    std::vector<std::string> symbols;
  };
  int64_t constant = 0;
  std::vector<Term> terms;
  int64_t bound = 0;  ///< greatest value, for planning
};

/// A named loop dimension with its tile sizes, outermost first.
struct LoopDim {
  std::string name;
  Extent extent;
  std::vector<int64_t> tiles;
};

/// Where a buffer lives: the level whose bytes it costs.
enum class Scope : uint8_t { storage, memory, l2_panel, l1_tile, accumulator };

struct Buffer {
  std::string name;
  Scope scope = Scope::memory;
  DType dtype = DType::f32;
  std::vector<Extent> extents;
  /// Component of an encoded value ("hi", "scales"); empty for dense.
  std::string component;
};

/// The part of a buffer one call touches: per buffer axis, an affine function of the loop dims and a length.
struct Subset {
  int32_t buffer = 0;
  struct Axis {
    int64_t offset = 0;
    std::vector<std::pair<int32_t, int64_t>> loop_strides;  ///< (loop dim, elements a step)
    int64_t length = 1;
  };
  std::vector<Axis> axes;
};

/// One call of a tile primitive, or an explicit copy between scopes, at a depth of the nest.
struct Call {
  enum class Kind : uint8_t { primitive, copy } kind = Kind::primitive;
  int32_t descriptor = 0;
  std::vector<Subset> operands;
  int32_t depth = 0;  ///< how many loops surround it
};

/// `schedule` orders, blocks and parallelises the loops: a letter a dim in nesting order, upper case in parallel,
/// repeated once per tiling level (Georganas et al., "Harnessing deep learning and HPC kernels via high-level loop and
/// tensor abstractions on CPU architectures", IPDPS 2024).
struct TileProgram {
  std::string name;
  std::vector<LoopDim> dims;
  std::string schedule;
  std::vector<std::variant<kernels::ContractionDesc, kernels::ExpressionDesc>> descriptors;
  std::vector<Buffer> buffers;
  std::vector<Call> calls;
};

}  // namespace gregale::tile
