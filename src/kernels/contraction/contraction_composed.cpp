// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_composed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/cache_lines.hpp"
#include "kernels/common.hpp"
#include "kernels/contraction/contraction_implementations.hpp"
#include "kernels/expression/expression_analysis.hpp"
#include "kernels/layout/tile_layout.hpp"

namespace gregale::kernels {
namespace {

using Batch = ContractionDesc::Batch;

constexpr int64_t kDepth = 128;           // of a block in scratch
constexpr int64_t kBlockElements = 4096;  // elements of a block of sums: 16 KB in f32

/// An extent cut into blocks: `block` but for the last.
struct Cut {
  static constexpr int64_t kUncut = int64_t{1} << 60;
  int64_t extent = kAtCall, block = kUncut;
  /// The size of all blocks but the last, 0 where there is one block.
  int64_t full() const { return block == kUncut || (extent != kAtCall && extent < block) ? 0 : block; }
  /// The size of the last block where it is another: kAtCall where that is known at the call alone, 0 where there is
  /// none.
  int64_t tail() const { return extent == kAtCall ? kAtCall : extent % block; }
};

/// As equal blocks as multiples of `step` allow, none larger than `most`.
Cut cut(int64_t extent, int64_t most, int64_t step) {
  if (extent == kAtCall) return {extent, most};
  const int64_t blocks = std::max<int64_t>((extent + most - 1) / most, 1);
  const int64_t block = ((extent + blocks - 1) / blocks + step - 1) / step * step;
  return {extent, blocks == 1 ? std::max<int64_t>(extent, 1) : block};
}
Cut uncut(int64_t extent) { return cut(extent, Cut::kUncut, 1); }

class ComposedContraction final : public ContractionKernel {
 public:
  static Result<std::shared_ptr<ContractionKernel>> make(const Target& target, const ContractionDesc& desc,
                                                         MakePlainContraction make_plain,
                                                         const ComposedBlocks& blocks) {
    if (desc.n == kAtCall && expression::reduces(desc.epilogue)) {
      return Error(ErrorCode::unsupported, "the epilogue reduces rows of a length given at the call");
    }
    auto kernel = std::shared_ptr<ComposedContraction>(new ComposedContraction(desc, blocks));
    if (auto refusal = kernel->prepare(target, make_plain)) return *refusal;
    return std::shared_ptr<ContractionKernel>(std::move(kernel));
  }

 private:
  ComposedContraction(const ContractionDesc& desc, const ComposedBlocks& blocks) : desc_(desc), blocks_(blocks) {
    function_ = run;
    context_ = this;
    pack_a_ = !desc.prologue_a.empty();
    pack_b_ = desc.trans_b || !desc.prologue_b.empty();
    to_vnni2_ = desc.trans_b && desc.b == DType::bf16;
    sum_ = desc.compute == Compute::f64 ? DType::f64 : DType::f32;
    // Sums of another type than c, or that c is not yet when the expression reads it, live in scratch.
    sums_in_c_ = desc.c == sum_;
    // Operands in scratch are blocks of k; a list of addresses cannot be moved to another block.
    by_item_ = pack_a_ || pack_b_ || desc.addressing == Batch::address;
    // Masks are cut at bytes and panels where they begin: at multiples of 16. Chains may be split at multiples of 32.
    n_ = expression::reduces(desc.epilogue) ? uncut(desc.n) : cut(desc.n, blocks.columns, 16);
    k_ = pack_a_ || pack_b_ ? cut(desc.k, kDepth, 32) : uncut(desc.k);
    if (desc.epilogue.empty() && sums_in_c_ && !pack_a_) {
      m_ = uncut(desc.m);  // nothing ties sums to the cache: b's block is brought to scratch once for all rows
    } else {
      const int64_t elements = (pack_b_ ? 2 : 1) * blocks.elements;  // the more, the fewer times b is brought there
      m_ = cut(desc.m, std::clamp<int64_t>(elements / n_.block / 16 * 16, 16, 256), 16);
    }
  }

  std::optional<Error> prepare(const Target& target, MakePlainContraction make_plain);
  double l1_bytes() const;
  static void run(const void* a, const void* b, void* c, const ContractionCall* call, const void* context) {
    static_cast<const ComposedContraction*>(context)->run(static_cast<const char*>(a), static_cast<const char*>(b),
                                                          static_cast<char*>(c), call);
  }

