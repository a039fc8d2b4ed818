// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the contraction family: plain data and functions, for *_isa.cpp and the driver.
namespace gregale::kernels {

/// Rows of a task: a multiple of every register block's rows.
inline constexpr int64_t kMatmulRows = 48;
/// Columns of a task: a multiple of every panel's width.
inline constexpr int64_t kMatmulColumns = 512;

/// c[m, n] (+)= a b for one task. Element (i, p) of a is a[i * a_row + p * a_col].
struct MatmulBlock {
  int64_t m, n, k;
  const float* a;
  int64_t a_row, a_col;
  const float* panels;  ///< packed b from this block's first column: panels of `panel` columns, [k][width] each
  const float*
      b;  ///< where not null: full vectors of columns are read from here, rows ldb apart; only the rest is packed
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool accumulate;
};

struct ContractionTable {
  int64_t lanes;  ///< packed widths are multiples of this
  int64_t panel;  ///< columns of a full panel
  void (*block)(const MatmulBlock& block);
  /// Rows [k0, k1) of one packed panel: columns of b from `b` on, `columns` of them, zeros up to `width`.
  void (*pack)(const float* b, int64_t b_row, int64_t b_col, int64_t k0, int64_t k1, int64_t columns, int64_t width,
               float* panel);
};

namespace isa_generic {
extern const ContractionTable contraction_table;
}
namespace isa_avx2 {
extern const ContractionTable contraction_table;
}
namespace isa_avx512 {
extern const ContractionTable contraction_table;
}

}  // namespace gregale::kernels
