// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jit/assembler.hpp"
#include "kernels/contraction/contraction_blocking.hpp"
#include "kernels/contraction/contraction_kernel.hpp"

namespace gregale::kernels {

/// Writes the code of one contraction for vector units: no transposed b, no expressions (those are composed around it).
///
/// Loops, outermost first: strips of columns; blocks of rows; the batch; k. A block of c stays in registers through the
/// batch and k, so every element is one chain of multiply-adds over (i, k).
class ContractionEmitter {
 public:
  /// `dot`: the bf16 dot product of pairs (vdpbf16ps), else operands are widened to what c accumulates in.
  /// `bf16_conversion`: vcvtneps2bf16 may round c, which flushes denormals.
  ContractionEmitter(const ContractionDesc& desc, const VectorUnit& unit, bool dot, bool bf16_conversion);
  jit::Code emit(const std::string& name);
  const Blocking& blocking() const { return blocking_; }
  /// Loads and stores of a call, bytes; 0 where extents are given at the call.
  double l1_bytes() const;

 private:
  using Reg = Xbyak::Reg64;
  using Vec = Xbyak::Xmm;  // of any width: the kind is in the operand

  /// Bytes between rows: fixed, or in a register.
  struct Step {
    int64_t fixed = 0;
    std::optional<Reg> reg;
    bool at_call() const { return reg.has_value(); }
  };
  /// A place on the stack.
  struct Slot {
    int offset = -1;
  };
  /// A counter, in a register while there are any.
  struct Counter {
    std::optional<Reg> reg;
    Slot slot;
  };

  // contraction_emitter.cpp: registers, loops over blocks, pointers.
  Reg take();
  Slot slot(int bytes = 8);
  Counter counter();
  Xbyak::Address at(Slot s) const;
  void assign_step(Step& step, int64_t leading, int64_t bytes);
  void assign();
  void load_arguments();
  void load_step(const Step& step, int64_t leading, size_t field, int64_t bytes);
  void load_slot(Slot to, size_t field, int64_t bytes);
  void scale(const Reg& reg, int64_t by);
  void add_fixed(const Reg& reg, int64_t bytes);
  void add_times(const Reg& reg, const Step& step, int64_t times);
  void set(const Counter& c, int64_t value);
  void subtract(const Counter& c, int64_t value);
  void columns_loop();
  void strip(const ColumnRun& column, bool last);
  void rows_fixed(const ColumnRun& column, bool last);
  void rows_at_call(const ColumnRun& column);
  void dispatch(int low, int high, std::vector<Xbyak::Label>& labels);
  void set_masks(const ColumnRun& column);

  // contraction_emitter_block.cpp: one block of sums.
  void block(const ColumnRun& column, int rows);
  void clear_sums();
  void load_sums();
  void batch_loop();
  void start_item();
  void k_loop();
  void steps(int64_t count);
  void step(int64_t at, bool half_step);
  void advance_k(int64_t count);
  void load_b(int vector, int64_t at, int half);
  void fetch_b(int64_t at);
  void multiply_rows(int64_t at, int half, bool half_step);
  void broadcast_a(int row, int64_t at, int half, bool half_step);
  /// A lane's worth of a lies together in memory.
  bool a_is_lane(bool half_step) const { return desc_.a != DType::bf16 || (dot_ && !desc_.trans_a && !half_step); }
  void multiply_add(const Vec& sum, const Vec& b, const Xbyak::Operand& a);
  void store_sums();
  void add_c(const Vec& to, const Xbyak::RegExp& at, int vector);
  void store_bf16(int row, int vector);
  Xbyak::Address tail_mask();
  void store_bytes(const Xbyak::RegExp& to, const Vec& from, int bytes);

  // Addresses in the block at hand.
  Xbyak::RegExp a_at(int row, int64_t at, int half) const;
  Xbyak::RegExp b_at(int vector, int64_t at) const;
  Xbyak::RegExp c_at(int row, int vector) const;

  // Registers of the block at hand.
  Vec full(int index) const;
  Vec vec(int index, int vector) const;  ///< as wide as the columns of `vector` need
  Vec sum(int row, int vector) const { return vec(row * vectors_ + vector, vector); }
  Vec b_reg(int vector) const { return vec(rows_ * vectors_ + vector, vector); }
  int registers() const { return unit_.evex ? 32 : 16; }
  /// Registers for values of a, one or two: that of `row`.
  int spares() const { return rows_ * vectors_ + vectors_ + 2 <= registers() ? 2 : 1; }
  int spare(int row) const { return rows_ * vectors_ + vectors_ + row % spares(); }
  bool is_half(int vector) const;
  bool is_masked(int vector) const;

  const ContractionDesc& desc_;
  VectorUnit unit_;
  bool dot_, bf16_conversion_;
  bool pairs_;   ///< a step takes two values of k
  bool panels_;  ///< b is in panels16
  bool f64_;
  bool wide_;                            ///< a full register has 64 bytes
  int64_t a_bytes_, b_bytes_, c_bytes_;  ///< of an element
  Blocking blocking_;

  jit::Assembler as_;
  std::vector<Reg> free_, used_;
  int stack_ = 0;
  Reg a_, b_, c_;         ///< where the block at hand begins (batch by address: bytes from the item's beginning)
  Reg scratch_;           ///< for a few instructions at a time
  Reg at_a_, at_b_;       ///< run along k; a_ and b_ themselves where those need not move
  Reg run_a_, run_b_;     ///< the registers for that
  Reg at_a5_, at_a10_;    ///< rows 5 and 10, and
  Reg lda3_;              ///< three times lda, where lda is given at the call
  Step lda_, ldb_, ldc_;  ///< ldb_ of panels: between panels; of vnni2: between pairs of rows
  std::optional<Reg> k_count_, item_;
  Counter m_count_, n_count_;
  Slot m_, n_, k_, batch_, a_start_, c_start_, mask_;
  Slot a_list_, b_list_;  ///< offsets or addresses
  Slot a_stride_, b_stride_, a_item_, b_item_;

  const ColumnRun* column_ = nullptr;
  int rows_ = 0, vectors_ = 0;
};

}  // namespace gregale::kernels