  /// The call, with what the descriptor fixes filled in.
  struct Arguments {
    ContractionCall call;
    const char *a, *b;
    char* c;
  };
  /// A block of c: rows from `row`, columns from `column`.
  struct Block {
    int64_t row, rows, column, columns;
  };
  void run(const char* a, const char* b, char* c, const ContractionCall* call) const;
  void run_block(const Arguments& arguments, const Block& block) const;
  void run_items(const Arguments& arguments, const Block& block, char* sums, int64_t sums_leading) const;
  void apply(const ExpressionKernel& prologue, const Arguments& arguments, int64_t rows, int64_t columns,
             const void* src, int64_t src_leading, void* dst, int64_t dst_leading) const;
  const char* packed_a(const Arguments& arguments, const char* a, const Block& block, int64_t p, int64_t depth,
                       int64_t& leading) const;
  const char* packed_b(const Arguments& arguments, const char* b, const Block& block, int64_t p, int64_t depth,
                       int64_t& leading) const;
  /// Operands of the epilogue of a block: the sums and epilogue_inputs.
  struct Finish {
    const void* inputs[kMostEpilogueInputs + 1];
    int64_t leading[kMostEpilogueInputs + 1];
    void* result;
  };
  Finish finish_of(const Arguments& arguments, const Block& block, const char* sums, int64_t sums_leading) const;
  void fetch(const Finish& f, const Arguments& arguments, const Block& block) const;
  void finish(const Finish& f, const Arguments& arguments, const Block& block) const;
  const char* a_at(const Arguments& arguments, const char* a, int64_t row, int64_t p) const {
    return a + (desc_.trans_a ? p * arguments.call.lda + row : row * arguments.call.lda + p) * size_of(desc_.a);
  }
  const char* b_at(const Arguments& arguments, const char* b, int64_t p, int64_t column) const;
  const ContractionKernel& plain(bool m_tail, bool n_tail, bool k_tail, bool accumulate) const {
    return *plain_[(m_tail ? 1 : 0) + (n_tail ? 2 : 0) + (k_tail ? 4 : 0) + (accumulate ? 8 : 0)];
  }

