// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_emitter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace gregale::kernels {
namespace {

using Batch = ContractionDesc::Batch;

/// Displacements of one block must fit in an instruction.
constexpr int64_t kMostStep = int64_t{1} << 24;

}  // namespace

ContractionEmitter::ContractionEmitter(const ContractionDesc& desc, const VectorUnit& unit, bool dot,
                                       bool bf16_conversion)
    : desc_(desc),
      unit_(unit),
      dot_(dot),
      bf16_conversion_(bf16_conversion),
      pairs_(desc.b_packing != Packing::plain),
      panels_(desc.b_packing == Packing::panels16),
      f64_(desc.compute == Compute::f64),
      wide_(unit.lanes * (f64_ ? 8 : 4) == 64),
      a_bytes_(size_of(desc.a)),
      b_bytes_(size_of(desc.b)),
      c_bytes_(size_of(desc.c)) {
  assign();
}

ContractionEmitter::Reg ContractionEmitter::take() {
  GREGALE_ASSERT(!free_.empty());
  const Reg reg = free_.front();
  free_.erase(free_.begin());
  used_.push_back(reg);
  return reg;
}

ContractionEmitter::Slot ContractionEmitter::slot(int bytes) {
  stack_ = (stack_ + bytes - 1) / bytes * bytes;
  const Slot place{stack_};
  stack_ += bytes;
  return place;
}

ContractionEmitter::Counter ContractionEmitter::counter() {
  Counter c;
  if (free_.empty()) {
    c.slot = slot();
  } else {
    c.reg = take();
  }
  return c;
}

Xbyak::Address ContractionEmitter::at(Slot s) const { return as_.qword[as_.rsp + s.offset]; }

/// A step too large for displacements is treated as one given at the call.
void ContractionEmitter::assign_step(Step& step, int64_t leading, int64_t bytes) {
  step.fixed = leading * bytes;
  if (leading == kAtCall || leading > kMostStep / bytes) step.reg = take();
}

/// Who lives where: before any code, because the prologue saves what is used.
void ContractionEmitter::assign() {
  free_ = {as_.rax, as_.r8, as_.r9, as_.r10, as_.r11, as_.rbx, as_.r12, as_.r13, as_.r14, as_.r15};
  a_ = as_.rdi;
  b_ = as_.rsi;
  c_ = as_.rdx;
  scratch_ = as_.rcx;
  run_a_ = take();
  run_b_ = take();
  k_count_ = take();
  assign_step(lda_, desc_.lda, a_bytes_);
  if (lda_.at_call() && !desc_.trans_a) {
    lda3_ = take();
    at_a5_ = take();
    at_a10_ = take();
  }
  assign_step(ldb_, desc_.ldb, (desc_.b_packing == Packing::vnni2 ? 2 : 1) * b_bytes_);
  assign_step(ldc_, desc_.ldc, c_bytes_);
  if (desc_.addressing != Batch::none) item_ = take();

  BlockLimits limits;
  limits.few_pointers = lda_.at_call() && !desc_.trans_a;
  limits.max_vectors = unit_.evex ? 4 : 3;
  // A few rows have chains enough only side by side.
  if (desc_.m != kAtCall && desc_.m <= 2) limits.max_vectors = unit_.evex ? 8 : 7;
  if (panels_) {
    if (!wide_) {
      limits.max_vectors = unit_.evex ? 4 : 2;
    } else if (ldb_.at_call()) {
      limits.max_vectors = 3;  // panels 0, 1 and 2 are in reach of one pointer
    }
    limits.min_vectors = wide_ ? 1 : 2;  // strips begin where panels do
  }
  limits.exact = !unit_.evex && (desc_.c == DType::bf16 || (desc_.b == DType::bf16 && !pairs_));
  blocking_ = choose_blocking(unit_, desc_.m, desc_.n, limits);

  m_count_ = counter();
  n_count_ = counter();
  if (desc_.m == kAtCall) m_ = slot();
  if (desc_.n == kAtCall) n_ = slot();
  if (desc_.k == kAtCall) k_ = slot();
  if (desc_.batch == kAtCall) batch_ = slot();
  if (desc_.m == kAtCall || lda_.at_call() || ldc_.at_call()) {
    a_start_ = slot();
    c_start_ = slot();
  }
  if (desc_.addressing == Batch::stride) {
    if (desc_.a_stride == kAtCall) a_stride_ = slot();
    if (desc_.b_stride == kAtCall) b_stride_ = slot();
    a_item_ = slot();
    b_item_ = slot();
  }
  if (desc_.addressing == Batch::offset || desc_.addressing == Batch::address) {
    a_list_ = slot();
    b_list_ = slot();
  }
  if (desc_.n == kAtCall && !unit_.evex) mask_ = slot(32);
}

