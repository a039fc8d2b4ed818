// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "gregale/ops.hpp"

/// What the operators that move elements share: checks of their attributes, and what their lowerings need.
namespace gregale::ops {

/// Axes normalised to [0, rank) in the order given; throws "[who] axis 1 is named twice".
std::vector<int64_t> distinct_axes(const std::vector<int64_t>& axes, int64_t rank, std::string_view who);
/// The attribute `axis`, normalised for input 0.
int64_t axis_of(const NodeView& node);
/// An integers attribute with one entry an axis of input 0; throws "[slice] starts has 3 entries for rank 2".
const std::vector<int64_t>& per_axis(const NodeView& node, std::string_view attribute);
/// Throws "[concat] x must have rank 4, not 2".
void check_rank(const NodeView& node, int64_t input, int64_t rank);
/// a + b * c for hostile attributes: throws "[who] extent overflows".
int64_t extent_sum(int64_t a, int64_t b, int64_t c, std::string_view who);

/// Zeros of the type of `like`: a constant scalar, broadcast (to the value itself only where its shape is symbolic).
Value zeros_like(Graph& g, Value like);

/// A row-major array seen as [outer, extent, inner] around one axis.
struct AxisSplit {
  int64_t outer = 1, extent = 1, inner = 1;
};
AxisSplit split_at(const Extents& extents, int64_t axis);

/// Why a kernel that moves bytes cannot serve the node (symbolic dims, rank above the kernels' limit), if so.
std::optional<Error> refuse_move(const NodeView& node);

/// Bytes of operands and results once, no flops.
Cost cost_of_move(const NodeView& node);

}  // namespace gregale::ops
