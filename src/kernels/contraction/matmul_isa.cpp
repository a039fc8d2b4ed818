// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_table.hpp"
#include "kernels/vector_isa.hpp"

namespace gregale::kernels::GREGALE_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kMaxVectors = 4;   // 6 x 64: 24 accumulators of 32 registers
constexpr int64_t kDepth = 128;  // a panel of b, 128 x 64, stays in L1
#else
constexpr int kMaxVectors = 2;  // 6 x 16 (AVX2), 6 x 8 (SSE): 12 accumulators of 16 registers
constexpr int64_t kDepth = 256;
#endif
constexpr int64_t kPanel = kMaxVectors * kLanes;

/// Rows of the register block that is `vectors` wide.
constexpr int rows_of(int vectors) { return vectors == kMaxVectors ? 6 : 8; }

/// c[Rows, Vectors * kLanes] (+)= a b over k. Every element is one chain of multiply-adds, so that its bits do not
/// depend on the block it falls into.
template <int Rows, int Vectors, bool Packed>
void micro(int64_t k, const float* a, int64_t a_row, int64_t a_col, const float* b, int64_t ldb, float* c, int64_t ldc,
           bool accumulate) {
  F sum[Rows][Vectors];
  const float* row[Rows];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
    row[i] = a + i * a_row;
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) sum[i][j] = accumulate ? load(c + i * ldc + j * kLanes) : F{};
  }
  for (int64_t p = 0; p < k; ++p) {
    F column[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) column[j] = load(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const F x = Packed ? set1(a[i]) : set1(*row[i]);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) sum[i][j] = fma(x, column[j], sum[i][j]);
      if (!Packed) row[i] += a_col;
    }
    if (Packed) a += Rows;
    b += ldb;
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) store(c + i * ldc + j * kLanes, sum[i][j]);
  }
}

using Micro = void (*)(int64_t, const float*, int64_t, int64_t, const float*, int64_t, float*, int64_t, bool);

template <int Vectors, bool Packed>
Micro micro_of_rows(int64_t rows) {
  switch (rows) {
    case 1:
      return micro<1, Vectors, Packed>;
    case 2:
      return micro<2, Vectors, Packed>;
    case 3:
      return micro<3, Vectors, Packed>;
    case 4:
      return micro<4, Vectors, Packed>;
    case 5:
      return micro<5, Vectors, Packed>;
    case 6:
      return micro<6, Vectors, Packed>;
    case 7:
      return micro < rows_of(Vectors) == 8 ? 7 : 6, Vectors, Packed > ;
    default:
      return micro<rows_of(Vectors), Vectors, Packed>;
  }
}

template <bool Packed>
Micro micro_of(int64_t rows, int64_t vectors) {
  switch (vectors) {
    case 1:
      return micro_of_rows<1, Packed>(rows);
#if defined(__AVX512F__)
    case 2:
      return micro_of_rows<2, Packed>(rows);
    case 3:
      return micro_of_rows<3, Packed>(rows);
#endif
    default:
      return micro_of_rows<kMaxVectors, Packed>(rows);
  }
}

void pack_rows(const float* a, int64_t a_row, int64_t a_col, int64_t rows, int64_t k, float* packed) {
  if (a_row == 1) {
    for (int64_t p = 0; p < k; ++p)
      for (int64_t i = 0; i < rows; ++i) packed[p * rows + i] = a[p * a_col + i];
  } else {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t p = 0; p < k; ++p) packed[p * rows + i] = a[i * a_row + p * a_col];
  }
}

/// One panel of columns against all rows of the block, over `depth` of k.
void panel_block(const MatmulBlock& block, const float* a, bool packed, int64_t row_step, int64_t depth, const float* b,
                 int64_t ldb, int64_t vectors, int64_t columns, float* c, bool accumulate) {
  for (int64_t i = 0; i < block.m; i += row_step) {
    const int64_t rows = smaller(row_step, block.m - i);
    const Micro run = packed ? micro_of<true>(rows, vectors) : micro_of<false>(rows, vectors);
    const float* source = packed ? a + i * depth : a + i * block.a_row;
    float* target = c + i * block.ldc;
    if (columns == vectors * kLanes) {
      run(depth, source, block.a_row, block.a_col, b, ldb, target, block.ldc, accumulate);
      continue;
    }
    float tile[8 * kPanel];  // columns beyond the matrix are computed here and dropped
    const int64_t width = vectors * kLanes;
    if (accumulate) {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < width; ++j) tile[r * width + j] = j < columns ? target[r * block.ldc + j] : 0.0f;
    }
    run(depth, source, block.a_row, block.a_col, b, ldb, tile, width, accumulate);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j) target[r * block.ldc + j] = tile[r * width + j];
  }
}

void block(const MatmulBlock& block) {
  // Packing rows of a pays where several panels read them; all panels then use the row step of the widest.
  const bool packed = block.n > 2 * kPanel || (block.n > kPanel && block.a_row != 1);
  alignas(64) float rows_packed[kMatmulRows * kDepth];
  for (int64_t k0 = 0; k0 < block.k; k0 += kDepth) {
    const int64_t depth = smaller(kDepth, block.k - k0);
    const bool accumulate = block.accumulate || k0 > 0;
    const float* a = block.a + k0 * block.a_col;
    if (packed) {
      for (int64_t i = 0; i < block.m; i += 6)
        pack_rows(a + i * block.a_row, block.a_row, block.a_col, smaller(6, block.m - i), depth,
                  rows_packed + i * depth);
      a = rows_packed;
    }
    for (int64_t j = 0; j < block.n; j += kPanel) {
      const int64_t columns = smaller(kPanel, block.n - j);
      const int64_t vectors = (columns + kLanes - 1) / kLanes;
      const int64_t width = vectors * kLanes;
      const bool direct = block.b != nullptr && columns == width;
      const float* b = direct ? block.b + k0 * block.ldb + j : block.panels + j * block.k + k0 * width;
      panel_block(block, a, packed, packed ? 6 : rows_of(static_cast<int>(vectors)), depth, b,
                  direct ? block.ldb : width, vectors, columns, block.c + j, accumulate);
    }
  }
}

void pack(const float* b, int64_t b_row, int64_t b_col, int64_t k0, int64_t k1, int64_t columns, int64_t width,
          float* panel) {
  if (b_col == 1) {
    for (int64_t p = k0; p < k1; ++p) {
      float* out = panel + p * width;
      const float* in = b + p * b_row;
      int64_t j = 0;
      for (; j + kLanes <= columns; j += kLanes) store(out + j, load(in + j));
      for (; j < columns; ++j) out[j] = in[j];
      for (; j < width; ++j) out[j] = 0;
    }
    return;
  }
  for (int64_t p0 = k0; p0 < k1; p0 += 64) {
    const int64_t p1 = smaller(p0 + 64, k1);
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t p = p0; p < p1; ++p) panel[p * width + j] = b[j * b_col + p * b_row];
    for (int64_t j = columns; j < width; ++j)
      for (int64_t p = p0; p < p1; ++p) panel[p * width + j] = 0;
  }
}

}  // namespace

extern const ContractionTable contraction_table;
const ContractionTable contraction_table = {kLanes, kPanel, block, pack};

}  // namespace gregale::kernels::GREGALE_ISA_NAMESPACE