  const ContractionDesc desc_;
  const ComposedBlocks blocks_;
  bool pack_a_ = false, pack_b_ = false, to_vnni2_ = false, sums_in_c_ = false, by_item_ = false;
  DType sum_ = DType::f32;
  Cut m_, n_, k_;
  int64_t a_leading_ = 0, b_leading_ = 0, sums_leading_ = 0;  // in scratch
  int64_t sums_offset_ = 0, a_offset_ = 0, b_offset_ = 0, stored_b_offset_ = 0, expression_offset_ = 0,
          plain_offset_ = 0;  // bytes
  std::shared_ptr<ContractionKernel> plain_[16];
  std::shared_ptr<const ExpressionKernel> prologue_a_, prologue_b_, epilogue_;
  std::shared_ptr<const LayoutKernel> transpose_;  ///< of b
};

std::optional<Error> ComposedContraction::prepare(const Target& target, MakePlainContraction make_plain) {
  if (desc_.trans_b) {
    LayoutDesc transpose;
    transpose.op = to_vnni2_ ? LayoutOp::vnni2 : LayoutOp::transpose;
    transpose.trans = to_vnni2_;
    transpose.src = transpose.dst = desc_.b;
    transpose_ = LayoutKernel::compile(target, transpose);
  }
  // Scratch: sums, blocks of a and b, the expressions' own.
  int64_t offset = 0;
  const auto place = [&](int64_t elements, DType dtype) {
    const int64_t at = offset;
    offset += align_bytes(elements * size_of(dtype));
    return at;
  };
  if (!sums_in_c_) {
    sums_leading_ = odd_lines(n_.block, size_of(sum_));
    sums_offset_ = place(m_.block * sums_leading_, sum_);
  }
  if (pack_a_) {
    a_leading_ = desc_.trans_a ? m_.block : k_.block;
    a_offset_ = place(m_.block * k_.block, desc_.a);
  }
  if (pack_b_) {
    b_leading_ = n_.block;
    b_offset_ = place((k_.block + 1) / 2 * 2 * n_.block, desc_.b);
    if (desc_.trans_b && !desc_.prologue_b.empty()) stored_b_offset_ = place(k_.block * n_.block, desc_.b);
  }
  expression_offset_ = offset;
  int64_t expression_bytes = 0;
  const auto compile = [&](const Expression& expression, const ExpressionOperand& src, const ExpressionOperand& dst,
                           const std::vector<ExpressionOperand>& more, int64_t widest) {
    ExpressionDesc e;
    e.compute = sum_;
    e.expression = expression;
    e.inputs = {src};
    e.inputs.insert(e.inputs.end(), more.begin(), more.end());
    e.outputs = {dst};
    auto kernel = ExpressionKernel::compile(target, e);
    expression_bytes = std::max(expression_bytes, kernel->scratch_bytes(widest));
    return kernel;
  };
  const auto operand = [](DType dtype, int64_t leading) { return ExpressionOperand{dtype, Broadcast::none, leading}; };
  if (pack_a_) {
    prologue_a_ = compile(desc_.prologue_a, operand(desc_.a, desc_.lda), operand(desc_.a, a_leading_), {},
                          std::max(m_.block, k_.block));
  }
  if (!desc_.prologue_b.empty()) {
    const int64_t leading = desc_.trans_b ? k_.block : b_leading_;
    prologue_b_ = compile(desc_.prologue_b, operand(desc_.b, desc_.ldb), operand(desc_.b, leading), {},
                          std::max(n_.block, k_.block));
  }
  if (!desc_.epilogue.empty() || !sums_in_c_) {
    Expression expression = desc_.epilogue;
    if (expression.empty()) expression.output(expression.input(0));  // rounds
    epilogue_ = compile(expression, operand(sum_, sums_in_c_ ? desc_.ldc : sums_leading_), operand(desc_.c, desc_.ldc),
                        desc_.epilogue_inputs, n_.block);
  }
  scratch_bytes_ = plain_offset_ = offset + align_bytes(expression_bytes);

  ContractionDesc inner = desc_;
  inner.prologue_a = inner.prologue_b = inner.epilogue = Expression();
  inner.epilogue_inputs.clear();
  inner.trans_b = false;
  inner.c = sum_;
  if (pack_a_) inner.lda = a_leading_;
  if (pack_b_) inner.ldb = b_leading_;
  if (to_vnni2_) inner.b_packing = Packing::vnni2;
  if (!sums_in_c_) inner.ldc = sums_leading_;
  if (by_item_) {
    inner.addressing = Batch::none;
    inner.batch = 1;
  }
  int64_t code_bytes = 0;
  std::string words;
  for (int i = 0; i < 16; ++i) {
    const bool accumulate = (i & 8) != 0;
    const auto extent = [](const Cut& c, bool tail) { return tail ? c.tail() : c.full(); };
    inner.m = extent(m_, i & 1);
    inner.n = extent(n_, i & 2);
    inner.k = extent(k_, i & 4);
    if (inner.m == 0 || inner.n == 0 || inner.k == 0) continue;                           // no such block
    if (!accumulate && k_.extent != kAtCall && (i & 4) != 0 && k_.full() != 0) continue;  // a sum never begins there
    const bool one_pass = !by_item_ || (k_.extent != kAtCall && k_.extent <= k_.block && desc_.batch == 1);
    if (one_pass && accumulate != desc_.accumulate) continue;
    if (!accumulate && desc_.accumulate) continue;
    inner.accumulate = accumulate;
    auto made = make_plain(target, inner);
    if (!made) return made.error();
    plain_[i] = std::move(made).value();
    scratch_bytes_ = std::max(scratch_bytes_, plain_offset_ + plain_[i]->scratch_bytes());
    code_bytes += plain_[i]->info().code_bytes;
    if (words.empty()) {
      info_.implementation = plain_[i]->info().implementation;
      info_.isa = plain_[i]->info().isa;
      words = plain_[i]->info().blocking;
    }
  }
  if (info_.implementation.empty()) {  // nothing to multiply
    info_.implementation = "composed";
    info_.isa = target.isa >= Isa::avx512 ? Isa::avx512 : Isa::avx2;
  }
  const auto text = [](const Cut& c) { return c.block == Cut::kUncut ? "?" : std::to_string(c.block); };
  info_.blocking =
      fmt::format("composed of {}x{}x{}{}{}", text(m_), text(n_), text(k_), words.empty() ? "" : ", ", words);
  for (const auto& expression : {prologue_a_, prologue_b_, epilogue_}) {
    if (expression == nullptr) continue;
    info_.blocking += ", expression by " + expression->info().implementation;
    code_bytes += expression->info().code_bytes;
  }
  info_.code_bytes = code_bytes;
  info_.traffic = operand_traffic(desc_);
  if (info_.traffic.flops > 0) info_.traffic.l1_bytes = l1_bytes();
  return std::nullopt;
}

/// Where all extents are fixed: what the kernels inside, the blocks brought to scratch and the epilogue move.
double ComposedContraction::l1_bytes() const {
  const auto blocks = [](const Cut& c, bool tail) -> int64_t {
    return tail ? (c.tail() > 0 ? 1 : 0) : c.extent / c.block;
  };
  double bytes = 0;
  for (int i = 0; i < 8; ++i) {
    const int64_t tiles = blocks(m_, i & 1) * blocks(n_, i & 2);
    int64_t passes = tiles * blocks(k_, i & 4) * (by_item_ ? desc_.batch : 1);
    if (passes == 0) continue;
    const auto add = [&](const std::shared_ptr<ContractionKernel>& kernel, int64_t count) {
      if (kernel != nullptr) bytes += static_cast<double>(count) * kernel->info().traffic.l1_bytes;
    };
    if (!desc_.accumulate && ((i & 4) == 0 || k_.full() == 0)) {  // the first of each tile begins a sum
      add(plain_[i], tiles);
      passes -= tiles;
    }
    add(plain_[i + 8], passes);
  }
  const auto product = [](int64_t x, int64_t y, int64_t each) {
    return static_cast<double>(x) * static_cast<double>(y * each);
  };
  const int64_t k = desc_.k * desc_.batch;
  const int64_t strips = (desc_.n + n_.block - 1) / n_.block, tiles = (desc_.m + m_.block - 1) / m_.block;
  if (pack_a_) bytes += static_cast<double>(strips) * product(desc_.m, k, 2 * size_of(desc_.a));
  if (pack_b_) {
    const int copies = desc_.trans_b && prologue_b_ != nullptr ? 4 : 2;
    bytes += static_cast<double>(tiles) * product(desc_.n, k, copies * size_of(desc_.b));
  }
  if (epilogue_ != nullptr) {
    bytes += product(desc_.m, desc_.n, size_of(sum_) + size_of(desc_.c));
    for (const ExpressionOperand& operand : desc_.epilogue_inputs) {
      if (operand.broadcast != Broadcast::none) continue;
      bytes += operand.dtype == DType::boolean ? product(desc_.m, desc_.n, 1) / 8
                                               : product(desc_.m, desc_.n, size_of(operand.dtype));
    }
  }
  return bytes;
}

const char* ComposedContraction::b_at(const Arguments& arguments, const char* b, int64_t p, int64_t column) const {
  const int64_t ldb = arguments.call.ldb;
  switch (desc_.b_packing) {
    case Packing::vnni2:
      return b + (p / 2 * 2 * ldb + 2 * column) * size_of(desc_.b);
    case Packing::panels16:
    case Packing::panels16x3:
      return b + (column / 16 * ldb + p / 2 * 32) * size_of(desc_.b);
    default:
      return b + (desc_.trans_b ? column * ldb + p : p * ldb + column) * size_of(desc_.b);
  }
}

void ComposedContraction::run(const char* a, const char* b, char* c, const ContractionCall* call) const {
  Arguments arguments{call != nullptr ? *call : ContractionCall(), a, b, c};
  const auto fill = [](int64_t fixed, int64_t& value) {
    if (fixed != kAtCall) value = fixed;
  };
  ContractionCall& given = arguments.call;
  fill(desc_.m, given.m);
  fill(desc_.n, given.n);
  fill(desc_.k, given.k);
  fill(desc_.lda, given.lda);
  fill(desc_.ldb, given.ldb);
  fill(desc_.ldc, given.ldc);
  fill(desc_.batch, given.batch);
  fill(desc_.a_stride, given.a_stride);
  fill(desc_.b_stride, given.b_stride);
  for (int64_t column = 0; column < given.n; column += n_.block) {
    for (int64_t row = 0; row < given.m; row += m_.block) {
      run_block(arguments, {row, std::min(m_.block, given.m - row), column, std::min(n_.block, given.n - column)});
    }
  }
}

void ComposedContraction::run_block(const Arguments& arguments, const Block& block) const {
  const ContractionCall& call = arguments.call;
  char* const c = arguments.c + (block.row * call.ldc + block.column) * size_of(desc_.c);
  char* const sums = sums_in_c_ ? c : static_cast<char*>(call.scratch) + sums_offset_;
  const int64_t sums_leading = sums_in_c_ ? call.ldc : sums_leading_;
  Finish f;
  if (epilogue_ != nullptr) {
    f = finish_of(arguments, block, sums, sums_leading);
    if (blocks_.fetches) fetch(f, arguments, block);
  }
  if (call.batch == 0 || call.k == 0) {
    for (int64_t i = 0; i < block.rows && !desc_.accumulate; ++i) {
      std::memset(sums + i * sums_leading * size_of(sum_), 0, static_cast<size_t>(block.columns * size_of(sum_)));
    }
  } else if (by_item_) {
    run_items(arguments, block, sums, sums_leading);
  } else {
    ContractionCall inner = call;
    inner.scratch = static_cast<char*>(call.scratch) + plain_offset_;
    inner.m = block.rows;
    inner.n = block.columns;
    inner.ldc = sums_leading;
    const ContractionKernel& kernel =
        plain(block.rows < m_.block, block.columns < n_.block, call.k < k_.block, desc_.accumulate);
    kernel(a_at(arguments, arguments.a, block.row, 0), b_at(arguments, arguments.b, 0, block.column), sums, &inner);
  }
  if (epilogue_ != nullptr) finish(f, arguments, block);
}

/// Blocks of k of one product after the other.
void ComposedContraction::run_items(const Arguments& arguments, const Block& block, char* sums,
                                    int64_t sums_leading) const {
  const ContractionCall& call = arguments.call;
  ContractionCall inner = call;
  inner.scratch = static_cast<char*>(call.scratch) + plain_offset_;
  inner.m = block.rows;
  inner.n = block.columns;
  inner.ldc = sums_leading;
  bool accumulate = desc_.accumulate;
  for (int64_t i = 0; i < call.batch; ++i) {
    const char *a = arguments.a, *b = arguments.b;
    if (desc_.addressing == Batch::stride) {
      a += i * call.a_stride * size_of(desc_.a);
      b += i * call.b_stride * size_of(desc_.b);
    } else if (desc_.addressing == Batch::offset) {
      a += call.a_offsets[i] * size_of(desc_.a);
      b += call.b_offsets[i] * size_of(desc_.b);
    } else if (desc_.addressing == Batch::address) {
      a = static_cast<const char*>(call.a_list[i]);
      b = static_cast<const char*>(call.b_list[i]);
    }
    for (int64_t p = 0; p < call.k; p += k_.block) {
      inner.k = std::min(k_.block, call.k - p);
      const char* a_block = packed_a(arguments, a, block, p, inner.k, inner.lda);
      const char* b_block = packed_b(arguments, b, block, p, inner.k, inner.ldb);
      plain(block.rows < m_.block, block.columns < n_.block, inner.k < k_.block, accumulate)(a_block, b_block, sums,
                                                                                             &inner);
      accumulate = true;
    }
  }
}

/// Applies a prologue to [rows, columns] of an operand as it is stored.
void ComposedContraction::apply(const ExpressionKernel& prologue, const Arguments& arguments, int64_t rows,
                                int64_t columns, const void* src, int64_t src_leading, void* dst,
                                int64_t dst_leading) const {
  ExpressionCall call;
  call.m = rows;
  call.n = columns;
  call.inputs = &src;
  call.outputs = &dst;
  call.input_leading = &src_leading;
  call.output_leading = &dst_leading;
  call.scratch = static_cast<char*>(arguments.call.scratch) + expression_offset_;
  prologue(call);
}

const char* ComposedContraction::packed_a(const Arguments& arguments, const char* a, const Block& block, int64_t p,
                                          int64_t depth, int64_t& leading) const {
  const char* stored = a_at(arguments, a, block.row, p);
  if (!pack_a_) return stored;
  char* const packed = static_cast<char*>(arguments.call.scratch) + a_offset_;
  leading = a_leading_;
  apply(*prologue_a_, arguments, desc_.trans_a ? depth : block.rows, desc_.trans_a ? block.rows : depth, stored,
        arguments.call.lda, packed, leading);
  return packed;
}

const char* ComposedContraction::packed_b(const Arguments& arguments, const char* b, const Block& block, int64_t p,
                                          int64_t depth, int64_t& leading) const {
  const char* stored = b_at(arguments, b, p, block.column);
  if (!pack_b_) return stored;
  char* const scratch = static_cast<char*>(arguments.call.scratch);
  char* const packed = scratch + b_offset_;
  leading = b_leading_;
  if (!desc_.trans_b) {
    apply(*prologue_b_, arguments, depth, block.columns, stored, arguments.call.ldb, packed, leading);
    return packed;
  }
  int64_t stored_leading = arguments.call.ldb;
  if (prologue_b_ != nullptr) {
    char* const after = scratch + stored_b_offset_;
    apply(*prologue_b_, arguments, block.columns, depth, stored, stored_leading, after, k_.block);
    stored = after;
    stored_leading = k_.block;
  }
  LayoutCall call;
  call.src = stored;
  call.dst = packed;
  call.m = to_vnni2_ ? depth : block.columns;
  call.n = to_vnni2_ ? block.columns : depth;
  call.src_leading = stored_leading;
  call.dst_leading = leading;
  (*transpose_)(call);
  return packed;
}

/// What the epilogue of a block reads and writes.
ComposedContraction::Finish ComposedContraction::finish_of(const Arguments& arguments, const Block& block,
                                                           const char* sums, int64_t sums_leading) const {
  const ContractionCall& given = arguments.call;
  Finish f;
  f.inputs[0] = sums;
  f.leading[0] = sums_leading;
  for (size_t i = 0; i < desc_.epilogue_inputs.size(); ++i) {
    const ExpressionOperand& operand = desc_.epilogue_inputs[i];
    const int64_t leading =
        operand.leading == kAtCall && given.epilogue_leading != nullptr ? given.epilogue_leading[i] : operand.leading;
    int64_t offset = 0;
    if (operand.broadcast == Broadcast::none) offset = block.row * leading + block.column;
    if (operand.broadcast == Broadcast::row) offset = block.column;
    if (operand.broadcast == Broadcast::column) offset = block.row;
    // Masks are bits; blocks begin at multiples of 16.
    const int64_t bytes = operand.dtype == DType::boolean ? offset / 8 : offset * size_of(operand.dtype);
    f.inputs[i + 1] = static_cast<const char*>(given.epilogue_inputs[i]) + bytes;
    f.leading[i + 1] = leading;
  }
  f.result = arguments.c + (block.row * given.ldc + block.column) * size_of(desc_.c);
  return f;
}

/// Brings what the epilogue will read and write to the cache while the products run: no prefetcher foresees a line here
/// and a line there.
void ComposedContraction::fetch(const Finish& f, const Arguments& arguments, const Block& block) const {
  const auto lines = [&](const void* from, int64_t leading, int64_t size, auto line) {
    for (int64_t row = 0; row < block.rows; ++row) {
      const char* at = static_cast<const char*>(from) + row * leading * size;
      for (int64_t byte = 0; byte < block.columns * size; byte += 64) line(at + byte);
    }
  };
  for (size_t i = 0; i < desc_.epilogue_inputs.size(); ++i) {
    const ExpressionOperand& operand = desc_.epilogue_inputs[i];
    if (operand.broadcast == Broadcast::none && operand.dtype != DType::boolean)
      lines(f.inputs[i + 1], f.leading[i + 1], size_of(operand.dtype), [](const char* at) { __builtin_prefetch(at); });
  }
  if (!sums_in_c_)
    lines(f.result, arguments.call.ldc, size_of(desc_.c), [](const char* at) { __builtin_prefetch(at, 1); });
}

/// The epilogue of a block of sums, or their rounding to c's type.
void ComposedContraction::finish(const Finish& f, const Arguments& arguments, const Block& block) const {
  const ContractionCall& given = arguments.call;
  ExpressionCall call;
  call.m = block.rows;
  call.n = block.columns;
  call.inputs = f.inputs;
  call.outputs = &f.result;
  call.input_leading = f.leading;
  call.output_leading = &given.ldc;
  call.parameters = given.epilogue_parameters;
  call.scratch = static_cast<char*>(given.scratch) + expression_offset_;
  (*epilogue_)(call);
}

}  // namespace

bool needs_composition(const ContractionDesc& desc) {
  return desc.trans_b || !desc.prologue_a.empty() || !desc.prologue_b.empty() || !desc.epilogue.empty();
}

Result<std::shared_ptr<ContractionKernel>> compose_contraction(const Target& target, const ContractionDesc& desc,
                                                               MakePlainContraction make,
                                                               const ComposedBlocks& blocks) {
  return ComposedContraction::make(target, desc, make, blocks);
}

}  // namespace gregale::kernels