void ContractionEmitter::scale(const Reg& reg, int64_t by) {
  if (by == 1) return;
  as_.shl(reg, by == 2 ? 1 : by == 4 ? 2 : 3);
}

void ContractionEmitter::add_fixed(const Reg& reg, int64_t bytes) {
  if (bytes == 0) return;
  if (bytes >= INT32_MIN && bytes <= INT32_MAX) {
    as_.add(reg, static_cast<int32_t>(bytes));
  } else {
    as_.mov(scratch_, static_cast<uint64_t>(bytes));
    as_.add(reg, scratch_);
  }
}

/// reg += times * step
void ContractionEmitter::add_times(const Reg& reg, const Step& step, int64_t times) {
  if (!step.at_call()) return add_fixed(reg, times * step.fixed);
  as_.imul(scratch_, *step.reg, static_cast<int>(times));
  as_.add(reg, scratch_);
}

void ContractionEmitter::set(const Counter& c, int64_t value) {
  if (c.reg) {
    as_.mov(c.reg->cvt32(), static_cast<uint32_t>(value));
  } else {
    as_.mov(at(c.slot), static_cast<uint32_t>(value));
  }
}

void ContractionEmitter::subtract(const Counter& c, int64_t value) {
  if (c.reg) {
    as_.sub(*c.reg, static_cast<uint32_t>(value));
  } else {
    as_.sub(at(c.slot), static_cast<uint32_t>(value));
  }
}

void ContractionEmitter::load_step(const Step& step, int64_t leading, size_t field, int64_t bytes) {
  if (!step.at_call()) return;
  if (leading == kAtCall) {
    as_.mov(*step.reg, as_.qword[as_.rcx + static_cast<int>(field)]);
    scale(*step.reg, bytes);
  } else {
    as_.mov(*step.reg, static_cast<uint64_t>(step.fixed));
  }
}

void ContractionEmitter::load_slot(Slot to, size_t field, int64_t bytes) {
  if (to.offset < 0) return;
  as_.mov(run_a_, as_.qword[as_.rcx + static_cast<int>(field)]);
  scale(run_a_, bytes);
  as_.mov(at(to), run_a_);
}

/// Everything that the call gives goes to registers and the stack; after this rcx is free.
void ContractionEmitter::load_arguments() {
  load_step(lda_, desc_.lda, offsetof(ContractionCall, lda), a_bytes_);
  load_step(ldb_, desc_.ldb, offsetof(ContractionCall, ldb), (desc_.b_packing == Packing::vnni2 ? 2 : 1) * b_bytes_);
  load_step(ldc_, desc_.ldc, offsetof(ContractionCall, ldc), c_bytes_);
  load_slot(m_, offsetof(ContractionCall, m), 1);
  load_slot(n_, offsetof(ContractionCall, n), 1);
  load_slot(k_, offsetof(ContractionCall, k), 1);
  load_slot(batch_, offsetof(ContractionCall, batch), 1);
  load_slot(a_stride_, offsetof(ContractionCall, a_stride), a_bytes_);
  load_slot(b_stride_, offsetof(ContractionCall, b_stride), b_bytes_);
  if (desc_.addressing == Batch::offset) {
    load_slot(a_list_, offsetof(ContractionCall, a_offsets), 1);
    load_slot(b_list_, offsetof(ContractionCall, b_offsets), 1);
  } else if (desc_.addressing == Batch::address) {
    load_slot(a_list_, offsetof(ContractionCall, a_list), 1);
    load_slot(b_list_, offsetof(ContractionCall, b_list), 1);
    as_.xor_(a_.cvt32(), a_.cvt32());
    as_.xor_(b_.cvt32(), b_.cvt32());
  }
  if (lda_.at_call() && !desc_.trans_a) as_.lea(lda3_, as_.ptr[*lda_.reg + *lda_.reg * 2]);
  if (unit_.evex && (desc_.a == DType::bf16 || pairs_)) {  // the upper, the lower of two bf16
    as_.mov(scratch_.cvt32(), 0xaaaaaaaau);
    as_.kmovd(as_.k2, scratch_.cvt32());
    as_.knotd(as_.k4, as_.k2);
  }
}

jit::Code ContractionEmitter::emit(const std::string& name) {
  try {
    Reg saved[5];
    std::fill(std::begin(saved), std::end(saved), as_.rax);  // which enter() does not save
    int count = 0;
    for (const Reg& reg : used_) {
      if (reg == as_.rbx || reg == as_.r12 || reg == as_.r13 || reg == as_.r14 || reg == as_.r15) saved[count++] = reg;
    }
    as_.enter({saved[0], saved[1], saved[2], saved[3], saved[4]}, stack_);
    load_arguments();
    columns_loop();
    as_.leave();
  } catch (const Xbyak::Error& error) {
    throw_error(ErrorCode::internal,
                fmt::format("[contraction] {}: {} (a bug in Gregale; please report it)", name, error.what()));
  }
  return as_.finish(name);
}

