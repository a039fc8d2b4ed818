// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "kernels/layout/layout.hpp"

namespace gregale::kernels {
namespace {

bool all_inside(int64_t count, const int64_t* indices, int64_t n) {
  for (int64_t j = 0; j < count; ++j) {
    if (indices[j] < 0 || indices[j] >= n) return false;
  }
  return true;
}

/// Columns of scatter_add that one task owns.
constexpr int64_t kColumns = 1024;

}  // namespace

bool gather(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
            const int64_t* indices, const void* src, void* dst) {
  if (!all_inside(index_count, indices, n)) return false;
  const int64_t block = inner * size;
  if (outer * index_count == 0 || block == 0) return true;
  const char* from = static_cast<const char*>(src);
  char* to = static_cast<char*>(dst);
  parallel_for(team, outer * index_count, std::max<int64_t>(1, kElementGrain * 4 / block),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t t = begin; t < end; ++t) {
                   const char* row = from + (t / index_count * n + indices[t % index_count]) * block;
                   std::memcpy(to + t * block, row, static_cast<size_t>(block));
                 }
               });
  return true;
}

bool scatter_add_f32(ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
                     const int64_t* indices, const float* src, const float* updates, float* dst) {
  if (!all_inside(index_count, indices, n)) return false;
  const int64_t blocks = (inner + kColumns - 1) / kColumns;
  const int64_t work = std::max<int64_t>(1, std::min(inner, kColumns) * (n + index_count));
  parallel_for(team, outer * blocks, std::max<int64_t>(1, kElementGrain / work), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t column = t % blocks * kColumns, width = std::min(kColumns, inner - column);
      float* out = dst + t / blocks * n * inner + column;
      const float* in = updates + t / blocks * index_count * inner + column;
      if (dst != src) {
        const float* base = src + t / blocks * n * inner + column;
        for (int64_t i = 0; i < n; ++i)
          std::memcpy(out + i * inner, base + i * inner, static_cast<size_t>(width) * sizeof(float));
      }
      for (int64_t j = 0; j < index_count; ++j) {
        float* row = out + indices[j] * inner;
        for (int64_t i = 0; i < width; ++i) row[i] += in[j * inner + i];
      }
    }
  });
  return true;
}

}  // namespace gregale::kernels
