// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_transpose.hpp"

#include <cstring>

namespace gregale::kernels {
namespace {

using Four = uint32_t __attribute__((vector_size(16)));
using Two = uint64_t __attribute__((vector_size(16)));

template <class Vector>
Vector load(const char* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class Vector>
void store(char* to, Vector v) {
  std::memcpy(to, &v, sizeof v);
}

/// Blocks whose rows fit one SSE register, the rest element by element. Steps are in bytes.
template <class Element>
void transpose(int64_t rows, int64_t columns, const char* src, int64_t src_step, char* dst, int64_t dst_step) {
  constexpr int64_t kBytes = sizeof(Element), kSide = 16 / kBytes;
  int64_t row = 0;
  for (; row + kSide <= rows; row += kSide) {
    int64_t column = 0;
    for (; column + kSide <= columns; column += kSide) {
      const char* from = src + row * src_step + column * kBytes;
      char* to = dst + column * dst_step + row * kBytes;
      if constexpr (kSide == 4) {
        const Four r0 = load<Four>(from), r1 = load<Four>(from + src_step), r2 = load<Four>(from + 2 * src_step),
                   r3 = load<Four>(from + 3 * src_step);
        const Four low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5),
                   high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
        const Four low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5),
                   high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
        store(to, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
        store(to + dst_step, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
        store(to + 2 * dst_step, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
        store(to + 3 * dst_step, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
      } else {
        const Two r0 = load<Two>(from), r1 = load<Two>(from + src_step);
        store(to, __builtin_shufflevector(r0, r1, 0, 2));
        store(to + dst_step, __builtin_shufflevector(r0, r1, 1, 3));
      }
    }
    for (; column < columns; ++column) {
      for (int64_t i = row; i < row + kSide; ++i) {
        std::memcpy(dst + column * dst_step + i * kBytes, src + i * src_step + column * kBytes, kBytes);
      }
    }
  }
  for (; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      std::memcpy(dst + column * dst_step + row * kBytes, src + row * src_step + column * kBytes, kBytes);
    }
  }
}

}  // namespace

void transpose_4(int64_t rows, int64_t columns, const void* src, int64_t src_leading, void* dst, int64_t dst_leading) {
  transpose<uint32_t>(rows, columns, static_cast<const char*>(src), src_leading * 4, static_cast<char*>(dst),
                      dst_leading * 4);
}

void transpose_8(int64_t rows, int64_t columns, const void* src, int64_t src_leading, void* dst, int64_t dst_leading) {
  transpose<uint64_t>(rows, columns, static_cast<const char*>(src), src_leading * 8, static_cast<char*>(dst),
                      dst_leading * 8);
}

void transpose_to_vnni2(int64_t n, int64_t k, const void* src, int64_t src_leading, void* dst, int64_t dst_leading) {
  const char* from = static_cast<const char*>(src);
  char* to = static_cast<char*>(dst);
  transpose<uint32_t>(n, k / 2, from, src_leading * 2, to, dst_leading * 4);  // pairs of k lie together already
  if (k % 2 == 0) return;
  for (int64_t i = 0; i < n; ++i) {
    uint16_t last[2] = {0, 0};
    std::memcpy(last, from + (i * src_leading + k - 1) * 2, 2);
    std::memcpy(to + (k / 2) * dst_leading * 4 + i * 4, last, 4);
  }
}

}  // namespace gregale::kernels
