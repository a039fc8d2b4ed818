// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction.hpp"
#include "kernels/contraction/contraction_table.hpp"

#include <algorithm>

#include "gregale/error.hpp"
#include "kernels/isa_table.hpp"

namespace gregale::kernels {
namespace {

const ContractionTable& table_of(Isa isa) {
  return table_for(isa, isa_generic::contraction_table, isa_avx2::contraction_table, isa_avx512::contraction_table);
}

/// Below this many rows, b is read where it is: packing would cost as much as the product.
constexpr int64_t kPackRows = 24;
/// Multiply-adds of a chunk of tasks.
constexpr int64_t kTaskWork = 1 << 19;

/// The problem with batch dims of extent 1 dropped and dims that only repeat b merged into m.
Matmul canonical(Matmul p) {
  MatmulBatch& d = p.batch;
  int rank = 0;
  for (int i = 0; i < d.rank; ++i) {
    if (d.extents[i] == 1) continue;
    d.extents[rank] = d.extents[i];
    d.a_strides[rank] = d.a_strides[i];
    d.b_strides[rank] = d.b_strides[i];
    d.c_strides[rank] = d.c_strides[i];
    ++rank;
  }
  d.rank = rank;
  while (d.rank > 0 && !p.trans_a && p.m > 0) {
    const int last = d.rank - 1;
    if (d.b_strides[last] != 0) break;
    if (p.m == 1 && d.a_strides[last] > 0) {
      p.lda = d.a_strides[last];
      p.ldc = d.c_strides[last];
    } else if (d.a_strides[last] != p.m * p.lda || d.c_strides[last] != p.m * p.ldc) {
      break;
    }
    p.m *= d.extents[last];
    --d.rank;
  }
  return p;
}

struct Counts {
  int64_t batch = 1, packed = 1;
};
Counts counts_of(const Matmul& p) {
  Counts counts;
  for (int i = 0; i < p.batch.rank; ++i) {
    counts.batch *= p.batch.extents[i];
    if (p.batch.b_strides[i] != 0) counts.packed *= p.batch.extents[i];
  }
  return counts;
}

struct Offsets {
  int64_t a = 0, b = 0, c = 0, packed = 0;
};
Offsets offsets_of(const MatmulBatch& batch, int64_t index) {
  Offsets o;
  int64_t step = 1;
  for (int i = batch.rank - 1; i >= 0; --i) {
    const int64_t at = index % batch.extents[i];
    index /= batch.extents[i];
    o.a += at * batch.a_strides[i];
    o.b += at * batch.b_strides[i];
    o.c += at * batch.c_strides[i];
    if (batch.b_strides[i] != 0) {
      o.packed += at * step;
      step *= batch.extents[i];
    }
  }
  return o;
}

/// Offset in b of packed matrix `index`.
int64_t packed_source(const MatmulBatch& batch, int64_t index) {
  int64_t offset = 0;
  for (int i = batch.rank - 1; i >= 0; --i) {
    if (batch.b_strides[i] == 0) continue;
    offset += index % batch.extents[i] * batch.b_strides[i];
    index /= batch.extents[i];
  }
  return offset;
}

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

bool reads_direct(const Matmul& p) { return !p.trans_b && p.m < kPackRows; }

}  // namespace

Matmul dense_matmul(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b) {
  Matmul p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.trans_a = trans_a;
  p.trans_b = trans_b;
  p.lda = trans_a ? m : k;
  p.ldb = trans_b ? k : n;
  p.ldc = n;
  return p;
}

Matmul broadcast_matmul(int a_rank, const int64_t* a_extents, bool trans_a, int b_rank, const int64_t* b_extents,
                        bool trans_b) {
  GREGALE_ASSERT(a_rank >= 2 && b_rank >= 2 && a_rank <= kMaxRank + 2 && b_rank <= kMaxRank + 2);
  const int64_t* a_last = a_extents + a_rank - 2;
  const int64_t* b_last = b_extents + b_rank - 2;
  Matmul p = dense_matmul(a_last[trans_a ? 1 : 0], b_last[trans_b ? 0 : 1], a_last[trans_a ? 0 : 1], trans_a, trans_b);
  GREGALE_ASSERT(b_last[trans_b ? 1 : 0] == p.k);
  p.batch.rank = std::max(a_rank, b_rank) - 2;
  int64_t a_stride = p.m * p.k, b_stride = p.k * p.n, c_stride = p.m * p.n;
  for (int i = 1; i <= p.batch.rank; ++i) {
    const int at = p.batch.rank - i;
    const int64_t in_a = i <= a_rank - 2 ? a_extents[a_rank - 2 - i] : 1;
    const int64_t in_b = i <= b_rank - 2 ? b_extents[b_rank - 2 - i] : 1;
    GREGALE_ASSERT(in_a == in_b || in_a == 1 || in_b == 1);
    p.batch.extents[at] = in_a == 1 ? in_b : in_a;
    p.batch.a_strides[at] = in_a == 1 ? 0 : a_stride;
    p.batch.b_strides[at] = in_b == 1 ? 0 : b_stride;
    p.batch.c_strides[at] = c_stride;
    a_stride *= in_a;
    b_stride *= in_b;
    c_stride *= p.batch.extents[at];
  }
  return p;
}

int64_t matmul_scratch_bytes(Isa isa, const Matmul& problem) {
  const Matmul p = canonical(problem);
  const ContractionTable& table = table_of(isa);
  return align_bytes(round_up(p.n, table.lanes) * p.k * counts_of(p).packed * 4);
}

void matmul_f32(Isa isa, ThreadTeam& team, const Matmul& problem, const float* a, const float* b, float* c,
                std::byte* scratch) {
  const Matmul p = canonical(problem);
  const ContractionTable& table = table_of(isa);
  const Counts counts = counts_of(p);
  if (p.m == 0 || p.n == 0 || counts.batch == 0) return;
  if (p.k == 0) {
    if (p.accumulate) return;
    for (int64_t i = 0; i < counts.batch; ++i) {
      float* out = c + offsets_of(p.batch, i).c;
      for (int64_t r = 0; r < p.m; ++r) std::fill_n(out + r * p.ldc, p.n, 0.0f);
    }
    return;
  }
  float* packed = reinterpret_cast<float*>(scratch);
  const int64_t packed_size = round_up(p.n, table.lanes) * p.k;
  const int64_t panels = (p.n + table.panel - 1) / table.panel;
  const bool direct = reads_direct(p);
  const int64_t b_row = p.trans_b ? 1 : p.ldb, b_col = p.trans_b ? p.ldb : 1;
  if (!direct || p.n % table.lanes != 0) {
    constexpr int64_t kPackDepth = 256;
    const int64_t depths = (p.k + kPackDepth - 1) / kPackDepth;
    const int64_t first = direct ? panels - 1 : 0;  // only the last panel is ragged
    const int64_t per_matrix = (panels - first) * depths;
    const int64_t task = std::min(p.k, kPackDepth) * std::min(p.n, table.panel);
    parallel_for(team, counts.packed * per_matrix, std::max<int64_t>(1, kElementGrain / task),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t t = begin; t < end; ++t) {
                     const int64_t matrix = t / per_matrix;
                     const int64_t j = (first + t % per_matrix / depths) * table.panel;
                     const int64_t k0 = t % depths * kPackDepth;
                     const int64_t columns = std::min(table.panel, p.n - j);
                     table.pack(b + packed_source(p.batch, matrix) + j * b_col, b_row, b_col, k0,
                                std::min(k0 + kPackDepth, p.k), columns, round_up(columns, table.lanes),
                                packed + matrix * packed_size + j * p.k);
                   }
                 });
  }
  const int64_t row_blocks = (p.m + kMatmulRows - 1) / kMatmulRows;
  // Few rows: narrower column blocks, so that every thread finds work.
  const int64_t columns = row_blocks * counts.batch >= 8 ? kMatmulColumns : 2 * table.panel;
  const int64_t column_blocks = (p.n + columns - 1) / columns;
  const int64_t work = std::max<int64_t>(1, std::min(p.m, kMatmulRows) * std::min(p.n, columns) * p.k);
  parallel_for(team, counts.batch * column_blocks * row_blocks, std::max<int64_t>(1, kTaskWork / work),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t t = begin; t < end; ++t) {
                   const Offsets at = offsets_of(p.batch, t / (row_blocks * column_blocks));
                   const int64_t j = t / row_blocks % column_blocks * columns;
                   const int64_t i = t % row_blocks * kMatmulRows;
                   MatmulBlock block;
                   block.m = std::min(kMatmulRows, p.m - i);
                   block.n = std::min(columns, p.n - j);
                   block.k = p.k;
                   block.a_row = p.trans_a ? 1 : p.lda;
                   block.a_col = p.trans_a ? p.lda : 1;
                   block.a = a + at.a + i * block.a_row;
                   block.panels = packed + at.packed * packed_size + j * p.k;
                   block.b = direct ? b + at.b + j : nullptr;
                   block.ldb = p.ldb;
                   block.c = c + at.c + i * p.ldc + j;
                   block.ldc = p.ldc;
                   block.accumulate = p.accumulate;
                   table.block(block);
                 }
               });
}

}  // namespace gregale::kernels
