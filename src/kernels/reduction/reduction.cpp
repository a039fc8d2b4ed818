// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduction/reduction.hpp"

#include <algorithm>
#include <limits>

#include "gregale/error.hpp"
#include "kernels/isa_table.hpp"
#include "kernels/loops.hpp"
#include "kernels/reduction/reduction_table.hpp"

namespace gregale::kernels {
namespace {

const ReductionTable& reduction_table_of(Isa isa) {
  return table_for(isa, isa_generic::reduction_table, isa_avx2::reduction_table, isa_avx512::reduction_table);
}

/// Elements of a contiguous run that one chunk of the tree takes, and runs (or rows of columns) that it takes.
constexpr int64_t kRunChunk = 8192;
constexpr int64_t kRowChunk = 256;

/// A dim of the collapsed problem.
struct Dim {
  int64_t extent = 1, stride = 0;
};

/// Kept dims, reduced dims, and the last dim, which is either a run to reduce or columns to keep.
struct Plan {
  int kept_rank = 0, reduced_rank = 0;
  Dim kept[kMaxRank], reduced[kMaxRank];
  bool run = false;               ///< the last dim is reduced
  int64_t width = 1;              ///< its extent
  int64_t outputs = 1, rows = 1;  ///< products of kept and of reduced extents, the last dim apart
  int64_t length = 1;             ///< elements behind one output
  int64_t row_chunks = 1, run_chunks = 1;
  int64_t chunks() const { return row_chunks * run_chunks; }
  int64_t dst_size() const { return run ? outputs : outputs * width; }
};

Plan plan_of(int rank, const int64_t* extents, const bool* reduced) {
  GREGALE_ASSERT(rank <= kMaxRank);
  Plan plan;
  int64_t merged[kMaxRank];
  bool flags[kMaxRank];
  int count = 0;
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 1) continue;
    if (count > 0 && flags[count - 1] == reduced[i]) {
      merged[count - 1] *= extents[i];
    } else {
      merged[count] = extents[i];
      flags[count++] = reduced[i];
    }
  }
  if (count > 0) {
    --count;
    plan.run = flags[count];
    plan.width = merged[count];
  }
  int64_t stride = plan.width;
  for (int i = count - 1; i >= 0; --i) {
    Dim* dim = flags[i] ? &plan.reduced[plan.reduced_rank++] : &plan.kept[plan.kept_rank++];
    *dim = {merged[i], stride};  // innermost first
    (flags[i] ? plan.rows : plan.outputs) *= merged[i];
    stride *= merged[i];
  }
  plan.length = plan.rows * (plan.run ? plan.width : 1);
  // Chunks are a function of the reduction alone: what one output sums, in which order.
  if (plan.run) plan.run_chunks = std::max<int64_t>(1, (plan.width + kRunChunk - 1) / kRunChunk);
  const int64_t rows = plan.run ? std::max<int64_t>(1, kRowChunk * 32 / std::max<int64_t>(1, plan.width)) : kRowChunk;
  plan.row_chunks = std::max<int64_t>(1, (plan.rows + rows - 1) / rows);
  return plan;
}

int64_t offset_of(const Dim* dims, int rank, int64_t index) {
  int64_t offset = 0;
  for (int i = 0; i < rank; ++i) {
    offset += index % dims[i].extent * dims[i].stride;
    index /= dims[i].extent;
  }
  return offset;
}

/// Walks the reduced dims from row `begin` on, calling body(offset) for each row.
template <class Body>
void for_reduced_rows(const Plan& plan, int64_t begin, int64_t end, Body&& body) {
  int64_t index[kMaxRank] = {};
  int64_t offset = 0, rest = begin;
  for (int i = 0; i < plan.reduced_rank; ++i) {
    index[i] = rest % plan.reduced[i].extent;
    rest /= plan.reduced[i].extent;
    offset += index[i] * plan.reduced[i].stride;
  }
  for (int64_t row = begin; row < end; ++row) {
    body(offset);
    for (int i = 0; i < plan.reduced_rank; ++i) {
      offset += plan.reduced[i].stride;
      if (++index[i] < plan.reduced[i].extent) break;
      offset -= index[i] * plan.reduced[i].stride;
      index[i] = 0;
    }
  }
}

int accumulation_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::max:
      return 1;
    case ReduceOp::min:
      return 2;
    case ReduceOp::sum_of_squares:
      return 3;
    default:
      return 0;
  }
}

double start_of(ReduceOp op) {
  if (op == ReduceOp::max) return -std::numeric_limits<double>::infinity();
  if (op == ReduceOp::min) return std::numeric_limits<double>::infinity();
  return 0;
}

