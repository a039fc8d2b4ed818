// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_tile_emitter.hpp"

#include <algorithm>
#include <cstddef>

namespace gregale::kernels {

using Xbyak::Tmm;
using Batch = ContractionDesc::Batch;

namespace {

constexpr int kTileRows = 16, kTileColumns = 16;
constexpr int64_t kStepK = 32, kTileBytes = 1024;
// Steps of k that blocks of rows share before the next: two panels of b are then 32 KB, and stay in L1.
constexpr int64_t kMostSteps = 16, kMostStepsInParts = 4;
int64_t most_steps(const TileParts& parts) { return parts.b == 0 ? kMostSteps : kMostStepsInParts; }
constexpr int kA = 4, kB = 6;
// On the stack: c's block (32 rows of 32 sums), then a's last columns (32 rows of 32 elements), zeros behind them.
constexpr int kSumsAt = 0, kSumsStride = 128, kWaitingBytes = 32 * kSumsStride, kTailAt = 32 * kSumsStride,
              kTailStride = 64;
constexpr int kStack = kTailAt + 32 * kTailStride;
// Then, for a batch: where a and b of the block begin, and which item comes next.
constexpr int kBlockA = kStack, kBlockB = kStack + 8, kItemA = kStack + 16, kItemB = kStack + 24, kListA = kStack + 32,
              kListB = kStack + 40;
// Without a batch: where sums wait for their next pass, of the first block of rows and of this one.
constexpr int kScratch = kStack, kWaiting = kStack + 8, kWidened = kStack + 64;
// Then, of b in bytes, two steps of k of two panels, widened.
constexpr int kUnroll = 2, kAllStack = kWidened + kUnroll * 2 * static_cast<int>(kTileBytes);

}  // namespace

std::vector<TileRows> cut_tile_rows(int64_t m) {
  std::vector<TileRows> cuts;
  if (m == 0) return cuts;
  const int64_t blocks = (m + 31) / 32, taller = m % blocks, rows = m / blocks;
  const auto add = [&](int64_t height, int64_t count) {
    if (count == 0) return;
    const int h = static_cast<int>(height);
    const int upper = h <= kTileRows ? h : (h + 1) / 2;
    cuts.push_back({upper, h - upper, count});
  };
  add(rows + 1, taller);
  add(rows, blocks - taller);
  return cuts;
}

namespace {

/// Whether all rows take some steps of k before the next ones, so that their sums wait in scratch.
bool takes_passes(const ContractionDesc& desc, const TileRows& rows, const TileParts& parts) {
  return desc.addressing == Batch::none && rows.count > 1 && desc.k / kStepK > most_steps(parts);
}

}  // namespace

int64_t ContractionTileEmitter::scratch_bytes(const ContractionDesc& desc, const TileRows& rows,
                                              const TileParts& parts) {
  return takes_passes(desc, rows, parts) ? rows.count * kWaitingBytes : 0;
}

TileConfig config_of(const TileRows& rows) {
  TileConfig config;
  const auto set = [&](int tile, int height) {
    config.rows[tile] = static_cast<uint8_t>(height);
    config.row_bytes[tile] = height > 0 ? 64 : 0;
  };
  for (const int right : {0, 1}) {
    set(right, rows.upper);
    set(2 + right, rows.lower);
    set(kB + right, kTileRows);
  }
  set(kA, rows.upper);
  set(kA + 1, rows.lower);
  return config;
}

ContractionTileEmitter::ContractionTileEmitter(const ContractionDesc& desc, const TileRows& rows,
                                               const TileParts& parts)
    : desc_(desc),
      rows_(rows),
      parts_(parts),
      batch_(desc.addressing != Batch::none),
      to_bf16_(desc.c == DType::bf16),
      bytes_(desc.b == DType::i8),
      lda_bytes_(desc.lda * 2),
      ldc_bytes_(desc.ldc * size_of(desc.c)),
      panel_bytes_(desc.ldb * size_of(desc.b)),
      b_tile_bytes_(bytes_ ? kTileBytes / 2 : kTileBytes),
      passes_(takes_passes(desc, rows, parts)),
      steps_(desc.k / kStepK),
      tail_(desc.k % kStepK),
      a_(as_.rdi),
      b_(as_.rsi),
      c_(as_.rdx),
      call_(as_.rcx),
      run_a_(as_.rax),
      run_b_(as_.r9),
      lda_reg_(as_.r10),
      ldc_reg_(as_.r11),
      b_stride_reg_(as_.r8),
      count_(as_.rbx),
      blocks_(as_.r12),
      column_count_(as_.r13),
      item_(as_.r14),
      save_(as_.r15),
      fetch_(as_.rcx),
      next_b_(as_.r14) {}

Xbyak::Opmask ContractionTileEmitter::mask_of(int lanes) {
  as_.mov(save_.cvt32(), lanes >= 32 ? 0xffffffffu : (1u << lanes) - 1);
  as_.kmovd(as_.k1, save_.cvt32());
  return as_.k1;
}

/// Tiles of c: zeros, what c holds, or what waits since the last pass.
void ContractionTileEmitter::begin_sums(int tiles, int width, const Pass& pass) {
  const bool waiting = !pass.first, from_c = pass.first && desc_.accumulate && !desc_.own_chain;
  if (waiting) {
    as_.mov(run_a_, as_.qword[as_.rsp + kWaiting]);
    as_.mov(save_, kSumsStride);
  }
  for (const int lower : {0, 1}) {
    const int height = lower != 0 ? rows_.lower : rows_.upper;
    if (height == 0) continue;
    for (int right = 0; right < tiles; ++right) {
      const Tmm tile(2 * lower + right);
      if (!waiting && !from_c) {
        as_.tilezero(tile);
        continue;
      }
      l1_bytes_ += 64.0 * height;
      if (waiting) {
        as_.tile_load(tile, run_a_, save_, lower * rows_.upper * kSumsStride + right * 64);
        continue;
      }
      const int columns = std::min(kTileColumns, width - right * kTileColumns);
      const int64_t at = lower * rows_.upper * ldc_bytes_ + right * 64;
      if (columns == kTileColumns) {
        as_.lea(save_, as_.ptr[c_ + static_cast<int>(at)]);
        as_.tile_load(tile, save_, ldc_reg_);
        continue;
      }
      const Xbyak::Opmask mask = mask_of(columns);
      for (int row = 0; row < height; ++row) {
        as_.vmovups(as_.zmm0 | mask | as_.T_z, as_.ptr[c_ + static_cast<int>(at + row * ldc_bytes_)]);
        as_.vmovups(as_.ptr[as_.rsp + kSumsAt + row * 64], as_.zmm0);
      }
      as_.lea(save_, as_.ptr[as_.rsp + kSumsAt]);
      as_.tile_load(tile, save_, b_stride_reg_);
    }
  }
}

/// The tiles of b of one step, at `at` from run_b_, as bf16 at `to` on the stack: whole numbers that small are exact.
void ContractionTileEmitter::widen_b(int tiles, int64_t at, int64_t to) {
  for (int right = 0; right < tiles; ++right)
    for (int row = 0; row < kTileRows; ++row) {
      const auto from = static_cast<int>(at + right * panel_bytes_ + row * 32);
      const Xbyak::Zmm low(2 * (row % 8)), high(2 * (row % 8) + 1);
      as_.vpmovsxbd(low, as_.ptr[run_b_ + from]);
      as_.vpmovsxbd(high, as_.ptr[run_b_ + (from + 16)]);
      as_.vcvtdq2ps(low, low);
      as_.vcvtdq2ps(high, high);
      as_.vpsrld(low, low, 16);  // the lower half of either is zeros
      as_.vpord(low, low, high);
      as_.vmovups(as_.ptr[as_.rsp + static_cast<int>(to + right * kTileBytes + row * 64)], low);
    }
  l1_bytes_ += tiles * 1.5 * kTileBytes;
}

/// Loads stand right before their first use. What streams by (a where b's panels meet several blocks of rows, b where
/// they meet one) must not drive the other operand from L1.
void ContractionTileEmitter::one_step(int tiles, const Reg& a, const Reg& a_stride, int64_t a_lower, int64_t a_at,
                                      int64_t b_at) {
  const auto load = [&](bool once, int tile, const Reg& base, const Reg& stride, int64_t at) {
    if (once) {
      as_.tile_load_once(Tmm(tile), base, stride, static_cast<int>(at));
    } else {
      as_.tile_load(Tmm(tile), base, stride, static_cast<int>(at));
    }
  };
  const bool a_once = rows_.count > 1, b_once = !a_once && !bytes_;
  const Reg& b = bytes_ ? as_.rsp : run_b_;
  const int64_t next_panel = bytes_ ? kTileBytes : panel_bytes_;
  load(b_once, kB, b, b_stride_reg_, b_at);
  load(a_once, kA, a, a_stride, a_at);
  as_.tdpbf16ps(Tmm(0), Tmm(kA), Tmm(kB));
  if (tiles == 2) {
    load(b_once, kB + 1, b, b_stride_reg_, b_at + next_panel);
    as_.tdpbf16ps(Tmm(1), Tmm(kA), Tmm(kB + 1));
  }
  if (rows_.lower > 0) {
    load(a_once, kA + 1, a, a_stride, a_at + a_lower);
    as_.tdpbf16ps(Tmm(2), Tmm(kA + 1), Tmm(kB));
    if (tiles == 2) as_.tdpbf16ps(Tmm(3), Tmm(kA + 1), Tmm(kB + 1));
  }
}

/// Six of the nine products of parts: the others are below the rounding of fp32. Two parts are loaded for each, small
/// products first, and one of the two stays for the next.
void ContractionTileEmitter::one_step_in_parts(int tiles, int64_t a_at, int64_t b_at) {
  constexpr int kHigh = 0, kMiddle = 1, kLow = 2;
  constexpr int kProducts[6][2] = {{kHigh, kLow},    {kHigh, kMiddle}, {kMiddle, kMiddle},
                                   {kMiddle, kHigh}, {kLow, kHigh},    {kHigh, kHigh}};  // of a and of b
  const int64_t lower = rows_.upper * lda_bytes_;
  const auto load = [&](int tile, const Reg& base, const Reg& stride, int64_t at) {
    as_.mov(save_, static_cast<uint64_t>(at));
    as_.add(save_, base);
    if (tile < kB) {
      as_.tile_load_once(Tmm(tile), save_, stride);
    } else {
      as_.tile_load(Tmm(tile), save_, stride);
    }
  };
  int in_a = -1, in_b = -1;
  for (const auto& [part_a, part_b] : kProducts) {
    const int64_t a = a_at + part_a * parts_.a * 2, b = b_at + part_b * parts_.b * 2;
    if (part_b != in_b) load(kB, run_b_, b_stride_reg_, b);
    if (part_a != in_a) load(kA, run_a_, lda_reg_, a);
    as_.tdpbf16ps(Tmm(0), Tmm(kA), Tmm(kB));
    if (tiles == 2) {
      if (part_b != in_b) load(kB + 1, run_b_, b_stride_reg_, b + panel_bytes_);
      as_.tdpbf16ps(Tmm(1), Tmm(kA), Tmm(kB + 1));
    }
    if (rows_.lower > 0) {
      if (part_a != in_a) load(kA + 1, run_a_, lda_reg_, a + lower);
      as_.tdpbf16ps(Tmm(2), Tmm(kA + 1), Tmm(kB));
      if (tiles == 2) as_.tdpbf16ps(Tmm(3), Tmm(kA + 1), Tmm(kB + 1));
    }
    in_a = part_a;
    in_b = part_b;
  }
}

/// a's last columns, with zeros behind: what b's padding is multiplied with must not be NaN.
void ContractionTileEmitter::copy_a_tail() {
  const Xbyak::Opmask mask = mask_of(static_cast<int>(tail_));
  for (int row = 0; row < rows_.rows(); ++row) {
    as_.vmovdqu16(as_.zmm0 | mask | as_.T_z, as_.ptr[run_a_ + static_cast<int>(row * lda_bytes_)]);
    as_.vmovups(as_.ptr[as_.rsp + kTailAt + row * kTailStride], as_.zmm0);
  }
}

/// Of one item of the batch the steps of a pass, run_a_ and run_b_ at their beginning.
void ContractionTileEmitter::products(int tiles, const Pass& pass) {
  const int64_t lower = rows_.upper * lda_bytes_;
  // What is read and written at the end is fetched meanwhile, a few rows a step: it may come from far.
  const bool fetch_c = !batch_ && !desc_.accumulate && pass.first && pass.steps > 0;
  const int64_t rows_of_c = fetch_c ? (rows_.rows() + pass.steps - 1) / pass.steps : 0;
  if (fetch_c) as_.mov(fetch_, c_);
  // So are the panels of b that come next, a part of them by each block of rows.
  // (Parts take time enough for the processor's own prefetcher.)
  const bool fetches_b = !batch_ && parts_.b == 0 && (bytes_ || rows_.count > 1);
  const int64_t lines_of_b = !fetches_b ? 0 : std::max<int64_t>(b_tile_bytes_ / 64 / rows_.count, 1);
  const auto widened = [](int64_t i) { return kWidened + i % kUnroll * 2 * kTileBytes; };
  const auto step = [&](int64_t i) {
    for (int64_t row = 0; row < rows_of_c; ++row) {
      for (int line = 0; line < (to_bf16_ ? 1 : tiles); ++line) as_.prefetchw(as_.ptr[fetch_ + line * 64]);
      as_.add(fetch_, ldc_reg_);
    }
    for (int64_t line = 0; line < lines_of_b; ++line) {
      for (int panel = 2; panel < 4; ++panel)
        as_.prefetcht1(as_.ptr[next_b_ + static_cast<int>(panel * panel_bytes_ + (i * lines_of_b + line) * 64)]);
    }
    if (parts_.b != 0) {
      one_step_in_parts(tiles, i * 64, i * kTileBytes);
    } else {
      one_step(tiles, run_a_, lda_reg_, lower, i * 64, bytes_ ? widened(i) : i * kTileBytes);
    }
  };
  const auto advance = [&](int64_t count) {
    as_.add(run_a_, static_cast<int>(count * 64));
    as_.add(run_b_, static_cast<int>(count * b_tile_bytes_));
    if (lines_of_b > 0) as_.add(next_b_, static_cast<int>(count * lines_of_b * 64));
  };
  // Bytes are widened a step before they are multiplied, so that tiles do not wait for what was just stored.
  const int64_t ahead = bytes_ ? 1 : 0;
  const auto steps = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      if (bytes_) widen_b(tiles, (i + 1) * b_tile_bytes_, widened(i + 1));
      step(i);
    }
    advance(count);
  };
  if (bytes_ && pass.steps > 0) widen_b(tiles, 0, widened(0));
  const int64_t rounds = std::max<int64_t>(pass.steps - ahead, 0) / kUnroll, left = pass.steps - rounds * kUnroll;
  if (rounds > 1) {
    Xbyak::Label loop;
    as_.mov(count_, static_cast<uint64_t>(rounds));
    as_.L(loop);
    steps(kUnroll);
    as_.dec(count_);
    as_.jnz(loop, Xbyak::CodeGenerator::T_NEAR);
  } else if (rounds == 1) {
    steps(kUnroll);
  }
  if (left > ahead) steps(left - ahead);
  if (bytes_ && left > 0) {
    // The last step: its widened tiles are where the steps before left them.
    one_step(tiles, run_a_, lda_reg_, lower, 0, widened(left - 1));
    advance(1);
  }
  if (pass.last && tail_ > 0) {
    copy_a_tail();
    if (bytes_) widen_b(tiles, 0, kWidened);
    as_.lea(save_, as_.ptr[as_.rsp + kTailAt]);
    one_step(tiles, save_, b_stride_reg_, rows_.upper * kTailStride, 0, bytes_ ? kWidened : 0);
  }
  const auto k_steps = static_cast<double>(pass.steps + (pass.last && tail_ > 0 ? 1 : 0));
  l1_bytes_ += k_steps * (64.0 * rows_.rows() + static_cast<double>(tiles * kTileBytes));
}