void ContractionEmitter::columns_loop() {
  using Xbyak::Label;
  constexpr auto kNear = Xbyak::CodeGenerator::T_NEAR;
  if (blocking_.columns.empty()) return;
  if (a_start_.offset >= 0) {
    as_.mov(at(a_start_), a_);
    as_.mov(at(c_start_), c_);
  }
  if (desc_.n != kAtCall) {
    for (const ColumnRun& column : blocking_.columns) {
      const bool last = &column == &blocking_.columns.back();
      if (column.count == 1) {
        strip(column, last);
        continue;
      }
      Label next;
      set(n_count_, column.count);
      as_.L(next);
      strip(column, false);
      subtract(n_count_, 1);
      as_.jnz(next, kNear);
    }
    return;
  }
  Label next, done;
  std::vector<Label> widths(blocking_.columns.size());
  const Reg left = n_count_.reg ? *n_count_.reg : scratch_;
  as_.mov(scratch_, at(n_));
  if (n_count_.reg) {
    as_.mov(*n_count_.reg, scratch_);
  } else {
    as_.mov(at(n_count_.slot), scratch_);
  }
  as_.L(next);
  if (!n_count_.reg) as_.mov(scratch_, at(n_count_.slot));
  as_.cmp(left, 0);
  as_.jle(done, kNear);
  const auto columns = [&](size_t i) {
    const ColumnRun& column = blocking_.columns[i];
    return column.vectors * unit_.lanes - (column.tail > 0 ? unit_.lanes - column.tail : 0);
  };
  for (size_t i = widths.size() - 1; i > 0; --i) {
    as_.cmp(left, blocking_.columns[i].tail == ColumnRun::kTailAtCall ? columns(i - 1) + 1 : columns(i));
    as_.jge(widths[i], kNear);
  }
  for (size_t i = 0; i < widths.size(); ++i) {
    as_.L(widths[i]);
    strip(blocking_.columns[i], false);
    subtract(n_count_, columns(i));
    as_.jmp(next, kNear);
  }
  as_.L(done);
}

/// All rows of a strip of columns, then on to the next strip.
void ContractionEmitter::strip(const ColumnRun& column, bool last) {
  set_masks(column);
  if (desc_.m == kAtCall) {
    rows_at_call(column);
  } else {
    rows_fixed(column, last);
  }
  if (last) return;
  const int64_t columns = int64_t{column.vectors} * unit_.lanes;
  if (a_start_.offset >= 0) {
    as_.mov(a_, at(a_start_));
    as_.mov(c_, at(c_start_));
    add_fixed(c_, columns * c_bytes_);
    as_.mov(at(c_start_), c_);
  } else {
    add_fixed(a_, -desc_.m * (desc_.trans_a ? a_bytes_ : lda_.fixed));
    add_fixed(c_, columns * c_bytes_ - desc_.m * ldc_.fixed);
  }
  if (!panels_) {
    add_fixed(b_, columns * b_bytes_ * (pairs_ ? 2 : 1));
  } else {
    add_times(b_, ldb_, columns / 16);
  }
}

void ContractionEmitter::rows_fixed(const ColumnRun& column, bool last) {
  const auto advance = [&](int rows) {
    if (desc_.trans_a) {
      add_fixed(a_, rows * a_bytes_);
    } else {
      add_times(a_, lda_, rows);
    }
    add_times(c_, ldc_, rows);
  };
  for (const RowRun& run : column.rows) {
    Xbyak::Label next;
    if (run.count > 1) {
      set(m_count_, run.count);
      as_.align(32);
      as_.L(next);
    }
    block(column, run.rows);
    if (run.count > 1 || !last || &run != &column.rows.back()) advance(run.rows);
    if (run.count > 1) {
      subtract(m_count_, 1);
      as_.jnz(next, Xbyak::CodeGenerator::T_NEAR);
    }
  }
}

/// Jumps to labels[scratch_], which is in [low, high].
void ContractionEmitter::dispatch(int low, int high, std::vector<Xbyak::Label>& labels) {
  if (low == high) {
    as_.jmp(labels[static_cast<size_t>(low)], Xbyak::CodeGenerator::T_NEAR);
    return;
  }
  const int middle = (low + high + 1) / 2;
  Xbyak::Label upper;
  as_.cmp(scratch_, middle);
  as_.jge(upper, Xbyak::CodeGenerator::T_NEAR);
  dispatch(low, middle - 1, labels);
  as_.L(upper);
  dispatch(middle, high, labels);
}

