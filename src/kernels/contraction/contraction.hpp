// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/common.hpp"

/// Matrix products, c[m, n] = a[m, k] b[k, n] in f32, over any number of batch dims.
///
/// Method: b is packed into panels as wide as the register block; rows of a are packed in blocks that stay in L1/L2
/// (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008). Every element of
/// c is one chain of (fused, where the ISA has it) multiply-adds in the order of k, so its bits depend on its row of a
/// and its column of b alone, whatever m, n, the batch and the threads are.
namespace gregale::kernels {

struct MatmulBatch {
  int rank = 0;
  int64_t extents[kMaxRank] = {};
  int64_t a_strides[kMaxRank] = {};  ///< elements; 0 where a is shared by the whole dim
  int64_t b_strides[kMaxRank] = {};  ///< 0: b is packed once for the whole dim
  int64_t c_strides[kMaxRank] = {};
};

struct Matmul {
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;  ///< elements between stored rows
  bool trans_a = false;               ///< a is stored [k, m]
  bool trans_b = false;               ///< b is stored [n, k]
  bool accumulate = false;            ///< c += a b
  MatmulBatch batch;
};

/// Dense operands without batch.
Matmul dense_matmul(int64_t m, int64_t n, int64_t k, bool trans_a = false, bool trans_b = false);
/// a [batch..., m, k] x b [batch..., k, n] with NumPy broadcasting of the batch dims (extents 1, missing dims), dense
/// operands and result. Rank of either is at least 2 and at most kMaxRank + 2; extents must be compatible.
Matmul broadcast_matmul(int a_rank, const int64_t* a_extents, bool trans_a, int b_rank, const int64_t* b_extents,
                        bool trans_b);

int64_t matmul_scratch_bytes(Isa isa, const Matmul& problem);
void matmul_f32(Isa isa, ThreadTeam& team, const Matmul& problem, const float* a, const float* b, float* c,
                std::byte* scratch);

}  // namespace gregale::kernels
