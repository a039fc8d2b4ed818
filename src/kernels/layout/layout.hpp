// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/dtype.hpp"
#include "kernels/common.hpp"

/// Moving elements without looking at them. `size` is the bytes of one element: 1, 2, 4, 8 or 16. These are the same
/// code on every ISA (memory-bound), so they take none.
namespace gregale::kernels {

/// dst: dense [extents...]; src has strides in elements, which may be 0 or negative (src points at the element of
/// index 0). Broadcasting, slicing with steps and reversal are all this.
void strided_copy(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src,
                  const int64_t* src_strides, void* dst);
/// The opposite: src dense [extents...], dst strided (no two indices may share an element).
void strided_store(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src, void* dst,
                   const int64_t* dst_strides);

/// dst[i0, i1, ...] has extents src_extents[permutation[i]], as numpy.transpose.
void transpose(ThreadTeam& team, int64_t size, int rank, const int64_t* src_extents, const int64_t* permutation,
               const void* src, void* dst);
/// Elements starts[i] + j steps[i], j below dst_extents[i]; steps positive or (reversal) negative.
void slice(ThreadTeam& team, int64_t size, int rank, const int64_t* src_extents, const int64_t* starts,
           const int64_t* steps, const int64_t* dst_extents, const void* src, void* dst);
/// reversed[i]: axis i runs backwards.
void reverse(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const bool* reversed, const void* src,
             void* dst);
void broadcast(ThreadTeam& team, int64_t size, int src_rank, const int64_t* src_extents, int dst_rank,
               const int64_t* dst_extents, const void* src, void* dst);

enum class PadMode : uint8_t { zero, periodic, reflect, edge };
/// low, high: elements added before and after each axis; in zero mode negative values crop. interior (zero mode; may be
/// null): zeros between neighbours. periodic and edge (which repeats the outermost element) need low, high >= 0
/// and an extent above 0 (they may exceed it); reflect leaves out the edge and needs low, high < extent. dst extent:
/// low + n + max(n - 1, 0) * interior + high.
void pad(ThreadTeam& team, int64_t size, PadMode mode, int rank, const int64_t* src_extents, const int64_t* low,
         const int64_t* high, const int64_t* interior, const void* src, void* dst);

/// Joins arrays along one axis: operand j is dense [outer, middle[j], inner].
void concat(ThreadTeam& team, int64_t size, int64_t outer, int64_t inner, int count, const int64_t* middle,
            const void* const* srcs, void* dst);

/// Indices as they lie in memory, i64 or i32; negative ones count from the end of the axis.
struct Indices {
  Indices(const int64_t* indices) : wide(indices) {}    // NOLINT: a pointer to indices is indices
  Indices(const int32_t* indices) : narrow(indices) {}  // NOLINT
  int64_t operator[](int64_t i) const { return wide != nullptr ? wide[i] : narrow[i]; }
  const int64_t* wide = nullptr;
  const int32_t* narrow = nullptr;
};

/// dst[o, j, i] = src[o, indices[j], i]: src [outer, n, inner], dst [outer, index_count, inner].
/// Returns false, with dst undefined, where an index is outside [-n, n). So do the others below.
bool gather(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
            Indices indices, const void* src, void* dst);
/// dst[o, j, i] = src[o, indices[o, j, i], i]: src [outer, n, inner], dst and indices [outer, count, inner].
bool gather_elements(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t count,
                     Indices indices, const void* src, void* dst);
/// dst[b, j, :] = src[b, indices[b, j, 0], indices[b, j, 1], ..., :]: src [batch, extents[0], ..., extents[depth - 1],
/// inner], indices [batch, count, depth], dst [batch, count, inner].
bool gather_nd(ThreadTeam& team, int64_t size, int64_t batch, int64_t count, int depth, const int64_t* extents,
               int64_t inner, Indices indices, const void* src, void* dst);

/// dst = src, then dst[o, indices[j], i] += updates[o, j, i] in the order of j. In place (dst == src) is fine. (f32;
/// deterministic: each element of dst is summed by one thread.)
bool scatter_add_f32(ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, int64_t index_count, Indices indices,
                     const float* src, const float* updates, float* dst);

/// What an update does to the element it meets. max and min keep NaN; integers wrap around.
enum class Scatter : uint8_t { none, add, mul, max, min };
/// Whether the two below can: `none` on every dtype, the others on real numbers.
bool scatter_supported(DType dtype, Scatter op);
/// dst = src, then dst[o, indices[o, j, i], i] is updated with updates[o, j, i] in the order of j: src [outer, n,
/// inner], indices and updates [outer, count, inner]. In place is fine.
bool scatter_elements(ThreadTeam& team, DType dtype, Scatter op, int64_t outer, int64_t n, int64_t inner, int64_t count,
                      Indices indices, const void* src, const void* updates, void* dst);
/// dst = src, then dst[b, indices[b, j, 0], ..., :] is updated with updates[b, j, :] in the order of j; extents as of
/// gather_nd. In place is fine.
bool scatter_nd(ThreadTeam& team, DType dtype, Scatter op, int64_t batch, int64_t count, int depth,
                const int64_t* extents, int64_t inner, Indices indices, const void* src, const void* updates,
                void* dst);

}  // namespace gregale::kernels