/// Blocks as tall as possible, but the last two share what is left.
void ContractionEmitter::rows_at_call(const ColumnRun& column) {
  using Xbyak::Label;
  constexpr auto kNear = Xbyak::CodeGenerator::T_NEAR;
  const int most = column.max_rows;
  std::vector<Label> heights(static_cast<size_t>(most) + 1);
  Label next, halve, few, done;
  as_.mov(scratch_, at(m_));
  if (m_count_.reg) {
    as_.mov(*m_count_.reg, scratch_);
  } else {
    as_.mov(at(m_count_.slot), scratch_);
  }
  as_.L(next);
  if (m_count_.reg) {
    as_.mov(scratch_, *m_count_.reg);
  } else {
    as_.mov(scratch_, at(m_count_.slot));
  }
  as_.cmp(scratch_, 2 * most);
  as_.jge(heights[static_cast<size_t>(most)], kNear);
  as_.cmp(scratch_, most);
  as_.jle(few, kNear);
  as_.inc(scratch_);
  as_.shr(scratch_, 1);
  as_.L(few);
  as_.cmp(scratch_, 0);
  as_.jle(done, kNear);
  dispatch(1, most, heights);
  for (int rows = most; rows >= 1; --rows) {
    as_.L(heights[static_cast<size_t>(rows)]);
    block(column, rows);
    if (desc_.trans_a) {
      add_fixed(a_, rows * a_bytes_);
    } else {
      add_times(a_, lda_, rows);
    }
    add_times(c_, ldc_, rows);
    subtract(m_count_, rows);
    as_.jmp(next, kNear);
  }
  as_.L(done);
}

/// k1: the columns of the last register; k3: their upper halves, of pairs. AVX2: a mask in memory.
void ContractionEmitter::set_masks(const ColumnRun& column) {
  if (column.tail == 0) return;
  const bool upper = pairs_ && !dot_;
  if (column.tail > 0) {
    if (!unit_.evex) return;  // a constant
    as_.mov(scratch_.cvt32(), (1u << column.tail) - 1);
    as_.kmovd(as_.k1, scratch_.cvt32());
    if (upper) {
      as_.mov(scratch_.cvt32(), 0xaaaaaaaau & static_cast<uint32_t>((uint64_t{1} << (2 * column.tail)) - 1));
      as_.kmovd(as_.k3, scratch_.cvt32());
    }
    return;
  }
  if (n_count_.reg) {
    as_.mov(scratch_, *n_count_.reg);
  } else {
    as_.mov(scratch_, at(n_count_.slot));
  }
  as_.sub(scratch_, (column.vectors - 1) * unit_.lanes);
  as_.mov(run_a_.cvt32(), unit_.lanes);
  as_.cmp(scratch_, run_a_);
  as_.cmovg(scratch_, run_a_);
  if (unit_.evex) {
    as_.or_(run_a_.cvt32(), -1);
    as_.bzhi(run_a_.cvt32(), run_a_.cvt32(), scratch_.cvt32());
    as_.kmovd(as_.k1, run_a_.cvt32());
    if (upper) {
      as_.add(scratch_, scratch_);
      as_.mov(run_a_.cvt32(), 0xaaaaaaaau);
      as_.bzhi(run_a_.cvt32(), run_a_.cvt32(), scratch_.cvt32());
      as_.kmovd(as_.k3, run_a_.cvt32());
    }
    return;
  }
  uint32_t table[16] = {};
  std::fill_n(table, 8, ~0u);
  Xbyak::Label& label = as_.pool(table, sizeof table);
  as_.neg(scratch_);
  as_.lea(run_a_, as_.ptr[as_.rip + label]);
  as_.vmovups(as_.ymm0, as_.ptr[run_a_ + scratch_ * static_cast<int>(f64_ ? 8 : 4) + 32]);
  as_.vmovups(as_.ptr[as_.rsp + mask_.offset], as_.ymm0);
}

double ContractionEmitter::l1_bytes() const {
  if (desc_.m == kAtCall || desc_.n == kAtCall || desc_.k == kAtCall || desc_.batch == kAtCall) return 0;
  double bytes = 0;
  for (const ColumnRun& column : blocking_.columns) {
    const bool half = wide_ && column.tail > 0 && column.tail <= unit_.lanes / 2;
    const double lanes = column.vectors * unit_.lanes - (half ? unit_.lanes / 2 : 0);
    for (const RowRun& run : column.rows) {
      const double loads = run.rows * static_cast<double>(a_bytes_) + lanes * static_cast<double>(b_bytes_);
      const double stores = run.rows * lanes * static_cast<double>((desc_.accumulate ? 2 : 1) * c_bytes_);
      bytes +=
          static_cast<double>(run.count * column.count) * (static_cast<double>(desc_.batch * desc_.k) * loads + stores);
    }
  }
  return bytes;
}

}  // namespace gregale::kernels
