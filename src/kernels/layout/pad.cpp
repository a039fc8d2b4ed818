// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/layout/layout.hpp"
#include "kernels/layout/strided.hpp"
#include "kernels/loops.hpp"

namespace gregale::kernels {
namespace {

/// Where element `at` of a padded axis comes from.
int64_t source_of(PadMode mode, int64_t at, int64_t low, int64_t n) {
  int64_t i = at - low;
  if (mode == PadMode::edge) return std::clamp<int64_t>(i, 0, n - 1);
  if (mode == PadMode::periodic) {
    i %= n;
    return i < 0 ? i + n : i;
  }
  if (i < 0) i = -i;
  return i < n ? i : 2 * (n - 1) - i;
}

void pad_zero(ThreadTeam& team, int64_t size, int rank, const int64_t* src_extents, const int64_t* low,
              const int64_t* interior, const int64_t* dst_extents, const void* src, void* dst) {
  int64_t src_strides[kMaxRank], dst_strides[kMaxRank], extents[kMaxRank];
  dense_strides(rank, src_extents, src_strides);
  dense_strides(rank, dst_extents, dst_strides);
  const int64_t total = rank == 0 ? 1 : dst_strides[0] * dst_extents[0];
  parallel_for(team, total * size, kElementGrain * 8, [&](int64_t begin, int64_t end, int) {
    std::memset(static_cast<char*>(dst) + begin, 0, static_cast<size_t>(end - begin));
  });
  int64_t from = 0, to = 0;
  for (int i = 0; i < rank; ++i) {
    const int64_t step = 1 + (interior != nullptr ? interior[i] : 0);
    const int64_t first = low[i] < 0 ? (-low[i] + step - 1) / step : 0;  // source elements that land inside
    const int64_t room = dst_extents[i] - low[i];
    const int64_t last = std::min(src_extents[i], room <= 0 ? 0 : (room - 1) / step + 1);
    extents[i] = std::max<int64_t>(0, last - first);
    if (extents[i] == 0) return;
    from += first * src_strides[i];
    to += (low[i] + first * step) * dst_strides[i];
    dst_strides[i] *= step;
  }
  copy_strided(team, size, rank, extents, static_cast<const char*>(src) + from * size, src_strides,
               static_cast<char*>(dst) + to * size, dst_strides);
}

}  // namespace

void pad(ThreadTeam& team, int64_t size, PadMode mode, int rank, const int64_t* src_extents, const int64_t* low,
         const int64_t* high, const int64_t* interior, const void* src, void* dst) {
  GREGALE_ASSERT(rank <= kMaxRank);
  int64_t extents[kMaxRank];
  int64_t rows = 1;
  int last = -1;  // the innermost padded axis; everything below it moves as one block
  for (int i = 0; i < rank; ++i) {
    const int64_t gaps = interior != nullptr ? std::max<int64_t>(src_extents[i] - 1, 0) * interior[i] : 0;
    extents[i] = low[i] + src_extents[i] + gaps + high[i];
    if (extents[i] <= 0) return;
    if (extents[i] != src_extents[i] || low[i] != 0) last = i;
  }
  if (mode == PadMode::zero) return pad_zero(team, size, rank, src_extents, low, interior, extents, src, dst);
  int64_t block = size;
  for (int i = last + 1; i < rank; ++i) block *= extents[i];
  if (last < 0) {
    std::memcpy(dst, src, static_cast<size_t>(block));
    return;
  }
  for (int i = 0; i < last; ++i) rows *= extents[i];
  const int64_t n = src_extents[last], width = extents[last];
  parallel_for(
      team, rows, std::max<int64_t>(1, kElementGrain * 4 / (width * block)), [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          int64_t rest = row, from = 0, stride = n;
          for (int i = last - 1; i >= 0; --i) {
            from += source_of(mode, rest % extents[i], low[i], src_extents[i]) * stride;
            stride *= src_extents[i];
            rest /= extents[i];
          }
          const char* in = static_cast<const char*>(src) + from * block;
          char* out = static_cast<char*>(dst) + row * width * block;
          const auto edge = [&](int64_t j) {
            std::memcpy(out + j * block, in + source_of(mode, j, low[last], n) * block, static_cast<size_t>(block));
          };
          for (int64_t j = 0; j < low[last]; ++j) edge(j);
          std::memcpy(out + low[last] * block, in, static_cast<size_t>(n * block));
          for (int64_t j = low[last] + n; j < width; ++j) edge(j);
        }
      });
}

}  // namespace gregale::kernels
