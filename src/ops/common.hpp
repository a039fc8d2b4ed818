// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <vector>

#include "gregale/ops.hpp"

/// What the files of this folder share: checks of operands, walks over broadcast operands, gradient and sample helpers.
namespace gregale::ops {

// --- checks, worded "[op] ..." ---

/// Throws "[op] x has dtype i64; expected a real float".
void check_real_float(const NodeView& node, int64_t input);
/// Real float or complex.
void check_float(const NodeView& node, int64_t input);
void check_dtype(const NodeView& node, int64_t input, DType expected);
/// Throws "[op] a is f32 but b is i64".
void check_same_dtype(const NodeView& node, int64_t first, int64_t second);
/// Throws "[op] d_y is f32[3], not f32[4] as y".
void check_same_type(const NodeView& node, int64_t first, int64_t second);
/// Axes normalised to [0, rank), sorted; empty means all. Duplicates are an error.
std::vector<int64_t> normalize_axes(const std::vector<int64_t>& axes, int64_t rank, std::string_view who);

/// Refuses a lowering: "f32 needed, not f64", "shape is symbolic".
Error refuse(const NodeView& node, std::string reason);
/// The target's kernels, or a cache of the caller's own where the target comes without.
std::shared_ptr<kernels::KernelCache> kernel_cache(const Target& target);
/// True when all operands and results have constant shapes and are dense.
bool is_static(const NodeView& node);

// --- walks ---

/// Row-major strides, in elements.
Extents row_major_strides(const Extents& extents);
/// Strides that walk a tensor of extents `from` as if it had been broadcast to `to` (0 along broadcast axes).
Extents broadcast_strides(const Extents& from, const Extents& to);

/// Calls body(i, offsets) for every i-th element of `extents` in row-major order; offsets[k] advances by strides[k].
template <size_t N, class Body>
void for_each_element(const Extents& extents, const std::array<Extents, N>& strides, Body&& body) {
  const size_t rank = extents.size();
  int64_t count = 1;
  for (int64_t e : extents) count *= e;
  Extents index(rank, 0);
  std::array<int64_t, N> offsets{};
  for (int64_t i = 0; i < count; ++i) {
    body(i, offsets);
    for (size_t axis = rank; axis-- > 0;) {
      for (size_t k = 0; k < N; ++k) offsets[k] += strides[k][axis];
      if (++index[axis] < extents[axis]) break;
      for (size_t k = 0; k < N; ++k) offsets[k] -= strides[k][axis] * extents[axis];
      index[axis] = 0;
    }
  }
}

/// The elements along one axis, the other indices fixed.
struct Lane {
  int64_t begin = 0, stride = 1, count = 0;
  size_t at(int64_t i) const { return static_cast<size_t>(begin + i * stride); }
};
/// A dense array as [outer, count, inner] around an axis.
struct AxisView {
  int64_t outer = 1, count = 1, inner = 1;
};
AxisView axis_split(const Extents& extents, int64_t axis);
inline AxisView axis_split(const Type& type, int64_t axis) { return axis_split(type.shape.extents(), axis); }

template <class Body>
void for_each_lane(const Extents& extents, int64_t axis, Body&& body) {
  const AxisView s = axis_split(extents, axis);
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) body(Lane{o * s.count * s.inner + i, s.inner, s.count});
}

// --- gradients ---

/// The cotangent d of a broadcast operand, summed to the shape of `like`.
Value reduce_like(Graph& g, Value d, Value like);
/// conj(z) where z is complex, else z itself.
Value conj_if_complex(Graph& g, Value z);
/// The reason most integer and boolean operators give.
inline constexpr const char* kNoGradientBoolean = "the result is boolean";

// --- samples: deterministic values from the counter-based generator, f64 or c128 ---

/// Uniform in [low, high).
Tensor sample_uniform(Extents extents, uint32_t stream, double low = -2, double high = 2);
/// Uniform in [low, high) but at least `gap` away from zero.
Tensor sample_away_from_zero(Extents extents, uint32_t stream, double gap, double low = -2, double high = 2);
/// 1.25 or -1.25: divisors of which no multiple is near what `sample_distinct` gives with a small offset.
Tensor sample_ones(Extents extents, uint32_t stream);
/// A shuffle of successive multiples of 0.125 around zero, plus `offset`: no two are equal.
Tensor sample_distinct(Extents extents, uint32_t stream, double offset = 0);
/// Halves of small integers, so that ties are common.
Tensor sample_ties(Extents extents, uint32_t stream);
Tensor sample_complex(Extents extents, uint32_t stream);
Tensor sample_integers(Extents extents, uint32_t stream, int64_t low = -9, int64_t high = 10);
Tensor sample_booleans(Extents extents, uint32_t stream);

}  // namespace gregale::ops
