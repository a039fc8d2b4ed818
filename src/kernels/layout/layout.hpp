// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

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

enum class PadMode : uint8_t { zero, periodic, reflect };
/// low, high: elements added before and after each axis; in zero mode negative values crop. interior (zero mode; may be
/// null): zeros between neighbours. periodic needs low, high >= 0 and an extent above 0 (they may exceed it); reflect
/// leaves out the edge and needs low, high < extent. dst extent: low + n + max(n - 1, 0) * interior + high.
void pad(ThreadTeam& team, int64_t size, PadMode mode, int rank, const int64_t* src_extents, const int64_t* low,
         const int64_t* high, const int64_t* interior, const void* src, void* dst);

/// Joins arrays along one axis: operand j is dense [outer, middle[j], inner].
void concat(ThreadTeam& team, int64_t size, int64_t outer, int64_t inner, int count, const int64_t* middle,
            const void* const* srcs, void* dst);

/// dst[o, j, i] = src[o, indices[j], i]: src [outer, n, inner], dst [outer, index_count, inner].
/// Returns false, with dst undefined, where an index is outside [0, n).
bool gather(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
            const int64_t* indices, const void* src, void* dst);
/// dst = src, then dst[o, indices[j], i] += updates[o, j, i] in the order of j. In place (dst == src) is fine. Returns
/// false where an index is outside [0, n). (f32; deterministic: each element of dst is summed by one thread.)
bool scatter_add_f32(ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
                     const int64_t* indices, const float* src, const float* updates, float* dst);

}  // namespace gregale::kernels
