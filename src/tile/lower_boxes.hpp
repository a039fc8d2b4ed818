// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tile/lower_region.hpp"

namespace gregale::tile {

/// A region of elementwise operators, slices and pads that ends in results of the same shape or in sums over axes.
///
/// All that is computed element by element runs in one phase over blocks of one space, which is as large as the largest
/// value. Each value is a stage of its own in the box it fills; where padding begins or ends, boxes are divided, so
/// that inside each the result is one expression over shifted operands. So stages that look at the same memory in
/// shifted windows take it from the cache. Sums leave a partial for every block, a function of the shape alone, and a
/// second phase adds these in f64, in order: bits depend on shapes, never on threads. Refuses with a reason where the
/// region has no such program.
Result<LoweredRegion> lower_boxes(const Graph& region, const Target& target);

/// Whether a sum is one of these: over more than the last axis, along which whole rows are summed at once.
bool sums_over_boxes(const Graph& graph, const Node& node);
/// Whether a region has such sums, or looks at neighbours of what it computes.
bool wants_boxes(const Graph& region);

}  // namespace gregale::tile