/// run_a_ and run_b_ of the next item; item_ counts those left.
void ContractionTileEmitter::item_addresses() {
  const auto at = [&](int offset) { return as_.qword[as_.rsp + offset]; };
  switch (desc_.addressing) {
    case Batch::none:
      break;
    case Batch::stride:
      as_.mov(run_a_, at(kItemA));
      as_.mov(run_b_, at(kItemB));
      as_.mov(save_, static_cast<uint64_t>(desc_.a_stride * 2));
      as_.add(at(kItemA), save_);
      as_.mov(save_, static_cast<uint64_t>(desc_.b_stride * size_of(desc_.b)));
      as_.add(at(kItemB), save_);
      break;
    case Batch::offset:
      as_.mov(save_, at(kItemA));
      as_.mov(run_a_, as_.ptr[save_]);
      as_.add(run_a_, run_a_);
      as_.add(run_a_, at(kBlockA));
      as_.mov(save_, at(kItemB));
      as_.mov(run_b_, as_.ptr[save_]);
      if (!bytes_) as_.add(run_b_, run_b_);
      as_.add(run_b_, at(kBlockB));
      as_.add(at(kItemA), 8);
      as_.add(at(kItemB), 8);
      break;
    case Batch::address:  // kBlockA and kBlockB are distances from an operand's beginning
      as_.mov(save_, at(kItemA));
      as_.mov(run_a_, as_.ptr[save_]);
      as_.add(run_a_, at(kBlockA));
      as_.mov(save_, at(kItemB));
      as_.mov(run_b_, as_.ptr[save_]);
      as_.add(run_b_, at(kBlockB));
      as_.add(at(kItemA), 8);
      as_.add(at(kItemB), 8);
      break;
  }
}

