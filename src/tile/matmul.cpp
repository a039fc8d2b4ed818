// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/matmul.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "tile/cut.hpp"

namespace gregale::tile {

using kernels::align_bytes;
using kernels::Compute;
using kernels::ContractionCall;
using kernels::ContractionDesc;
using kernels::kAtCall;
using kernels::Packing;

namespace {

bool in_parts(const MatmulProblem& p) { return p.compute == Compute::fp32x3; }
/// b is packed in panels of 16 columns, pairs of rows interleaved.
bool interleaved(const MatmulProblem& p) { return p.b == DType::bf16 || in_parts(p); }
/// Of b, once packed.
int64_t packed_size(const MatmulProblem& p) { return in_parts(p) ? 2 : size_of(p.b); }
DType sum_dtype(const MatmulProblem& p) { return p.compute == Compute::f64 ? DType::f64 : DType::f32; }
bool uses_tiles(const Target& target, const MatmulProblem& p) {
  return kernels::has_tiles(target) && (p.compute == Compute::bf16 || in_parts(p));
}

/// The blocks of k: part of the recipe, so nothing but the length of the sum, dtypes, computation and ISA may matter.
int64_t block_of_k(const Target& target, const MatmulProblem& p) {
  constexpr int64_t kUnit = 32;          // steps of the tile unit; a kernel's chain may be split at its multiples
  constexpr int64_t kPanelBytes = 2048;  // of a column of b: 64 columns are 128 KB of L2
  constexpr int64_t kTileDepth = 2048;   // 256 rows of a are 1 MB of L2, and b streams by for them
  constexpr int64_t kPartsDepth = 512;   // three parts of 256 rows of a are 768 KB of L2
  if (uses_tiles(target, p)) return balanced_block(p.k, in_parts(p) ? kPartsDepth : kTileDepth, kUnit);
  return balanced_block(p.k, kPanelBytes / size_of(p.b), kUnit);
}

int64_t panel_columns(const Target& target, const MatmulProblem& p) {
  if (interleaved(p)) return 16;
  const int64_t lanes = (target.isa >= Isa::avx512 ? 64 : 32) / size_of(p.b);
  return target.isa >= Isa::avx512 ? 4 * lanes : 2 * lanes;
}

/// The problem with batch dims of extent 1 dropped and dims that only repeat b merged into m.
MatmulProblem canonical(MatmulProblem p) {
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

/// Where a thread's block of a comes from; compared before it is copied again.
struct BlockTag {
  int64_t batch = -1, m = -1, k = -1;
  bool operator==(const BlockTag&) const = default;
};
constexpr int64_t kTagBytes = 64;

/// In front of b packed in parts: whether it is, or whether it was out of range and is packed for plain fp32.
struct PartsHeader {
  int64_t in_range = 0;
};
constexpr int64_t kHeaderBytes = 64;

/// What is run: fp32 accuracy comes from the vector units where there are no tiles.
MatmulProblem resolved(const Target& target, const MatmulProblem& problem) {
  MatmulProblem p = canonical(problem);
  // Expressions, transposed rows of a and accumulation in scratch are the vector kernels' as well.
  if (in_parts(p) && !(kernels::has_tiles(target) && p.c == DType::f32 && p.epilogue.empty())) p.compute = Compute::f32;
  return p;
}

constexpr size_t kMostEpilogueInputs = 15;  // beside the sums
constexpr int kDimK = 0, kDimM = 1, kDimN = 2, kDimBatch = 3;

}  // namespace

MatmulProblem dense_matmul(int64_t m, int64_t n, int64_t k, bool trans_a, bool trans_b) {
  MatmulProblem p;
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

MatmulProblem broadcast_matmul(int a_rank, const int64_t* a_extents, bool trans_a, int b_rank, const int64_t* b_extents,
                               bool trans_b) {
  GREGALE_ASSERT(a_rank >= 2 && b_rank >= 2 && a_rank <= kernels::kMaxRank + 2 && b_rank <= kernels::kMaxRank + 2);
  const int64_t* a_last = a_extents + a_rank - 2;
  const int64_t* b_last = b_extents + b_rank - 2;
  MatmulProblem p =
      dense_matmul(a_last[trans_a ? 1 : 0], b_last[trans_b ? 0 : 1], a_last[trans_a ? 0 : 1], trans_a, trans_b);
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

bool copies_rows(const Target& target, int64_t rows, int64_t columns, int64_t leading) {
  // A tile's rows are loaded one after another: where they share cache sets or lie across lines, products take half
  // again as long (measured); a copy takes as long as products with some 100 columns.
  constexpr int64_t kLeastRows = 9, kLeastColumns = 192;
  return kernels::has_tiles(target) && rows >= kLeastRows && columns >= kLeastColumns &&
         !has_odd_lines(leading, size_of(DType::bf16));
}

MatmulBlocks Matmul::default_blocks(const Target& target, const MatmulProblem& problem) {
  const MatmulProblem p = resolved(target, problem);
  MatmulBlocks blocks;
  const int64_t size = size_of(p.a);
  blocks.k = block_of_k(target, p);
  // Few rows, or a b that stays in the cache: packing would cost as much as it saves.
  constexpr int64_t kPackRows = 24;
  blocks.direct_b = !p.packed_b && !interleaved(p) && !p.trans_b &&
                    (p.m < kPackRows || p.k * p.n * size_of(p.b) <= target.l2_bytes / 8);
  const int64_t panel = panel_columns(target, p);
  blocks.n = interleaved(p) ? 4 * panel : panel;
  constexpr int64_t kPartsColumns = 4096;  // as many as there are: each call splits rows of a into parts
  if (in_parts(p)) blocks.n = round_up(std::min(p.n, kPartsColumns), 32);
  if (blocks.direct_b) blocks.n = std::max(blocks.n, round_up(std::min<int64_t>(p.n, 256), blocks.n));
  // A block of a takes a quarter of L2, and so does what it is multiplied into. The tile unit is fast enough for b to
  // be what it waits for: there the rows take half, and more of them than that would not help.
  const bool tiles = uses_tiles(target, p);
  const int64_t rows = target.l2_bytes / (tiles ? 2 : 4) / std::max<int64_t>(1, blocks.k * size);
  constexpr int64_t kRowUnit = 32;  // pairs of tiles; vector kernels cut any height evenly
  const int64_t most_rows = tiles ? 256 : 768;
  blocks.m = balanced_block(p.m, std::clamp<int64_t>(rows, kRowUnit, most_rows), kRowUnit);
  if (tiles && p.m > blocks.m) {  // few tasks: as many for each core
    const int64_t tasks = ceil_div(p.m, blocks.m);
    if (tasks < 8 * target.cores) blocks.m = round_up(ceil_div(p.m, round_up(tasks, target.cores)), kRowUnit);
  }
  const bool many_k = p.k > blocks.k;
  const bool partial = many_k && (!p.epilogue.empty() || p.c != sum_dtype(p));
  const int64_t widest = partial ? std::max(blocks.n, target.l2_bytes / 2 / (blocks.m * 4)) : p.n;
  blocks.n_span = round_up(balanced_block(p.n, std::max<int64_t>(widest, 1), blocks.n), blocks.n);
  // Enough blocks for the cores, as long as a block is worth a task.
  constexpr int64_t kTaskWork = 1 << 19;
  int64_t batches = 1;
  for (int i = 0; i < p.batch.rank; ++i) batches *= p.batch.extents[i];
  const auto cells = [&] { return batches * ceil_div(p.m, blocks.m) * ceil_div(p.n, blocks.n_span); };
  const auto work = [&] { return std::min(p.m, blocks.m) * std::min(p.n, blocks.n_span) * p.k; };
  const int64_t cells_per_core = tiles ? 2 : 4;
  const auto halve_columns = [&] { blocks.n_span = round_up(ceil_div(blocks.n_span, 2), blocks.n); };
  const auto halve_rows = [&](int64_t unit) { blocks.m = round_up(ceil_div(blocks.m, 2), unit); };
  while (target.cores > 1 && cells() < cells_per_core * target.cores && work() > 2 * kTaskWork) {
    if (tiles && blocks.n_span > 8 * blocks.n) {
      halve_columns();
    } else if (tiles && blocks.m > 128) {
      halve_rows(kRowUnit);
    } else if (blocks.n_span > 4 * blocks.n) {
      halve_columns();
    } else if (blocks.m > (tiles ? kRowUnit : 24)) {
      halve_rows(tiles ? kRowUnit : 12);
    } else if (blocks.n_span > blocks.n) {
      halve_columns();
    } else {
      break;
    }
  }
  constexpr int64_t kSharedSets = 2048;  // rows this many bytes apart meet in two cache sets or fewer
  blocks.copy_a =
      p.trans_a || (p.m > 8 && p.n > blocks.n && p.lda * size % kSharedSets == 0 && p.k * size > kSharedSets);
  if (tiles && !in_parts(p) && !p.trans_a) blocks.copy_a = copies_rows(target, p.m, blocks.n_span, p.lda);
  // A copied block is used for all its columns before the next; otherwise a walk along the curve reuses both operands.
  blocks.schedule = blocks.copy_a ? "DBCac" : "D<BC>ac";
  return blocks;
}

Matmul::Matmul(kernels::KernelCache& cache, const MatmulProblem& problem)
    : Matmul(cache, problem, default_blocks(cache.target(), problem)) {}

Matmul::Matmul(kernels::KernelCache& cache, const MatmulProblem& problem, const MatmulBlocks& blocks)
    : problem_(resolved(cache.target(), problem)), blocks_(blocks) {
  const MatmulProblem& p = problem_;
  const Target& target = cache.target();
  GREGALE_CHECK(p.m >= 0 && p.n >= 0 && p.k >= 0, invalid_argument, "[matmul] {}x{}x{} is no product", p.m, p.n, p.k);
  GREGALE_CHECK(p.epilogue.empty() || p.batch.rank == 0, invalid_argument, "[matmul] an epilogue takes no batch dims");
  GREGALE_CHECK(!p.accumulate || p.c == sum_dtype(p), invalid_argument, "[matmul] accumulation needs {} results",
                name_of(sum_dtype(p)));
  GREGALE_CHECK(p.epilogue_inputs.size() <= kMostEpilogueInputs, invalid_argument,
                "[matmul] an epilogue takes at most {} operands", kMostEpilogueInputs);
  for (const kernels::ExpressionOperand& o : p.epilogue_inputs)
    GREGALE_CHECK(o.broadcast != kernels::Broadcast::none || o.leading != kAtCall, invalid_argument,
                  "[matmul] an epilogue's operand needs its leading dimension");
  GREGALE_CHECK(!p.accumulate || p.epilogue.empty(), invalid_argument, "[matmul] an epilogue takes no accumulation");
  GREGALE_CHECK(blocks_.m > 0 && blocks_.n > 0 && blocks_.n_span > 0 && blocks_.n_span % blocks_.n == 0,
                invalid_argument, "[matmul] blocks of {} rows, {} and {} columns", blocks_.m, blocks_.n_span,
                blocks_.n);
  GREGALE_CHECK(blocks_.k == block_of_k(target, p), invalid_argument, "[matmul] the blocks of k are {} long, not {}",
                block_of_k(target, p), blocks_.k);
  GREGALE_CHECK(!blocks_.direct_b || !(interleaved(p) || p.trans_b || p.packed_b), invalid_argument,
                "[matmul] this b cannot be read where it is");
  panel_ = panel_columns(target, p);
  GREGALE_CHECK(blocks_.direct_b || blocks_.n % panel_ == 0, invalid_argument,
                "[matmul] {} columns a call are no panels of {}", blocks_.n, panel_);
  for (int i = 0; i < p.batch.rank; ++i) {
    batches_ *= p.batch.extents[i];
    if (p.batch.b_strides[i] != 0) packed_matrices_ *= p.batch.extents[i];
  }
  nest_.emplace(
      std::vector<LoopDim>{
          {.name = "k", .extent = std::max<int64_t>(p.k, 1), .step = blocks_.k, .blocks = {}, .reduction = true},
          {.name = "m", .extent = p.m, .step = blocks_.m, .blocks = {}},
          {.name = "n", .extent = p.n, .step = blocks_.n, .blocks = {blocks_.n_span}},
          {.name = "batch", .extent = batches_, .step = 1, .blocks = {}}},
      blocks_.schedule);
  panel_elements_ = panel_ * (interleaved(p) ? round_up(p.k, 32) : p.k);
  matrix_elements_ = ceil_div(p.n, panel_) * panel_elements_;
  packed_bytes_ = align_bytes(matrix_elements_ * packed_matrices_ * packed_size(p));
  if (in_parts(p)) {
    MatmulProblem plain = problem;
    plain.compute = Compute::f32;
    plain_ = std::make_unique<Matmul>(cache, plain);
    packed_bytes_ = kHeaderBytes + std::max(3 * packed_bytes_, p.packed_b ? plain_->packed_bytes() : 0);
  }
  partial_ = p.k > blocks_.k && (!p.epilogue.empty() || p.c != sum_dtype(p));
  // Sums in scratch are those of the block at hand, so k must be the innermost but for columns.
  GREGALE_CHECK(!partial_ || blocks_.schedule.substr(blocks_.schedule.find('a')) == "ac", invalid_argument,
                "[matmul] \"{}\": sums kept in scratch need a schedule that ends in \"ac\"", blocks_.schedule);
  compile(cache);
}

void Matmul::compile(kernels::KernelCache& cache) {
  const MatmulProblem& p = problem_;
  if (p.m == 0 || p.n == 0 || batches_ == 0) return;
  const int64_t size_a = size_of(p.a);
  if (blocks_.copy_a) a_bytes_ = align_bytes(blocks_.m * odd_lines(blocks_.k, size_a) * size_a);
  if (partial_) partial_bytes_ = align_bytes(blocks_.m * blocks_.n_span * size_of(sum_dtype(p)));
  const bool tiles = uses_tiles(cache.target(), p);
  for (const int tm : {0, 1})
    for (const int tn : {0, 1})
      for (const int tk : {0, 1})
        for (const int begins : {0, 1}) {
          ContractionDesc d;
          d.m = piece_size(p.m, blocks_.m, tm);
          d.n = piece_size(p.n, blocks_.n, tn);
          d.k = piece_size(p.k, blocks_.k, tk);
          const bool empty_sum = p.k == 0 && tk == 1 && begins == 1;
          if (d.m == 0 || d.n == 0 || (d.k == 0 && !empty_sum)) continue;
          if (begins == 1 && tk == 1 && p.k >= blocks_.k && !empty_sum) continue;  // a tail never begins
          if (begins == 0 && p.k <= blocks_.k) continue;
          d.a = p.a;
          d.b = p.b;
          d.compute = p.compute;
          d.lda = blocks_.copy_a ? odd_lines(blocks_.k, size_a) : p.lda;
          d.trans_a = p.trans_a && !blocks_.copy_a;
          d.ldb = interleaved(p) ? panel_elements_ : blocks_.direct_b ? p.ldb : panel_;
          if (interleaved(p)) d.b_packing = Packing::panels16;
          if (in_parts(p)) {
            d.b = DType::bf16;
            d.b_packing = Packing::panels16x3;
            d.b_part = matrix_elements_ * packed_matrices_;
          }
          d.c = partial_ ? sum_dtype(p) : p.c;
          d.ldc = partial_ ? blocks_.n_span : p.ldc;
          d.accumulate = begins == 0 || (p.accumulate && !partial_);
          // Of bf16 products on tiles, c is part of the chain: that is cheaper, and rounding to bf16 loses more.
          d.own_chain = begins == 0 && !(tiles && p.compute == Compute::bf16);
          if (!partial_ && !p.epilogue.empty()) {
            d.epilogue = p.epilogue;
            d.epilogue_inputs = p.epilogue_inputs;
          }
          auto& kernel = kernels_[tm][tn][tk][begins];
          kernel = cache.get(d);
          kernel_bytes_ = std::max(kernel_bytes_, align_bytes(kernel->scratch_bytes()));
        }
  kernels::LayoutDesc layout;
  if (blocks_.copy_a && p.trans_a) {
    layout.op = kernels::LayoutOp::transpose;
    layout.src = layout.dst = p.a;
    layout.src_leading = p.lda;
    layout.dst_leading = odd_lines(blocks_.k, size_a);
    transpose_a_ = cache.get(layout);
  }
  if (!blocks_.direct_b) {
    layout = {};
    layout.op = in_parts(p)      ? kernels::LayoutOp::panels16x3
                : interleaved(p) ? kernels::LayoutOp::panels16
                                 : kernels::LayoutOp::column_panels;
    layout.src = p.b;
    layout.dst = in_parts(p) ? DType::bf16 : p.b;
    layout.part = in_parts(p) ? matrix_elements_ * packed_matrices_ : kAtCall;
    layout.src_leading = p.ldb;
    layout.dst_leading = panel_elements_;
    layout.width = interleaved(p) ? 0 : static_cast<int>(panel_);
    layout.trans = p.trans_b;
    pack_ = cache.get(layout);
  }
  if (partial_) {
    kernels::ExpressionDesc d;
    d.compute = sum_dtype(p);
    d.inputs = {{.dtype = sum_dtype(p), .leading = blocks_.n_span}};
    d.inputs.insert(d.inputs.end(), p.epilogue_inputs.begin(), p.epilogue_inputs.end());
    d.outputs = {{.dtype = p.c, .leading = p.ldc}};
    d.expression = p.epilogue;
    if (d.expression.empty()) d.expression.output(d.expression.input(0));
    finish_ = cache.get(d);
    kernel_bytes_ = std::max(kernel_bytes_, align_bytes(finish_->scratch_bytes(blocks_.n)));
  }
  thread_bytes_ = kTagBytes + a_bytes_ + partial_bytes_ + kernel_bytes_;
  if (plain_ != nullptr) thread_bytes_ = std::max(thread_bytes_, plain_->thread_scratch_bytes());
}

const std::byte* Matmul::block_of_a(const std::byte* a, const LoopIndex& index, std::byte* scratch,
                                    int64_t* lda) const {
  const MatmulProblem& p = problem_;
  const int64_t size = size_of(p.a);
  const int64_t m0 = index.begin[kDimM], k0 = index.begin[kDimK];
  const std::byte* source = a + (p.trans_a ? k0 * p.lda + m0 : m0 * p.lda + k0) * size;
  if (!blocks_.copy_a) {
    *lda = p.lda;
    return source;
  }
  *lda = odd_lines(blocks_.k, size);
  auto* tag = reinterpret_cast<BlockTag*>(scratch);
  std::byte* block = scratch + kTagBytes;
  const BlockTag wanted{index.begin[kDimBatch], m0, k0};
  if (*tag == wanted) return block;
  *tag = wanted;
  const int64_t rows = index.size[kDimM], depth = std::min(index.size[kDimK], p.k);
  if (p.trans_a) {
    kernels::LayoutCall call;
    call.src = source;
    call.dst = block;
    call.m = depth;
    call.n = rows;
    (*transpose_a_)(call);
  } else {
    for (int64_t i = 0; i < rows; ++i)
      std::memcpy(block + i * *lda * size, source + i * p.lda * size, static_cast<size_t>(depth * size));
  }
  return block;
}

void Matmul::tile(const MatmulArguments& arguments, const LoopIndex& index, std::byte* scratch) const {
  const MatmulProblem& p = problem_;
  const int64_t m0 = index.begin[kDimM], n0 = index.begin[kDimN], k0 = index.begin[kDimK];
  const int64_t m = index.size[kDimM], n = index.size[kDimN], k = std::min(index.size[kDimK], p.k);
  const Offsets at = offsets_of(p.batch, index.begin[kDimBatch]);
  int64_t lda = 0;
  const std::byte* a =
      block_of_a(static_cast<const std::byte*>(arguments.a) + at.a * size_of(p.a), index, scratch, &lda);
  const auto* b = static_cast<const std::byte*>(arguments.b);
  if (blocks_.direct_b) {
    b += (at.b + k0 * p.ldb + n0) * size_of(p.b);
  } else {
    b += (at.packed * matrix_elements_ + n0 / panel_ * panel_elements_ + k0 * panel_) * packed_size(p);
  }
  std::byte* c = static_cast<std::byte*>(arguments.c) + (at.c + m0 * p.ldc + n0) * size_of(p.c);
  std::byte* sums = scratch + kTagBytes + a_bytes_;
  std::byte* target = partial_ ? sums + n0 % blocks_.n_span * size_of(sum_dtype(p)) : c;

  // What the epilogue reads begins where the tile does.
  const void* inputs[kMostEpilogueInputs + 1];
  int64_t leading[kMostEpilogueInputs + 1];
  for (size_t i = 0; i < p.epilogue_inputs.size(); ++i) {
    const kernels::ExpressionOperand& o = p.epilogue_inputs[i];
    int64_t offset = 0;
    if (o.broadcast == kernels::Broadcast::none) offset = m0 * o.leading + n0;
    if (o.broadcast == kernels::Broadcast::row) offset = n0;
    if (o.broadcast == kernels::Broadcast::column) offset = m0;
    inputs[i + 1] = static_cast<const std::byte*>(arguments.epilogue_inputs[i]) + offset * size_of(o.dtype);
    leading[i + 1] = o.leading;
  }
  ContractionCall call;
  call.epilogue_inputs = inputs + 1;
  call.epilogue_leading = leading + 1;
  call.epilogue_parameters = arguments.epilogue_parameters;
  call.scratch = sums + partial_bytes_;
  const auto& kernel = kernels_[m != blocks_.m][n != blocks_.n][k != blocks_.k][k0 == 0];
  (*kernel)(a, b, target, &call);
  if (partial_ && k0 + k == p.k) {
    inputs[0] = target;
    void* outputs[] = {c};
    kernels::ExpressionCall finish;
    finish.m = m;
    finish.n = n;
    finish.inputs = inputs;
    finish.outputs = outputs;
    finish.parameters = arguments.epilogue_parameters;
    finish.scratch = sums + partial_bytes_;
    (*finish_)(finish);
  }
}

/// Packs b, in parts or not; false where parts do not hold it.
bool Matmul::pack_parts(ThreadTeam& team, const void* b, std::byte* packed) const {
  const MatmulProblem& p = problem_;
  // Strips wide enough for whole pages of a row, short enough for the cache; padding belongs to the last strips.
  constexpr int64_t kDepth = 256, kColumns = 512;
  const int64_t columns = round_up(kColumns, panel_);
  const int64_t strips_k = ceil_div(p.k, kDepth), strips_n = ceil_div(p.n, columns);
  std::atomic<int> range{0};
  parallel_for(team, packed_matrices_ * strips_n * strips_k, 1, [&](int64_t task, int64_t, int) {
    const int64_t matrix = task / (strips_n * strips_k);
    const int64_t n0 = task / strips_k % strips_n * columns, k0 = task % strips_k * kDepth;
    const int64_t source = packed_source(p.batch, matrix) + (p.trans_b ? n0 * p.ldb + k0 : k0 * p.ldb + n0);
    const int64_t target = matrix * matrix_elements_ + n0 / panel_ * panel_elements_ + k0 * panel_;
    kernels::LayoutCall call;
    call.src = static_cast<const std::byte*>(b) + source * size_of(p.b);
    call.dst = packed + target * packed_size(p);
    call.m = std::min(kDepth, p.k - k0);
    call.n = std::min(columns, p.n - n0);
    (*pack_)(call);
    if (call.range != 0) range.fetch_or(call.range, std::memory_order_relaxed);
  });
  return range.load() == 0;
}

void Matmul::pack_b(ThreadTeam& team, const void* b, std::byte* packed) const {
  GREGALE_CHECK(!blocks_.direct_b, invalid_argument, "[matmul] this product reads b where it is: it is not packed");
  if (!in_parts(problem_)) {
    pack_parts(team, b, packed);
    return;
  }
  const bool in_range = pack_parts(team, b, packed + kHeaderBytes);
  *reinterpret_cast<PartsHeader*>(packed) = {in_range ? 1 : 0};
  if (!in_range && problem_.packed_b) plain_->pack_b(team, b, packed + kHeaderBytes);
}

void Matmul::run(ThreadTeam& team, const MatmulArguments& arguments, std::byte* scratch,
                 std::byte* thread_scratch) const {
  const MatmulProblem& p = problem_;
  if (p.m == 0 || p.n == 0 || batches_ == 0) return;
  MatmulArguments with_b = arguments;
  if (!p.packed_b && !blocks_.direct_b) {
    pack_b(team, arguments.b, scratch);
    with_b.b = scratch;
  }
  if (in_parts(p)) {
    if (static_cast<const PartsHeader*>(with_b.b)->in_range == 0) {
      with_b.b = p.packed_b ? static_cast<const std::byte*>(with_b.b) + kHeaderBytes : arguments.b;
      plain_->run(team, with_b, scratch, thread_scratch);
      return;
    }
    with_b.b = static_cast<const std::byte*>(with_b.b) + kHeaderBytes;
  }
  if (blocks_.copy_a) {  // what lies in the scratch is not this run's
    for (int thread = 0; thread < team.size(); ++thread)
      *reinterpret_cast<BlockTag*>(thread_scratch + thread * thread_bytes_) = BlockTag{};
  }
  nest_->run(team,
             [&](const LoopIndex& index, int thread) { tile(with_b, index, thread_scratch + thread * thread_bytes_); });
}

int64_t Matmul::scratch_bytes() const {
  if (problem_.packed_b || blocks_.direct_b) return 0;
  return std::max(packed_bytes_, plain_ != nullptr ? plain_->scratch_bytes() : 0);
}

const kernels::KernelInfo& Matmul::kernel_info() const {
  for (const auto& of_m : kernels_)
    for (const auto& of_n : of_m)
      for (const auto& of_k : of_n)
        for (const auto& kernel : of_k)
          if (kernel != nullptr) return kernel->info();
  static const kernels::KernelInfo none;
  return none;
}

std::string Matmul::describe() const {
  const MatmulProblem& p = problem_;
  return fmt::format("matmul {}x{}x{} {}: blocks of {} rows, {} columns ({} a call), {} deep, schedule {}, b {}{}; {}",
                     p.m, p.n, p.k, name_of(p.a), blocks_.m, blocks_.n_span, blocks_.n, blocks_.k, blocks_.schedule,
                     blocks_.direct_b ? "as it is"
                     : p.packed_b     ? "packed beforehand"
                                      : "packed first",
                     blocks_.copy_a ? ", a copied by blocks" : "", kernel_info().implementation);
}

}  // namespace gregale::tile
