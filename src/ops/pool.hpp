// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/ops.hpp"

/// What pool and pool_argmax share: windows over the axes behind batch and channels.
namespace gregale::ops {

/// One axis of a window.
struct PoolAxis {
  int64_t in = 1, out = 1, taps = 1, stride = 1, dilation = 1, before = 0, after = 0;
  int64_t begin(int64_t o) const { return o * stride - before; }
  /// The taps of window `o` that lie in the image are [first_tap, end_tap).
  int64_t first_tap(int64_t o) const { return begin(o) >= 0 ? 0 : (-begin(o) - 1) / dilation + 1; }
  int64_t end_tap(int64_t o) const { return taps_below(o, in); }
  /// How many of its elements count in an average.
  int64_t count(int64_t o, bool with_padding) const {
    const int64_t n = with_padding ? taps_below(o, in + after) : end_tap(o) - first_tap(o);
    return n < 1 ? 1 : n;
  }

 private:
  int64_t taps_below(int64_t o, int64_t limit) const {
    if (begin(o) >= limit) return 0;
    const int64_t n = (limit - 1 - begin(o)) / dilation + 1;
    return n < taps ? n : taps;
  }
};

/// Attributes kernel, strides, pads, dilations and ceil_mode.
std::vector<AttributeDef> pool_attributes();
Attributes to_attributes(const PoolOptions& options);
/// The geometry over operand 0; throws where the attributes do not fit it.
std::vector<PoolAxis> pool_axes(const NodeView& node);
/// The shape of the result.
Shape pooled_shape(const NodeView& node);

/// Calls body(output, input) with the indices in their planes of every element of every window.
template <class Body>
void for_each_tap(const std::vector<PoolAxis>& axes, Body&& body) {
  int64_t outputs = 1;
  for (const PoolAxis& a : axes) outputs *= a.out;
  const size_t rank = axes.size();
  Extents at(rank), tap(rank);
  for (int64_t o = 0; o < outputs; ++o) {
    int64_t rest = o;
    bool any = true;
    for (size_t i = rank; i-- > 0; rest /= axes[i].out) {
      at[i] = rest % axes[i].out;
      tap[i] = axes[i].first_tap(at[i]);
      any = any && tap[i] < axes[i].end_tap(at[i]);
    }
    while (any) {
      int64_t from = 0;
      for (size_t i = 0; i < rank; ++i) from = from * axes[i].in + axes[i].begin(at[i]) + tap[i] * axes[i].dilation;
      body(o, from);
      size_t i = rank;
      while (i-- > 0) {
        if (++tap[i] < axes[i].end_tap(at[i])) break;
        tap[i] = axes[i].first_tap(at[i]);
      }
      any = i != static_cast<size_t>(-1);
    }
  }
}

/// The least number of an integer dtype, as references have it.
int64_t least_of(DType dtype);

/// Elements of a plane, of the image and of the result.
int64_t plane_of(const std::vector<PoolAxis>& axes);
int64_t pooled_plane_of(const std::vector<PoolAxis>& axes);

}  // namespace gregale::ops
