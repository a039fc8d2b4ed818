// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/common.hpp"

/// Reductions, softmax and layer normalisation. Sums are accumulated in f64 over a tree that depends on the reduction
/// length alone (chunks of fixed size, lanes of fixed number, combined in order).
namespace gregale::kernels {

enum class ReduceOp : uint8_t { sum, mean, max, min, sum_of_squares };

/// src: dense [extents...]; reduced[i] says whether axis i is summed away; dst: dense, the kept extents in order.
/// max and min propagate NaN and give -inf, inf over nothing; mean over nothing is NaN. Without any reduced axis the
/// elements are copied (squared for sum_of_squares).
int64_t reduce_scratch_bytes(int rank, const int64_t* extents, const bool* reduced);
void reduce_f32(Isa isa, ThreadTeam& team, ReduceOp op, int rank, const int64_t* extents, const bool* reduced,
                const float* src, float* dst, std::byte* scratch);

/// exp(x - max) / sum over the middle extent of [outer, n, inner]. In place is fine.
void softmax_f32(Isa isa, ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, const float* src, float* dst);
/// d_src = dst * (d_dst - sum(d_dst * dst)) over the middle extent; dst is softmax's result. In place with d_dst is
/// fine.
void softmax_backward_f32(Isa isa, ThreadTeam& team, int64_t outer, int64_t n, int64_t inner, const float* dst,
                          const float* d_dst, float* d_src);

/// Rows of n: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, gamma and beta [n]. In place is fine.
void layer_norm_f32(Isa isa, ThreadTeam& team, int64_t rows, int64_t n, double epsilon, const float* x,
                    const float* gamma, const float* beta, float* y);
/// The three cotangents; each of d_x [rows, n], d_gamma [n], d_beta [n] may be null. Statistics are computed again from
/// x.
int64_t layer_norm_backward_scratch_bytes(int64_t rows, int64_t n);
void layer_norm_backward_f32(Isa isa, ThreadTeam& team, int64_t rows, int64_t n, double epsilon, const float* x,
                             const float* gamma, const float* d_y, float* d_x, float* d_gamma, float* d_beta,
                             std::byte* scratch);

}  // namespace gregale::kernels
