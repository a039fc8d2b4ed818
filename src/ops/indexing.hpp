// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "ops/common.hpp"
#include "ops/shapes.hpp"

/// What gathers and scatters share: indices, and what an update does.
namespace gregale::ops {

inline constexpr const char* kIndicesDoc = "i64 or i32; negative ones count from the end of the axis";

/// Throws "[gather] indices has dtype f32; expected i64 or i32".
void check_indices(const NodeView& node, int64_t input);
/// An index of the axis counted from its front; throws "[gather] index 3 is out of range for axis 1 of extent 3".
int64_t wrapped_index(const NodeView& node, int64_t index, int64_t axis, int64_t extent);
kernels::Indices indices_of(DType dtype, const void* data);

/// The attribute `reduction`; throws where it is none, or none for input 0's dtype.
kernels::Scatter reduction_of(const NodeView& node);
AttributeDef reduction_attribute();
/// Throws ErrorCode::unsupported for a reduction that is neither none nor add.
void check_scatter_gradient(const NodeView& node, kernels::Scatter op);

/// `to` updated with `update`; u64 by its bits.
template <class T>
T updated(kernels::Scatter op, T to, T update, bool is_unsigned) {
  using kernels::Scatter;
  if (op == Scatter::none) return update;
  if constexpr (std::is_same_v<T, int64_t>) {  // integers wrap around
    const auto a = static_cast<uint64_t>(to), b = static_cast<uint64_t>(update);
    if (op == Scatter::add) return static_cast<int64_t>(a + b);
    if (op == Scatter::mul) return static_cast<int64_t>(a * b);
    const bool less = is_unsigned ? a < b : to < update;
    return less == (op == Scatter::max) ? update : to;
  } else {
    if (op == Scatter::add) return to + update;
    if (op == Scatter::mul) return to * update;
    if constexpr (std::is_same_v<T, double>) {
      if (std::isnan(to) || std::isnan(update)) return NAN;
      return op == Scatter::max ? std::max(to, update) : std::min(to, update);
    } else {
      return to;
    }
  }
}

/// The operands of gather_nd and scatter_nd as [batch, extents..., inner], [batch, count, depth] and [batch, count,
/// inner].
struct IndexedRows {
  int64_t batch = 1, count = 1, inner = 1;
  Extents extents;
};
IndexedRows indexed_rows(const NodeView& node, const Extents& x, const Extents& indices);
/// The shape that gather_nd gives and that scatter_nd's updates have; checks x and indices.
Shape gathered_shape(const NodeView& node);
/// Row of x that the j-th of all index tuples names.
int64_t indexed_row(const NodeView& node, const IndexedRows& rows, const std::vector<int64_t>& indices, int64_t j);

}  // namespace gregale::ops
