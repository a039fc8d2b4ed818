// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "kernels/layout/strided.hpp"
#include "kernels/loops.hpp"

namespace gregale::kernels {
namespace {

struct Bytes16 {
  uint64_t words[2];
};

/// Side of the square tiles of a two-dimensional transpose: both sides of a tile stay in L1.
constexpr int64_t kTile = 32;

/// Rows whose innermost elements are `from` and `to` apart.
template <class T>
void copy_row(const T* src, int64_t from, T* dst, int64_t to, int64_t n) {
  if (to == 1 && from == 1) {
    std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(T));
  } else if (to == 1 && from == 0) {
    std::fill_n(dst, n, *src);
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i * to] = src[i * from];
  }
}

/// The dim, other than the last, along which src is contiguous; -1 where there is none.
int contiguous_dim(const Loops<2>& loops) {
  for (int i = 0; i + 1 < loops.rank; ++i) {
    if (loops.strides[i][0] == 1 && loops.extents[i] >= 4) return i;
  }
  return -1;
}

/// Tiles over dim `across` (contiguous in src) and the last dim (contiguous in dst).
template <class T>
void copy_tiles(ThreadTeam& team, const Loops<2>& loops, int across, const T* src, T* dst) {
  const int last = loops.rank - 1;
  const int64_t n = loops.extents[across], m = loops.extents[last];
  const int64_t tiles = (n + kTile - 1) / kTile;
  const int64_t from = loops.strides[last][0], to = loops.strides[across][1], step = loops.strides[last][1];
  int64_t others = 1;
  for (int i = 0; i < last; ++i) {
    if (i != across) others *= loops.extents[i];
  }
  const int64_t work = std::max<int64_t>(1, std::min(n, kTile) * m);
  parallel_for(team, others * tiles, std::max<int64_t>(1, kElementGrain / work), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t rest = t / tiles, in = 0, out = 0;
      for (int i = last - 1; i >= 0; --i) {
        if (i == across) continue;
        in += rest % loops.extents[i] * loops.strides[i][0];
        out += rest % loops.extents[i] * loops.strides[i][1];
        rest /= loops.extents[i];
      }
      const int64_t i0 = t % tiles * kTile, i1 = std::min(i0 + kTile, n);
      for (int64_t j0 = 0; j0 < m; j0 += kTile) {
        const int64_t j1 = std::min(j0 + kTile, m);
        for (int64_t i = i0; i < i1; ++i) {
          const T* a = src + in + i;
          T* b = dst + out + i * to;
          for (int64_t j = j0; j < j1; ++j) b[j * step] = a[j * from];
        }
      }
    }
  });
}

template <class T>
void copy_as(ThreadTeam& team, const Loops<2>& loops, const void* src, void* dst) {
  const T* from = static_cast<const T*>(src);
  T* to = static_cast<T*>(dst);
  const int last = loops.rank - 1;
  const int64_t from_step = loops.strides[last][0], to_step = loops.strides[last][1];
  const int across = from_step == 1 || from_step == 0 ? -1 : contiguous_dim(loops);
  if (across >= 0 && loops.inner() >= 4) return copy_tiles(team, loops, across, from, to);
  for_rows(team, loops,
           [&](const int64_t(&at)[2], int64_t n) { copy_row(from + at[0], from_step, to + at[1], to_step, n); });
}

}  // namespace

/// Both sides strided: what the public functions come to.
void copy_strided(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src,
                  const int64_t* src_strides, void* dst, const int64_t* dst_strides) {
  GREGALE_ASSERT(rank <= kMaxRank);
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 0) return;
  }
  const auto loops = collapse<2>(rank, extents, {src_strides, dst_strides});
  switch (size) {
    case 1:
      return copy_as<uint8_t>(team, loops, src, dst);
    case 2:
      return copy_as<uint16_t>(team, loops, src, dst);
    case 4:
      return copy_as<uint32_t>(team, loops, src, dst);
    case 8:
      return copy_as<uint64_t>(team, loops, src, dst);
    case 16:
      return copy_as<Bytes16>(team, loops, src, dst);
    default:
      GREGALE_ASSERT(!"element size is 1, 2, 4, 8 or 16");
  }
}

void strided_copy(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src,
                  const int64_t* src_strides, void* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t dst_strides[kMaxRank];
  dense_strides(rank, extents, dst_strides);
  copy_strided(team, size, rank, extents, src, src_strides, dst, dst_strides);
}

void strided_store(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const void* src, void* dst,
                   const int64_t* dst_strides) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t src_strides[kMaxRank];
  dense_strides(rank, extents, src_strides);
  copy_strided(team, size, rank, extents, src, src_strides, dst, dst_strides);
}

void transpose(ThreadTeam& team, int64_t size, int rank, const int64_t* src_extents, const int64_t* permutation,
               const void* src, void* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t dense[kMaxRank], extents[kMaxRank], strides[kMaxRank];
  dense_strides(rank, src_extents, dense);
  for (int i = 0; i < rank; ++i) {
    extents[i] = src_extents[permutation[i]];
    strides[i] = dense[permutation[i]];
  }
  strided_copy(team, size, rank, extents, src, strides, dst);
}

void slice(ThreadTeam& team, int64_t size, int rank, const int64_t* src_extents, const int64_t* starts,
           const int64_t* steps, const int64_t* dst_extents, const void* src, void* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t strides[kMaxRank];
  dense_strides(rank, src_extents, strides);
  int64_t first = 0;
  for (int i = 0; i < rank; ++i) {
    if (dst_extents[i] == 0) return;
    first += starts[i] * strides[i];
    strides[i] *= steps[i];
  }
  strided_copy(team, size, rank, dst_extents, static_cast<const char*>(src) + first * size, strides, dst);
}

void reverse(ThreadTeam& team, int64_t size, int rank, const int64_t* extents, const bool* reversed, const void* src,
             void* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t starts[kMaxRank], steps[kMaxRank];
  for (int i = 0; i < rank; ++i) {
    starts[i] = reversed[i] ? extents[i] - 1 : 0;
    steps[i] = reversed[i] ? -1 : 1;
  }
  slice(team, size, rank, extents, starts, steps, extents, src, dst);
}

void broadcast(ThreadTeam& team, int64_t size, int src_rank, const int64_t* src_extents, int dst_rank,
               const int64_t* dst_extents, const void* src, void* dst) {
  GREGALE_ASSERT(src_rank <= dst_rank && dst_rank <= kMaxRank);
  int64_t dense[kMaxRank], strides[kMaxRank];
  dense_strides(src_rank, src_extents, dense);
  for (int i = 0; i < dst_rank; ++i) {
    const int at = i - (dst_rank - src_rank);
    strides[i] = at < 0 || src_extents[at] == 1 ? 0 : dense[at];
  }
  strided_copy(team, size, dst_rank, dst_extents, src, strides, dst);
}

void concat(ThreadTeam& team, int64_t size, int64_t outer, int64_t inner, int count, const int64_t* middle,
            const void* const* srcs, void* dst) {
  int64_t total = 0;
  for (int j = 0; j < count; ++j) total += middle[j];
  const int64_t dst_strides[2] = {total * inner, 1};
  char* to = static_cast<char*>(dst);
  for (int j = 0; j < count; ++j) {
    const int64_t extents[2] = {outer, middle[j] * inner};
    strided_store(team, size, 2, extents, srcs[j], to, dst_strides);
    to += middle[j] * inner * size;
  }
}

}  // namespace gregale::kernels