void ContractionTileEmitter::end_sums(int tiles, int width, const Pass& pass) {
  l1_bytes_ += 64.0 * tiles * rows_.rows();
  if (!pass.last) {
    as_.mov(run_a_, as_.qword[as_.rsp + kWaiting]);
    as_.mov(save_, kSumsStride);
    for (const int lower : {0, 1}) {
      if ((lower != 0 ? rows_.lower : rows_.upper) == 0) continue;
      for (int right = 0; right < tiles; ++right)
        as_.tile_store(run_a_, save_, lower * rows_.upper * kSumsStride + right * 64, Tmm(2 * lower + right));
    }
    return;
  }
  // Whole tiles of f32 go where they belong; all else through the stack.
  const bool add = desc_.accumulate && desc_.own_chain;
  const bool direct = !to_bf16_ && !add && width == tiles * kTileColumns;
  for (const int lower : {0, 1}) {
    const int height = lower != 0 ? rows_.lower : rows_.upper;
    if (height == 0) continue;
    for (int right = 0; right < tiles; ++right) {
      const Tmm tile(2 * lower + right);
      if (direct) {
        as_.lea(save_, as_.ptr[c_ + static_cast<int>(lower * rows_.upper * ldc_bytes_ + right * 64)]);
        as_.tile_store(save_, ldc_reg_, 0, tile);
      } else {
        as_.mov(save_, kSumsStride);
        as_.lea(run_a_, as_.ptr[as_.rsp + kSumsAt + lower * rows_.upper * kSumsStride + right * 64]);
        as_.tile_store(run_a_, save_, 0, tile);
      }
    }
  }
  if (direct) return;
  l1_bytes_ += static_cast<double>(rows_.rows()) * (64.0 * tiles + static_cast<double>(width * size_of(desc_.c)));
  for (int row = 0; row < rows_.rows(); ++row) {
    const int from = kSumsAt + row * kSumsStride, to = static_cast<int>(row * ldc_bytes_);
    if (to_bf16_) {
      if (row == 0) mask_of(width);
      as_.vmovups(as_.zmm0, as_.ptr[as_.rsp + from]);
      if (tiles == 2) {
        as_.vmovups(as_.zmm1, as_.ptr[as_.rsp + from + 64]);
        as_.vcvtne2ps2bf16(as_.zmm0, as_.zmm1, as_.zmm0);
        as_.vmovdqu16(as_.ptr[c_ + to] | as_.k1, as_.zmm0);
      } else {
        as_.vcvtneps2bf16(as_.ymm0, as_.zmm0);
        as_.vmovdqu16(as_.ptr[c_ + to] | as_.k1, as_.ymm0);
      }
      continue;
    }
    for (int right = 0; right < tiles; ++right) {
      const int columns = std::min(kTileColumns, width - right * kTileColumns);
      as_.vmovups(as_.zmm0, as_.ptr[as_.rsp + from + right * 64]);
      if (columns == kTileColumns) {
        if (add) as_.vaddps(as_.zmm0, as_.zmm0, as_.ptr[c_ + to + right * 64]);
        as_.vmovups(as_.ptr[c_ + to + right * 64], as_.zmm0);
      } else {
        if (row == 0) mask_of(columns);
        if (add) as_.vaddps(as_.zmm0 | as_.k1, as_.zmm0, as_.ptr[c_ + to + right * 64]);
        as_.vmovups(as_.ptr[c_ + to + right * 64] | as_.k1, as_.zmm0);
      }
    }
  }
}

