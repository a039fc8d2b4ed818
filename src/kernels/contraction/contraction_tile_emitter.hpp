// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "jit/assembler.hpp"
#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/contraction/tile_scope.hpp"

namespace gregale::kernels {

/// `count` blocks of rows, one below the other, each in two tiles of `upper` and `lower` rows (lower 0: one tile).
struct TileRows {
  int upper = 0, lower = 0;
  int64_t count = 0;
  int rows() const { return upper + lower; }
};
/// m rows in blocks of at most 32, all of the same height or one less: 49 are 25 and 24, not 32 and 17.
std::vector<TileRows> cut_tile_rows(int64_t m);
/// Tiles 0 to 3 are c's (upper left, upper right, lower left, lower right), 4 and 5 a's, 6 and 7 b's.
TileConfig config_of(const TileRows& rows);

/// Of fp32x3: elements from one part of a and b to the next, high, middle, low. 0: one part only.
struct TileParts {
  int64_t a = 0, b = 0;
};

/// Emits bf16 contractions on tiles, b in panels16 (of bytes, which become bf16 on the stack), everything but the
/// batch's addresses fixed, for blocks of rows of one height. Blocks are 32 x 32: two tiles of a and two of b are
/// loaded for four products, half of what one product at a time would load. Columns are outermost, so that b's two
/// panels stay in L1 while a streams by.
class ContractionTileEmitter {
 public:
  ContractionTileEmitter(const ContractionDesc& desc, const TileRows& rows, const TileParts& parts);
  /// What a call must bring.
  static int64_t scratch_bytes(const ContractionDesc& desc, const TileRows& rows, const TileParts& parts);
  /// A ContractionKernel::Function whose a and c begin at the first of these rows.
  jit::Code emit(const std::string& name);
  /// Bytes between registers and L1.
  double l1_bytes() const { return l1_bytes_; }

 private:
  using Reg = Xbyak::Reg64;
  /// Steps of 32 of k that all blocks of rows take before the next ones.
  struct Pass {
    int64_t steps;
    bool first, last;
  };
  void columns(int tiles, int width);
  void rows(int tiles, int width, const Pass& pass);
  void block(int tiles, int width, const Pass& pass);
  void begin_sums(int tiles, int width, const Pass& pass);
  void products(int tiles, const Pass& pass);
  void add(const Reg& reg, int64_t bytes);
  void widen_b(int tiles, int64_t at, int64_t to);
  void one_step(int tiles, const Reg& a, const Reg& a_stride, int64_t a_lower, int64_t a_at, int64_t b_at);
  void one_step_in_parts(int tiles, int64_t a_at, int64_t b_at);
  void copy_a_tail();
  void end_sums(int tiles, int width, const Pass& pass);
  void item_addresses();
  Xbyak::Opmask mask_of(int lanes);

  const ContractionDesc& desc_;
  const TileRows rows_;
  const TileParts parts_;
  const bool batch_, to_bf16_, bytes_;  ///< bytes_: b's
  const int64_t lda_bytes_, ldc_bytes_, panel_bytes_, b_tile_bytes_;
  const bool passes_;  ///< over k, sums waiting in scratch
  const int64_t steps_, tail_;
  jit::Assembler as_;
  Reg a_, b_, c_, call_, run_a_, run_b_, lda_reg_, ldc_reg_, b_stride_reg_, count_, blocks_, column_count_, item_,
      save_;
  Reg fetch_;   ///< call_'s, which is not needed once its lists are read
  Reg next_b_;  ///< item_'s: what is fetched of b beyond its two panels, where there is no batch
  double l1_bytes_ = 0;
};

}  // namespace gregale::kernels
