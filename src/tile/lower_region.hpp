// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/graph.hpp"
#include "gregale/op.hpp"
#include "tile/schedule_choice.hpp"
#include "tile/tile_program.hpp"

namespace gregale::tile {

/// A fused group as a tile program.
///
/// The group's operators share the rows of their results: every axis but the last. So a block of rows goes through all
/// of them, one after another, before the next block is begun: products take their rows of a from the block, whole rows
/// can be normalised, and what one operator hands to the next stays in a panel of the thread's cache. Operators that
/// only move elements become strides of operands and results. What is multiplied from the right (weights, keys and
/// values of attention) comes from outside the group; it is packed by an earlier phase, or beforehand where it is
/// constant.
struct LoweredRegion {
  TileProgram program;  ///< arguments: the region's inputs, then its outputs
  /// Inputs that the program wants packed: a program from the dense input to what the argument holds.
  struct Packed {
    int32_t input = 0;
    TileProgram pack;
  };
  std::vector<Packed> packed;
  double flops = 0;
  ScheduleFreedom freedom;
};

/// The tile program of a region whose extents are constant; refuses with a reason where there is none. `constant` tells
/// which inputs never change, so that they may be packed beforehand (empty: none). `choice` changes what the program
/// costs, never a bit of its results.
/// What is known of a region's input when it is lowered.
enum class Given : uint8_t {
  later,     ///< nothing
  constant,  ///< it never changes, so that it may be packed once
  bytes,  ///< the same, bf16 whose elements are whole numbers from -128 to 127: a few rows may be multiplied by bytes
  in_parts,  ///< the same, and three parts in bf16 sum to each of its elements: the tile unit may multiply it (fp32x3)
};
/// Of an input with these elements; null where they are not known. `in_parts`: the tile unit may be asked.
Given given(const Tensor* constant, const Target& target, bool in_parts);
/// Of all operands of a node, which are a region's inputs.
std::vector<Given> given_of(const NodeView& node, const Target& target, bool in_parts);

Result<LoweredRegion> lower_region(const Graph& region, const Target& target, const std::vector<Given>& given = {},
                                   const ScheduleChoice& choice = {});

}  // namespace gregale::tile