/// One block of c, a_, b_ and c_ at its operands' beginnings.
void ContractionTileEmitter::block(int tiles, int width, const Pass& pass) {
  begin_sums(tiles, width, pass);
  if (!batch_) {
    as_.mov(run_a_, a_);
    as_.mov(run_b_, b_);
    products(tiles, pass);
  } else {
    Xbyak::Label item;
    const auto at = [&](int offset) { return as_.qword[as_.rsp + offset]; };
    as_.mov(at(kBlockA), a_);
    as_.mov(at(kBlockB), b_);
    if (desc_.addressing == Batch::stride) {
      as_.mov(at(kItemA), a_);
      as_.mov(at(kItemB), b_);
    } else {
      as_.mov(save_, at(kListA));
      as_.mov(at(kItemA), save_);
      as_.mov(save_, at(kListB));
      as_.mov(at(kItemB), save_);
    }
    if (desc_.batch != 0) {
      const double before = l1_bytes_;
      Xbyak::Label none;
      if (desc_.batch == kAtCall) {
        as_.mov(item_, as_.ptr[call_ + static_cast<int>(offsetof(ContractionCall, batch))]);
        as_.test(item_, item_);
        as_.jz(none, Xbyak::CodeGenerator::T_NEAR);
      } else {
        as_.mov(item_, static_cast<uint64_t>(desc_.batch));
      }
      as_.L(item);
      item_addresses();
      products(tiles, pass);
      as_.dec(item_);
      as_.jnz(item, Xbyak::CodeGenerator::T_NEAR);
      as_.L(none);
      if (desc_.batch != kAtCall) l1_bytes_ += (l1_bytes_ - before) * static_cast<double>(desc_.batch - 1);
    }
  }
  end_sums(tiles, width, pass);
}