double combine(ReduceOp op, double a, double b) {
  if (op == ReduceOp::max) return b > a || b != b ? b : a;
  if (op == ReduceOp::min) return b < a || b != b ? b : a;
  return a + b;
}

float finish(ReduceOp op, double sum, int64_t length) {
  return static_cast<float>(op == ReduceOp::mean ? sum / static_cast<double>(length) : sum);
}

}  // namespace

int64_t reduce_scratch_bytes(int rank, const int64_t* extents, const bool* reduced) {
  const Plan plan = plan_of(rank, extents, reduced);
  return plan.chunks() == 1 ? 0 : align_bytes(plan.dst_size() * plan.chunks() * 8);
}

void reduce_f32(Isa isa, ThreadTeam& team, ReduceOp op, int rank, const int64_t* extents, const bool* reduced,
                const float* src, float* dst, std::byte* scratch) {
  const Plan plan = plan_of(rank, extents, reduced);
  const ReductionTable& table = reduction_table_of(isa);
  const int64_t size = plan.dst_size();
  if (size == 0) return;
  if (plan.length == 0) {
    std::fill_n(dst, size, finish(op, start_of(op), 0));
    return;
  }
  double* partials = reinterpret_cast<double*>(scratch);
  const int64_t chunks = plan.chunks();
  const auto run = table.run[accumulation_of(op)];
  const auto add = table.add[accumulation_of(op)];
  const int64_t rows_per_chunk = (plan.run ? std::max<int64_t>(1, kRowChunk * 32 / plan.width) : kRowChunk);
  if (plan.run) {
    const int64_t work = std::min(plan.width, kRunChunk) * std::min(plan.rows, rows_per_chunk);
    parallel_for(team, plan.outputs * chunks, std::max<int64_t>(1, kElementGrain / work),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t t = begin; t < end; ++t) {
                     const int64_t output = t / chunks, chunk = t % chunks;
                     const int64_t row = chunk / plan.run_chunks * rows_per_chunk;
                     const int64_t at = chunk % plan.run_chunks * kRunChunk;
                     const int64_t n = std::min(kRunChunk, plan.width - at);
                     const float* base = src + offset_of(plan.kept, plan.kept_rank, output) + at;
                     double sum = start_of(op);
                     for_reduced_rows(plan, row, std::min(row + rows_per_chunk, plan.rows),
                                      [&](int64_t offset) { sum = combine(op, sum, run(n, base + offset)); });
                     if (chunks == 1) {
                       dst[output] = finish(op, sum, plan.length);
                     } else {
                       partials[t] = sum;
                     }
                   }
                 });
    if (chunks == 1) return;
    for (int64_t output = 0; output < plan.outputs; ++output) {
      double sum = start_of(op);
      for (int64_t c = 0; c < chunks; ++c) sum = combine(op, sum, partials[output * chunks + c]);
      dst[output] = finish(op, sum, plan.length);
    }
    return;
  }
  const int64_t blocks = (plan.width + kReduceColumns - 1) / kReduceColumns;
  const int64_t work = std::min(plan.width, kReduceColumns) * std::min(plan.rows, rows_per_chunk);
  parallel_for(team, plan.outputs * chunks * blocks, std::max<int64_t>(1, kElementGrain / work),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t t = begin; t < end; ++t) {
                   const int64_t output = t / (chunks * blocks), chunk = t / blocks % chunks;
                   const int64_t column = t % blocks * kReduceColumns;
                   const int64_t n = std::min(kReduceColumns, plan.width - column);
                   const int64_t row = chunk * rows_per_chunk;
                   const float* base = src + offset_of(plan.kept, plan.kept_rank, output) + column;
                   double local[kReduceColumns];
                   double* sums = chunks == 1 ? local : partials + (output * chunks + chunk) * plan.width + column;
                   std::fill_n(sums, n, start_of(op));
                   for_reduced_rows(plan, row, std::min(row + rows_per_chunk, plan.rows),
                                    [&](int64_t offset) { add(n, base + offset, sums); });
                   if (chunks > 1) continue;
                   for (int64_t j = 0; j < n; ++j)
                     dst[output * plan.width + column + j] = finish(op, sums[j], plan.length);
                 }
               });
  if (chunks == 1) return;
  parallel_for(team, size, std::max<int64_t>(1, kElementGrain / chunks), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const double* column = partials + i / plan.width * chunks * plan.width + i % plan.width;
      double sum = start_of(op);
      for (int64_t c = 0; c < chunks; ++c) sum = combine(op, sum, column[c * plan.width]);
      dst[i] = finish(op, sum, plan.length);
    }
  });
}

