// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// One block of c in registers: its sums are cleared or loaded, run through the batch and k, and stored.
#include <algorithm>

#include "kernels/contraction/contraction_emitter.hpp"

namespace gregale::kernels {
namespace {

using Batch = ContractionDesc::Batch;
using Operand = Xbyak::Operand;
using RegExp = Xbyak::RegExp;
constexpr auto kNear = Xbyak::CodeGenerator::T_NEAR;
constexpr int64_t kMostDisplacement = int64_t{1} << 30;

RegExp plus(const RegExp& base, int64_t displacement) { return base + static_cast<size_t>(displacement); }

}  // namespace

ContractionEmitter::Vec ContractionEmitter::full(int index) const {
  GREGALE_ASSERT(index < registers());
  return {wide_ ? Operand::ZMM : Operand::YMM, index};
}

ContractionEmitter::Vec ContractionEmitter::vec(int index, int vector) const {
  GREGALE_ASSERT(index < registers());  // AVX2 code would turn into AVX-512
  return {wide_ && !is_half(vector) ? Operand::ZMM : Operand::YMM, index};
}

/// Columns that fit half a register take half a register: some processors are twice as fast there.
bool ContractionEmitter::is_half(int vector) const {
  return wide_ && vector == vectors_ - 1 && column_->tail > 0 && column_->tail <= unit_.lanes / 2;
}

bool ContractionEmitter::is_masked(int vector) const {
  return vector == vectors_ - 1 && column_->tail != 0 && !(is_half(vector) && column_->tail == unit_.lanes / 2);
}

RegExp ContractionEmitter::a_at(int row, int64_t at, int half) const {
  if (desc_.trans_a) {
    if (!lda_.at_call()) return plus(at_a_, ((pairs_ ? 2 : 1) * at + half) * lda_.fixed + row * a_bytes_);
    return half == 0 ? plus(at_a_, row * a_bytes_) : plus(at_a_ + *lda_.reg, row * a_bytes_);
  }
  const int64_t along = ((pairs_ ? 2 : 1) * at + half) * a_bytes_;
  if (!lda_.at_call()) return plus(at_a_, row * lda_.fixed + along);
  const Reg& base = row < 5 ? at_a_ : row < 10 ? at_a5_ : at_a10_;
  switch (row % 5) {
    case 0:
      return plus(base, along);
    case 3:
      return plus(base + lda3_, along);
    default:
      return plus(base + *lda_.reg * (row % 5), along);
  }
}

RegExp ContractionEmitter::b_at(int vector, int64_t at) const {
  const int64_t column = int64_t{vector} * unit_.lanes;
  if (panels_) {
    const int64_t panel = column / 16, within = column % 16 * 4 + at * 64;
    if (!ldb_.at_call()) return plus(at_b_, panel * ldb_.fixed + within);
    return panel == 0 ? plus(at_b_, within) : plus(at_b_ + *ldb_.reg * static_cast<int>(panel), within);
  }
  const int64_t within = column * b_bytes_ * (pairs_ ? 2 : 1);
  return plus(at_b_, ldb_.at_call() ? within : within + at * ldb_.fixed);
}

RegExp ContractionEmitter::c_at(int row, int vector) const {
  const int64_t within = int64_t{vector} * unit_.lanes * c_bytes_;
  return plus(c_, ldc_.at_call() ? within : within + row * ldc_.fixed);
}

void ContractionEmitter::block(const ColumnRun& column, int rows) {
  column_ = &column;
  rows_ = rows;
  vectors_ = column.vectors;
  if (desc_.accumulate && !desc_.own_chain) {
    load_sums();
  } else {
    clear_sums();
  }
  batch_loop();
  store_sums();
}

void ContractionEmitter::clear_sums() {
  for (int i = 0; i < rows_ * vectors_; ++i) {
    if (i < 16) {
      as_.vxorps(Xbyak::Xmm(i), Xbyak::Xmm(i), Xbyak::Xmm(i));  // clears the whole register
    } else {
      as_.vpxord(Xbyak::Xmm(i), Xbyak::Xmm(i), Xbyak::Xmm(i));
    }
  }
}

/// The mask of the last register's columns, of AVX2 code.
Xbyak::Address ContractionEmitter::tail_mask() {
  if (column_->tail == ColumnRun::kTailAtCall) return as_.ptr[as_.rsp + mask_.offset];
  uint32_t mask[8] = {};
  std::fill_n(mask, column_->tail * (f64_ ? 2 : 1), ~0u);
  return as_.ptr[as_.rip + as_.pool(mask, sizeof mask)];
}

void ContractionEmitter::load_sums() {
  if (ldc_.at_call()) as_.mov(run_a_, c_);
  for (int i = 0; i < rows_; ++i) {
    for (int j = 0; j < vectors_; ++j) {
      const RegExp from = ldc_.at_call() ? plus(run_a_, int64_t{j} * unit_.lanes * c_bytes_) : c_at(i, j);
      const Vec to = sum(i, j);
      if (!is_masked(j)) {
        as_.vmovups(to, as_.ptr[from]);
      } else if (unit_.evex) {
        if (f64_) {
          as_.vmovupd(to | as_.k1 | as_.T_z, as_.ptr[from]);
        } else {
          as_.vmovups(to | as_.k1 | as_.T_z, as_.ptr[from]);
        }
      } else {
        as_.vmovups(to, tail_mask());
        if (f64_) {
          as_.vmaskmovpd(to, to, as_.ptr[from]);
        } else {
          as_.vmaskmovps(to, to, as_.ptr[from]);
        }
      }
    }
    if (ldc_.at_call() && i + 1 < rows_) as_.add(run_a_, *ldc_.reg);
  }
}

/// at_a_ and at_b_ at the beginning of item number item_ of the batch.
void ContractionEmitter::start_item() {
  switch (desc_.addressing) {
    case Batch::none:
      as_.mov(at_a_, a_);
      as_.mov(at_b_, b_);
      break;
    case Batch::stride:
      as_.mov(at_a_, at(a_item_));
      as_.mov(at_b_, at(b_item_));
      break;
    case Batch::offset:
      as_.mov(scratch_, at(a_list_));
      as_.mov(at_a_, as_.ptr[scratch_ + *item_ * 8]);
      as_.mov(scratch_, at(b_list_));
      as_.mov(at_b_, as_.ptr[scratch_ + *item_ * 8]);
      as_.lea(at_a_, as_.ptr[a_ + at_a_ * static_cast<int>(a_bytes_)]);
      as_.lea(at_b_, as_.ptr[b_ + at_b_ * static_cast<int>(b_bytes_)]);
      break;
    case Batch::address:
      as_.mov(scratch_, at(a_list_));
      as_.mov(at_a_, as_.ptr[scratch_ + *item_ * 8]);
      as_.mov(scratch_, at(b_list_));
      as_.mov(at_b_, as_.ptr[scratch_ + *item_ * 8]);
      as_.add(at_a_, a_);
      as_.add(at_b_, b_);
      break;
  }
  if (lda_.at_call() && !desc_.trans_a) {
    if (rows_ > 5) {
      as_.lea(at_a5_, as_.ptr[at_a_ + *lda_.reg * 4]);
      as_.add(at_a5_, *lda_.reg);
    }
    if (rows_ > 10) {
      as_.lea(at_a10_, as_.ptr[at_a5_ + *lda_.reg * 4]);
      as_.add(at_a10_, *lda_.reg);
    }
  }
}

void ContractionEmitter::batch_loop() {
  if (desc_.k == 0 || desc_.batch == 0) return;
  if (desc_.addressing == Batch::none) {
    k_loop();
    return;
  }
  Xbyak::Label next, done;
  as_.xor_(item_->cvt32(), item_->cvt32());
  if (desc_.batch == kAtCall) {
    as_.cmp(at(batch_), 0);
    as_.jle(done, kNear);
  }
  const auto advance = [&](Slot item, Slot given, int64_t stride, int64_t bytes) {
    if (given.offset >= 0) {
      as_.mov(scratch_, at(given));
    } else {
      as_.mov(scratch_, static_cast<uint64_t>(stride * bytes));
    }
    as_.add(at(item), scratch_);
  };
  if (desc_.addressing == Batch::stride) {
    as_.mov(at(a_item_), a_);
    as_.mov(at(b_item_), b_);
  }
  as_.L(next);
  k_loop();
  if (desc_.addressing == Batch::stride) {
    advance(a_item_, a_stride_, desc_.a_stride, a_bytes_);
    advance(b_item_, b_stride_, desc_.b_stride, b_bytes_);
  }
  as_.inc(*item_);
  if (desc_.batch == kAtCall) {
    as_.cmp(*item_, at(batch_));
  } else {
    as_.mov(scratch_, static_cast<uint64_t>(desc_.batch));
    as_.cmp(*item_, scratch_);
  }
  as_.jl(next, kNear);
  as_.L(done);
}

void ContractionEmitter::k_loop() {
  const int64_t instructions = (rows_ * (vectors_ + (vectors_ > 1 ? 1 : 0)) + vectors_) * (pairs_ && !dot_ ? 2 : 1);
  const int64_t unroll = std::clamp<int64_t>(192 / instructions, 2, 8);
  const bool steps_at_call = (desc_.trans_a && lda_.at_call()) || (!panels_ && ldb_.at_call());
  at_a_ = run_a_;
  at_b_ = run_b_;
  if (desc_.k == kAtCall) {
    Xbyak::Label loop, few, single, done, even;
    start_item();
    as_.mov(*k_count_, at(k_));
    if (pairs_) as_.shr(*k_count_, 1);
    as_.sub(*k_count_, static_cast<int>(unroll));
    as_.jl(few, kNear);
    as_.align(32);
    as_.L(loop);
    steps(unroll);
    advance_k(unroll);
    as_.sub(*k_count_, static_cast<int>(unroll));
    as_.jge(loop, kNear);
    as_.L(few);
    as_.add(*k_count_, static_cast<int>(unroll));
    as_.jle(done, kNear);
    as_.L(single);
    steps(1);
    advance_k(1);
    as_.dec(*k_count_);
    as_.jnz(single, kNear);
    as_.L(done);
    if (pairs_) {
      as_.test(as_.byte[as_.rsp + k_.offset], 1);
      as_.jz(even, kNear);
      step(0, true);
      as_.L(even);
    }
    return;
  }
  const int64_t count = pairs_ ? desc_.k / 2 : desc_.k;
  const int64_t farthest = count * std::max({desc_.trans_a ? 2 * lda_.fixed : 2 * a_bytes_, panels_ ? 64 : ldb_.fixed});
  // Few blocks are worth code without a loop; where extents are given at the call, many are compiled.
  const bool many = desc_.m == kAtCall || desc_.n == kAtCall;
  const bool straight = ((!many && count * instructions <= 640) || count <= unroll) && farthest < kMostDisplacement;
  if (straight && desc_.addressing == Batch::none && !steps_at_call && !lda_.at_call()) {
    at_a_ = a_;
    at_b_ = b_;
  } else {
    start_item();
  }
  if (straight) {
    steps(count);
    if (pairs_ && desc_.k % 2 != 0) step(count, true);
    return;
  }
  const int64_t loops = count / unroll;
  Xbyak::Label loop;
  as_.mov(*k_count_, static_cast<uint64_t>(loops));
  as_.align(32);
  as_.L(loop);
  steps(unroll);
  advance_k(unroll);
  as_.dec(*k_count_);
  as_.jnz(loop, kNear);
  steps(count % unroll);
  if (pairs_ && desc_.k % 2 != 0) step(count % unroll, true);
}

void ContractionEmitter::steps(int64_t count) {
  for (int64_t at = 0; at < count; ++at) {
    step(at, false);
    // Where a step is given at the call, pointers follow it at once.
    if (desc_.trans_a && lda_.at_call()) {
      if (pairs_) {
        as_.lea(at_a_, as_.ptr[at_a_ + *lda_.reg * 2]);
      } else {
        as_.add(at_a_, *lda_.reg);
      }
    }
    if (!panels_ && ldb_.at_call()) as_.add(at_b_, *ldb_.reg);
  }
}

/// Moves the pointers over `count` steps, where displacements have stood for them.
void ContractionEmitter::advance_k(int64_t count) {
  const int64_t values = count * (pairs_ ? 2 : 1);
  if (!desc_.trans_a) {
    add_fixed(at_a_, values * a_bytes_);
    if (lda_.at_call() && rows_ > 5) add_fixed(at_a5_, values * a_bytes_);
    if (lda_.at_call() && rows_ > 10) add_fixed(at_a10_, values * a_bytes_);
  } else if (!lda_.at_call()) {
    add_fixed(at_a_, values * lda_.fixed);
  }
  if (panels_) {
    add_fixed(at_b_, count * 64);
  } else if (!ldb_.at_call()) {
    add_fixed(at_b_, count * ldb_.fixed);
  }
}

/// One k, or one pair. `half_step`: the last k of an odd number, alone in its pair.
void ContractionEmitter::step(int64_t at, bool half_step) {
  const int halves = pairs_ && !dot_ && !half_step ? 2 : 1;
  // A single row takes b from memory.
  const bool direct = rows_ == 1 && unit_.evex && (dot_ || desc_.b != DType::bf16);
  if (direct) {
    broadcast_a(0, at, 0, half_step);
    for (int j = 0; j < vectors_; ++j) {
      const Vec to = is_masked(j) ? sum(0, j) | as_.k1 : sum(0, j);
      multiply_add(to, vec(spare(0), j), as_.ptr[b_at(j, at)]);
    }
    return;
  }
  for (int half = 0; half < halves; ++half) {
    for (int j = 0; j < vectors_; ++j) load_b(j, at, half);
    fetch_b(at);
    multiply_rows(at, half, half_step);
  }
}

void ContractionEmitter::multiply_rows(int64_t at, int half, bool half_step) {
  const bool whole = a_is_lane(half_step);
  if (unit_.evex && whole && vectors_ == 1) {
    for (int i = 0; i < rows_; ++i) multiply_add(sum(i, 0), b_reg(0), as_.ptr_b[a_at(i, at, half)]);
    return;
  }
  // Two rows at a time where there are registers for it.
  const int together = spares();
  for (int i = 0; i < rows_; i += together) {
    const int last = std::min(i + together, rows_);
    for (int row = i; row < last; ++row) broadcast_a(row, at, half, half_step);
    for (int j = 0; j < vectors_; ++j) {
      for (int row = i; row < last; ++row) multiply_add(sum(row, j), b_reg(j), vec(spare(row), j));
    }
  }
}

/// Brings what b's rows hold some steps later to the cache. Weights that are read once a run come from memory, and the
/// prefetcher stops at the end of each page.
void ContractionEmitter::fetch_b(int64_t at) {
  constexpr int64_t kAhead = 64;
  if (!unit_.evex || panels_ || desc_.trans_b || ldb_.at_call()) return;
  for (int j = 0; j < vectors_; ++j) as_.prefetcht0(as_.ptr[b_at(j, at + kAhead)]);
}

void ContractionEmitter::load_b(int vector, int64_t at, int half) {
  const Vec to = b_reg(vector);
  const Xbyak::Address from = as_.ptr[b_at(vector, at)];
  const bool masked = is_masked(vector);
  const bool widen_pair = pairs_ && !dot_, widen = desc_.b == DType::bf16 && !pairs_;
  if (unit_.evex) {
    const Vec to_masked = masked ? to | as_.k1 | as_.T_z : to;
    if (widen_pair) {
      if (half == 0) {
        as_.vpslld(to_masked, from, 16);
      } else {
        as_.vmovdqu16(to | (masked ? as_.k3 : as_.k2) | as_.T_z, from);
      }
    } else if (widen) {
      as_.vpmovzxwd(to_masked, from);
      as_.vpslld(to, to, 16);
    } else if (f64_) {
      as_.vmovupd(to_masked, from);
    } else {
      as_.vmovups(to_masked, from);
    }
    return;
  }
  if (widen) {
    const Xbyak::Xmm low(to.getIdx());
    if (masked) {  // no loads of words under a mask: piece by piece
      const int tail = column_->tail;
      int done = 0;
      as_.vpxor(low, low, low);
      if (tail & 4) {
        as_.vmovq(low, as_.ptr[b_at(vector, at)]);
        done = 4;
      }
      if (tail & 2) {
        as_.vpinsrd(low, low, as_.ptr[plus(b_at(vector, at), 2 * done)], static_cast<uint8_t>(done / 2));
        done += 2;
      }
      if (tail & 1) as_.vpinsrw(low, low, as_.ptr[plus(b_at(vector, at), 2 * done)], static_cast<uint8_t>(done));
      as_.vpmovzxwd(to, low);
    } else {
      as_.vpmovzxwd(to, from);
    }
    as_.vpslld(to, to, 16);
    return;
  }
  if (!masked) {
    as_.vmovups(to, from);
  } else {
    as_.vmovups(to, tail_mask());
    if (f64_) {
      as_.vmaskmovpd(to, to, from);
    } else {
      as_.vmaskmovps(to, to, from);
    }
  }
  if (widen_pair && half == 0) as_.vpslld(to, to, 16);
  if (widen_pair && half == 1) as_.vpand(to, to, as_.ptr[as_.rip + as_.pool_u32(0xffff0000u)]);
}

void ContractionEmitter::multiply_add(const Vec& sum, const Vec& b, const Operand& a) {
  if (dot_) {
    as_.vdpbf16ps(sum, b, a);
  } else if (f64_) {
    as_.vfmadd231pd(sum, b, a);
  } else {
    as_.vfmadd231ps(sum, b, a);
  }
}

/// One value of a in all lanes of a register.
void ContractionEmitter::broadcast_a(int row, int64_t at, int half, bool half_step) {
  const RegExp from = a_at(row, at, half);
  const bool whole = a_is_lane(half_step);
  const int index = spare(row);
  const Vec a = full(index);
  if (desc_.a == DType::f64) {
    if (wide_) {
      as_.vbroadcastsd(Xbyak::Zmm(index), as_.ptr[from]);
    } else {
      as_.vbroadcastsd(Xbyak::Ymm(index), as_.ptr[from]);
    }
  } else if (whole) {
    as_.vbroadcastss(a, as_.ptr[from]);
  } else if (dot_ && half_step) {
    as_.vpbroadcastw(a | as_.k4 | as_.T_z, as_.ptr[from]);
  } else if (dot_) {
    as_.vpbroadcastw(a, as_.ptr[from]);
    as_.vpbroadcastw(a | as_.k2, as_.ptr[a_at(row, at, 1)]);
  } else if (unit_.evex) {
    as_.vpbroadcastw(a | as_.k2 | as_.T_z, as_.ptr[from]);
  } else {
    as_.vpbroadcastw(a, as_.ptr[from]);
    as_.vpslld(a, a, 16);
  }
}

/// What c holds at `at`, added to register `vector` of a row's sums.
void ContractionEmitter::add_c(const Vec& to, const RegExp& at, int vector) {
  const auto add = [&](const Vec& dst, const Xbyak::Operand& other) {
    if (f64_) {
      as_.vaddpd(dst, to, other);
    } else {
      as_.vaddps(dst, to, other);
    }
  };
  if (!is_masked(vector)) {
    add(to, as_.ptr[at]);
  } else if (unit_.evex) {
    add(to | as_.k1, as_.ptr[at]);
  } else {
    const Vec other = full(spare(0));
    as_.vmovups(other, tail_mask());
    if (f64_) {
      as_.vmaskmovpd(other, other, as_.ptr[at]);
    } else {
      as_.vmaskmovps(other, other, as_.ptr[at]);
    }
    add(to, other);
  }
}

void ContractionEmitter::store_sums() {
  for (int i = 0; i < rows_; ++i) {
    for (int j = 0; j < vectors_; ++j) {
      const RegExp to = ldc_.at_call() ? plus(run_a_, int64_t{j} * unit_.lanes * c_bytes_) : c_at(i, j);
      if (i == 0 && j == 0 && ldc_.at_call()) as_.mov(run_a_, c_);
      const Vec from = sum(i, j);
      if (desc_.accumulate && desc_.own_chain) add_c(from, to, j);
      if (desc_.c == DType::bf16) {
        store_bf16(i, j);
      } else if (!is_masked(j)) {
        as_.vmovups(as_.ptr[to], from);
      } else if (unit_.evex) {
        if (f64_) {
          as_.vmovupd(as_.ptr[to] | as_.k1, from);
        } else {
          as_.vmovups(as_.ptr[to] | as_.k1, from);
        }
      } else if (column_->tail > 0) {
        store_bytes(to, from, column_->tail * static_cast<int>(c_bytes_));
      } else {
        const Vec mask = full(spare(0));
        as_.vmovups(mask, tail_mask());
        if (f64_) {
          as_.vmaskmovpd(as_.ptr[to], mask, from);
        } else {
          as_.vmaskmovps(as_.ptr[to], mask, from);
        }
      }
    }
    if (ldc_.at_call() && i + 1 < rows_) as_.add(run_a_, *ldc_.reg);
  }
}

/// The first `bytes` of a register of AVX2 code, which is spent.
void ContractionEmitter::store_bytes(const RegExp& to, const Vec& from, int bytes) {
  const Xbyak::Xmm low(from.getIdx());
  int done = 0;
  if (bytes & 16) {
    as_.vmovups(as_.ptr[to], low);
    if (bytes & 15) as_.vextractf128(low, Xbyak::Ymm(from.getIdx()), 1);
    done = 16;
  }
  if (bytes & 8) {
    as_.vmovq(as_.ptr[plus(to, done)], low);
    if (bytes & 7) as_.vpsrldq(low, low, 8);
    done += 8;
  }
  if (bytes & 4) {
    as_.vmovd(as_.ptr[plus(to, done)], low);
    if (bytes & 3) as_.vpsrldq(low, low, 4);
    done += 4;
  }
  if (bytes & 2) as_.vpextrw(as_.ptr[plus(to, done)], low, 0);
}

/// Rounds to nearest even and stores; NaN stays NaN.
void ContractionEmitter::store_bf16(int row, int vector) {
  const RegExp to = ldc_.at_call() ? plus(run_a_, int64_t{vector} * unit_.lanes * c_bytes_) : c_at(row, vector);
  const Vec from = sum(row, vector);
  const int first = rows_ * vectors_;  // the registers of b are free
  const Vec t = vec(first, vector);
  Xbyak::Label &one = as_.pool_u32(1), &bias = as_.pool_u32(0x7fff), &quiet = as_.pool_u32(0x00400000);
  if (unit_.evex) {
    const Vec narrow(t.isZMM() ? Operand::YMM : Operand::XMM, first);
    if (bf16_conversion_) {
      as_.vcvtneps2bf16(narrow, from);
      if (is_masked(vector)) {
        as_.vmovdqu16(as_.ptr[to] | as_.k1, narrow);
      } else {
        as_.vmovups(as_.ptr[to], narrow);
      }
      return;
    }
    as_.vpsrld(t, from, 16);
    as_.vpandd(t, t, as_.ptr_b[as_.rip + one]);
    as_.vpaddd(t, t, from);
    as_.vpaddd(t, t, as_.ptr_b[as_.rip + bias]);
    as_.vcmpps(as_.k5, from, from, 3);  // unordered: NaN
    as_.vpord(t | as_.k5, from, as_.ptr_b[as_.rip + quiet]);
    as_.vpsrld(t, t, 16);
    as_.vpmovdw(is_masked(vector) ? as_.ptr[to] | as_.k1 : as_.ptr[to], t);
    return;
  }
  const Xbyak::Ymm x(from.getIdx()), y(first), nan(first + 1);
  const Xbyak::Xmm low(first), high(first + 1);
  as_.vpsrld(y, x, 16);
  as_.vpand(y, y, as_.ptr[as_.rip + one]);
  as_.vpaddd(y, y, x);
  as_.vpaddd(y, y, as_.ptr[as_.rip + bias]);
  as_.vcmpps(nan, x, x, 3);
  as_.vpor(x, x, as_.ptr[as_.rip + quiet]);
  as_.vblendvps(y, y, x, nan);
  as_.vpsrld(y, y, 16);
  as_.vextracti128(high, y, 1);
  as_.vpackusdw(low, low, high);
  if (!is_masked(vector)) {
    as_.vmovups(as_.ptr[to], low);
  } else {
    store_bytes(to, low, column_->tail * 2);
  }
}

}  // namespace gregale::kernels