void ContractionTileEmitter::add(const Reg& reg, int64_t bytes) {
  if (bytes >= INT32_MIN && bytes <= INT32_MAX) {
    as_.add(reg, static_cast<int>(bytes));
  } else {
    as_.mov(save_, static_cast<uint64_t>(bytes));
    as_.add(reg, save_);
  }
}

/// All rows of `tiles` panels, `width` of whose columns are c's.
void ContractionTileEmitter::columns(int tiles, int width) {
  const int64_t passes = passes_ ? (steps_ + most_steps(parts_) - 1) / most_steps(parts_) : 1;
  const int64_t each = (steps_ + passes - 1) / passes;
  for (int64_t done = 0, left = passes; left > 0; --left) {
    const Pass pass{std::min(each, steps_ - done), done == 0, left == 1};
    rows(tiles, width, pass);
    if (left > 1) done += each;
    const int64_t ahead = left > 1 ? each : -done;
    if (ahead == 0) continue;
    add(a_, ahead * 64);
    add(b_, ahead * b_tile_bytes_);
  }
}

/// All rows of a pass.
void ContractionTileEmitter::rows(int tiles, int width, const Pass& pass) {
  if (!batch_) as_.mov(next_b_, b_);
  if (rows_.count == 1) {
    block(tiles, width, pass);
    return;
  }
  const double before = l1_bytes_;
  Xbyak::Label loop;
  as_.mov(blocks_, static_cast<uint64_t>(rows_.count));
  if (passes_) {
    as_.mov(save_, as_.qword[as_.rsp + kScratch]);
    as_.mov(as_.qword[as_.rsp + kWaiting], save_);
  }
  as_.L(loop);
  block(tiles, width, pass);
  if (passes_) as_.add(as_.qword[as_.rsp + kWaiting], kWaitingBytes);
  add(a_, rows_.rows() * lda_bytes_);
  add(c_, rows_.rows() * ldc_bytes_);
  as_.dec(blocks_);
  as_.jnz(loop, Xbyak::CodeGenerator::T_NEAR);
  add(a_, -rows_.count * rows_.rows() * lda_bytes_);
  add(c_, -rows_.count * rows_.rows() * ldc_bytes_);
  l1_bytes_ += (l1_bytes_ - before) * static_cast<double>(rows_.count - 1);
}