namespace {

/// row(offset) for inner == 1, columns(offset, count) otherwise.
template <class Row, class Columns>
void for_middle(ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, Row row, Columns columns) {
  if (outer == 0 || n == 0 || inner == 0) return;
  if (inner == 1) {
    parallel_for(team, outer, std::max<int64_t>(1, kElementGrain / 4 / n), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) row(i * n);
    });
    return;
  }
  const int64_t blocks = (inner + kReduceColumns - 1) / kReduceColumns;
  const int64_t work = n * std::min(inner, kReduceColumns);
  parallel_for(team, outer * blocks, std::max<int64_t>(1, kElementGrain / 4 / work),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t t = begin; t < end; ++t) {
                   const int64_t column = t % blocks * kReduceColumns;
                   columns(t / blocks * n * inner + column, std::min(kReduceColumns, inner - column));
                 }
               });
}

}  // namespace

void softmax_f32(Isa isa, ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, const float* src, float* dst) {
  const ReductionTable& table = reduction_table_of(isa);
  for_middle(
      team, outer, n, inner, [&](int64_t at) { table.softmax_row(n, src + at, dst + at); },
      [&](int64_t at, int64_t count) { table.softmax_columns(n, inner, count, src + at, dst + at); });
}

void softmax_backward_f32(Isa isa, ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, const float* dst,
                          const float* d_dst, float* d_src) {
  const ReductionTable& table = reduction_table_of(isa);
  for_middle(
      team, outer, n, inner, [&](int64_t at) { table.softmax_backward_row(n, dst + at, d_dst + at, d_src + at); },
      [&](int64_t at, int64_t count) {
        table.softmax_backward_columns(n, inner, count, dst + at, d_dst + at, d_src + at);
      });
}

void layer_norm_f32(Isa isa, ThreadTeam& team, int64_t rows, int64_t n, double epsilon, const float* x,
                    const float* gamma, const float* beta, float* y) {
  const ReductionTable& table = reduction_table_of(isa);
  parallel_for(team, rows, std::max<int64_t>(1, kElementGrain / 2 / std::max<int64_t>(1, n)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i)
                   table.layer_norm_row(n, epsilon, x + i * n, gamma, beta, y + i * n);
               });
}

namespace {

/// Rows whose d_gamma and d_beta are summed together: a function of n alone.
int64_t norm_rows(int64_t n) { return std::clamp<int64_t>(kElementGrain / std::max<int64_t>(1, n), 16, 1024); }

}  // namespace

int64_t layer_norm_backward_scratch_bytes(int64_t rows, int64_t n) {
  const int64_t chunks = (rows + norm_rows(n) - 1) / norm_rows(n);
  return align_bytes(chunks * n * 2 * 8);
}

void layer_norm_backward_f32(Isa isa, ThreadTeam& team, int64_t rows, int64_t n, double epsilon, const float* x,
                             const float* gamma, const float* d_y, float* d_x, float* d_gamma, float* d_beta,
                             std::byte* scratch) {
  const ReductionTable& table = reduction_table_of(isa);
  const bool parameters = d_gamma != nullptr || d_beta != nullptr;
  const int64_t chunk = norm_rows(n), chunks = (rows + chunk - 1) / chunk;
  double* partials = reinterpret_cast<double*>(scratch);
  parallel_for(team, rows, chunk, [&](int64_t begin, int64_t end, int) {
    double* sums = parameters ? partials + begin / chunk * 2 * n : nullptr;
    if (parameters) std::fill_n(sums, 2 * n, 0.0);
    for (int64_t i = begin; i < end; ++i) {
      table.layer_norm_backward_row(n, epsilon, x + i * n, gamma, d_y + i * n, d_x != nullptr ? d_x + i * n : nullptr,
                                    sums, parameters ? sums + n : nullptr);
    }
  });
  if (!parameters) return;
  parallel_for(team, n, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, chunks)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t j = begin; j < end; ++j) {
                   double gamma_sum = 0, beta_sum = 0;
                   for (int64_t c = 0; c < chunks; ++c) {
                     gamma_sum += partials[c * 2 * n + j];
                     beta_sum += partials[c * 2 * n + n + j];
                   }
                   if (d_gamma != nullptr) d_gamma[j] = static_cast<float>(gamma_sum);
                   if (d_beta != nullptr) d_beta[j] = static_cast<float>(beta_sum);
                 }
               });
}

}  // namespace gregale::kernels
