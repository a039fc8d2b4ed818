// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/common.hpp"
#include "kernels/kernel_cache.hpp"
#include "tile/schedule.hpp"

/// Matrix products as tile programs: c[m, n] = epilogue(beta c + a[m, k] b[k, n]), over any number of batch dims, all
/// row-major.
///
/// Method: a loop nest over the contraction kernel. k is cut into blocks whose panels of b stay in L1 or L2, m into
/// blocks of a that stay in L2, n into the panels that b is packed in (Goto and van de Geijn, "Anatomy of
/// high-performance matrix multiplication", ACM TOMS 34(3), 2008); blocks of the result are met along a Hilbert curve.
/// The blocks of k depend on k, dtypes, computation and ISA alone and are summed in order, so an element's bits depend
/// on its row of a and its column of b alone: not on m, the batch, the threads, the schedule, or on whether b was
/// packed.
namespace gregale::tile {

struct MatmulBatch {
  int rank = 0;
  int64_t extents[kernels::kMaxRank] = {};
  int64_t a_strides[kernels::kMaxRank] = {};  ///< elements; 0 where a is shared by the whole dim
  int64_t b_strides[kernels::kMaxRank] = {};  ///< 0: b is packed once for the whole dim
  int64_t c_strides[kernels::kMaxRank] = {};
};

struct MatmulProblem {
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;  ///< elements between stored rows
  DType a = DType::f32, b = DType::f32, c = DType::f32;
  kernels::Compute compute = kernels::Compute::f32;
  bool trans_a = false;     ///< a is stored [k, m]
  bool trans_b = false;     ///< b is stored [n, k]
  bool packed_b = false;    ///< b is given as pack_b wrote it: weights, packed once
  bool accumulate = false;  ///< c += a b; c is f32 or f64
  MatmulBatch batch;
  /// Of the f32 (f64) sums, as ContractionDesc::epilogue; operands span the whole m x n. Without batch only.
  kernels::Expression epilogue;
  std::vector<kernels::ExpressionOperand> epilogue_inputs;
};

/// Dense f32 operands without batch.
MatmulProblem dense_matmul(int64_t m, int64_t n, int64_t k, bool trans_a = false, bool trans_b = false);
/// a [batch..., m, k] x b [batch..., k, n] with NumPy broadcasting of the batch dims (extents 1, missing dims), dense
/// f32 operands and result. Ranks are 2 to 10; extents must be compatible.
MatmulProblem broadcast_matmul(int a_rank, const int64_t* a_extents, bool trans_a, int b_rank, const int64_t* b_extents,
                               bool trans_b);

/// What one call works on.
struct MatmulArguments {
  const void* a = nullptr;
  const void* b = nullptr;  ///< plain, or what pack_b wrote where the problem says packed_b
  void* c = nullptr;
  const void* const* epilogue_inputs = nullptr;
  const double* epilogue_parameters = nullptr;
};

/// How the loops are cut; chosen from the shape and the target, overridden in tests and by tuning. `k` is part of the
/// numerical recipe and never tuned.
struct MatmulBlocks {
  int64_t m = 0;       ///< rows of a block of a
  int64_t n_span = 0;  ///< columns of a block of the result
  int64_t n = 0;       ///< columns of one kernel call
  int64_t k = 0;
  bool direct_b = false;  ///< plain b is read where it is
  bool copy_a = false;    ///< blocks of a are copied to the thread's scratch: transposed, or rows that share cache sets
  /// Over dims a: k, b: m, c: n (twice), d: batch.
  std::string schedule;
};

/// Whether blocks of bf16 rows, `leading` elements apart, are copied before they are multiplied with that many columns
/// on tiles.
bool copies_rows(const Target& target, int64_t rows, int64_t columns, int64_t leading);

class Matmul {
 public:
  /// Compiles the kernels; takes about a millisecond for a shape never seen. Throws ErrorCode::invalid_argument for
  /// impossible problems and schedules.
  Matmul(kernels::KernelCache& cache, const MatmulProblem& problem);
  Matmul(kernels::KernelCache& cache, const MatmulProblem& problem, const MatmulBlocks& blocks);
  static MatmulBlocks default_blocks(const Target& target, const MatmulProblem& problem);

  /// Bytes of b once packed, for weights that are packed beforehand. 64-byte aligned.
  int64_t packed_bytes() const { return packed_bytes_; }
  void pack_b(ThreadTeam& team, const void* b, std::byte* packed) const;

  /// Scratch of a run: where b is packed into first (0 where it is not), and, for each thread of the team, the thread's
  /// own. Both are 64-byte aligned.
  int64_t scratch_bytes() const;
  int64_t thread_scratch_bytes() const { return thread_bytes_; }
  void run(ThreadTeam& team, const MatmulArguments& arguments, std::byte* scratch, std::byte* thread_scratch) const;

  /// The problem as it is run: fp32x3 becomes f32 where the target has no tile unit.
  const MatmulProblem& problem() const { return problem_; }
  const MatmulBlocks& blocks() const { return blocks_; }
  /// The kernel of most calls.
  const kernels::KernelInfo& kernel_info() const;
  /// "matmul 512x512x512 f32: blocks 128x512x512, <BC>ac..., avx512 fma"
  std::string describe() const;

 private:
  void compile(kernels::KernelCache& cache);
  bool pack_parts(ThreadTeam& team, const void* b, std::byte* packed) const;
  void tile(const MatmulArguments& arguments, const LoopIndex& index, std::byte* scratch) const;
  const std::byte* block_of_a(const std::byte* a, const LoopIndex& index, std::byte* scratch, int64_t* lda) const;

  MatmulProblem problem_;
  MatmulBlocks blocks_;
  std::optional<LoopNest> nest_;
  /// By whether the tile is a tail in m, n, k, and whether it begins the sum.
  std::shared_ptr<const kernels::ContractionKernel> kernels_[2][2][2][2];
  std::shared_ptr<const kernels::ExpressionKernel> finish_;  ///< of partial sums in scratch
  std::shared_ptr<const kernels::LayoutKernel> pack_, transpose_a_;
  std::unique_ptr<const Matmul> plain_;  ///< fp32x3: what runs where b is out of range
  bool partial_ = false;                 ///< sums over blocks of k are kept in the thread's scratch
  int64_t batches_ = 1, packed_matrices_ = 1;
  int64_t panel_ = 0, panel_elements_ = 0;  ///< columns of a panel of packed b, elements of one
  int64_t matrix_elements_ = 0;
  int64_t packed_bytes_ = 0, thread_bytes_ = 0;
  int64_t a_bytes_ = 0, partial_bytes_ = 0, kernel_bytes_ = 0;
};

}  // namespace gregale::tile