jit::Code ContractionTileEmitter::emit(const std::string& name) {
  as_.enter({as_.rbx, as_.r12, as_.r13, as_.r14, as_.r15}, kAllStack);
  if (passes_) {
    as_.mov(save_, as_.ptr[call_ + static_cast<int>(offsetof(ContractionCall, scratch))]);
    as_.mov(as_.qword[as_.rsp + kScratch], save_);
  }
  if (desc_.addressing == Batch::offset || desc_.addressing == Batch::address) {
    const bool offsets = desc_.addressing == Batch::offset;
    as_.mov(save_, as_.ptr[call_ + static_cast<int>(offsets ? offsetof(ContractionCall, a_offsets)
                                                            : offsetof(ContractionCall, a_list))]);
    as_.mov(as_.qword[as_.rsp + kListA], save_);
    as_.mov(save_, as_.ptr[call_ + static_cast<int>(offsets ? offsetof(ContractionCall, b_offsets)
                                                            : offsetof(ContractionCall, b_list))]);
    as_.mov(as_.qword[as_.rsp + kListB], save_);
    if (!offsets) as_.xor_(b_, b_);  // a_ and b_ are distances then, a_ that of the first row
  }
  as_.mov(lda_reg_, static_cast<uint64_t>(lda_bytes_));
  as_.mov(ldc_reg_, static_cast<uint64_t>(ldc_bytes_));
  as_.mov(b_stride_reg_, 64);
  const int64_t pairs = desc_.n / 32;
  const int rest = static_cast<int>(desc_.n % 32);
  const int c_pair = static_cast<int>(32 * size_of(desc_.c));
  const auto next_pair = [&] {
    as_.mov(save_, static_cast<uint64_t>(2 * panel_bytes_));
    as_.add(b_, save_);
    as_.add(c_, c_pair);
  };
  if (pairs > 0) {
    const double before = l1_bytes_;
    Xbyak::Label loop;
    if (pairs > 1) {
      as_.mov(column_count_, static_cast<uint64_t>(pairs));
      as_.L(loop);
    }
    columns(2, 32);
    if (pairs > 1 || rest > 0) next_pair();
    if (pairs > 1) {
      as_.dec(column_count_);
      as_.jnz(loop, Xbyak::CodeGenerator::T_NEAR);
    }
    l1_bytes_ += (l1_bytes_ - before) * static_cast<double>(pairs - 1);
  }
  if (rest > 0) columns(rest > 16 ? 2 : 1, rest);
  as_.leave();
  return as_.finish(name);
}

}  // namespace gregale::kernels
