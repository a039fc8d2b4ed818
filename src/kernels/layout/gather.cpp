// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/layout/layout.hpp"

namespace gregale::kernels {
namespace {

/// Calls body(bytes) with the bytes of an element or row as a constant where they are few, so that moving one is an
/// instruction instead of a call.
template <class Body>
void with_bytes(int64_t bytes, Body&& body) {
  switch (bytes) {
    case 1:
      return body(std::integral_constant<size_t, 1>());
    case 2:
      return body(std::integral_constant<size_t, 2>());
    case 4:
      return body(std::integral_constant<size_t, 4>());
    case 8:
      return body(std::integral_constant<size_t, 8>());
    case 16:
      return body(std::integral_constant<size_t, 16>());
    default:
      return body(static_cast<size_t>(bytes));
  }
}

int64_t grain_of(int64_t block) { return std::max<int64_t>(1, kElementGrain * 4 / std::max<int64_t>(block, 1)); }

}  // namespace

bool gather(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t index_count,
            Indices indices, const void* src, void* dst) {
  for (int64_t j = 0; j < index_count; ++j)
    if (indices[j] < -n || indices[j] >= n) return false;
  const int64_t block = inner * size;
  if (outer * index_count == 0 || block == 0) return true;
  with_bytes(block, [&](auto bytes) {
    parallel_for(team, outer * index_count, grain_of(block), [&](int64_t begin, int64_t end, int) {
      int64_t j = begin % index_count;
      const char* from = static_cast<const char*>(src) + begin / index_count * n * block;
      char* to = static_cast<char*>(dst) + begin * block;
      for (int64_t t = begin; t < end; ++t, to += block) {
        const int64_t at = indices[j];
        std::memcpy(to, from + (at < 0 ? at + n : at) * block, bytes);
        if (++j == index_count) {
          j = 0;
          from += n * block;
        }
      }
    });
  });
  return true;
}

bool gather_elements(ThreadTeam& team, int64_t size, int64_t outer, int64_t n, int64_t inner, int64_t count,
                     Indices indices, const void* src, void* dst) {
  std::atomic<bool> inside{true};
  if (outer * count * inner == 0) return true;
  with_bytes(size, [&](auto bytes) {
    parallel_for(team, outer * count, grain_of(inner * size), [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        const char* from = static_cast<const char*>(src) + t / count * n * inner * size;
        char* to = static_cast<char*>(dst) + t * inner * size;
        for (int64_t i = 0; i < inner; ++i) {
          const int64_t at = indices[t * inner + i];
          if (at < -n || at >= n) return inside.store(false, std::memory_order_relaxed);
          std::memcpy(to + i * size, from + ((at < 0 ? at + n : at) * inner + i) * size, bytes);
        }
      }
    });
  });
  return inside;
}

bool gather_nd(ThreadTeam& team, int64_t size, int64_t batch, int64_t count, int depth, const int64_t* extents,
               int64_t inner, Indices indices, const void* src, void* dst) {
  std::atomic<bool> inside{true};
  const int64_t block = inner * size;
  if (batch * count == 0) return true;
  int64_t elements = 1;
  for (int a = 0; a < depth; ++a) elements *= extents[a];
  with_bytes(block, [&](auto bytes) {
    parallel_for(team, batch * count, grain_of(block), [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        int64_t row = 0;
        for (int a = 0; a < depth; ++a) {
          const int64_t n = extents[a], at = indices[t * depth + a];
          if (at < -n || at >= n) return inside.store(false, std::memory_order_relaxed);
          row = row * n + (at < 0 ? at + n : at);
        }
        if (block > 0)
          std::memcpy(static_cast<char*>(dst) + t * block,
                      static_cast<const char*>(src) + (t / count * elements + row) * block, bytes);
      }
    });
  });
  return inside;
}

}  // namespace gregale::kernels
