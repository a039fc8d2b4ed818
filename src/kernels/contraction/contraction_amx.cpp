// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "kernels/contraction/contraction_composed.hpp"
#include "kernels/contraction/contraction_fp32x3.hpp"
#include "kernels/contraction/contraction_implementations.hpp"
#include "kernels/contraction/contraction_tile_emitter.hpp"

namespace gregale::kernels {
namespace {

using Batch = ContractionDesc::Batch;

/// bf16 products on tiles: one piece of code for each height of blocks of rows, two at most.
class TileContraction final : public ContractionKernel {
 public:
  explicit TileContraction(const ContractionDesc& desc, const TileParts& parts = {}) {
    function_ = run;
    context_ = this;
    by_address_ = desc.addressing == Batch::address;
    int64_t row = 0;
    info_.isa = Isa::amx;
    info_.implementation = "amx bf16";
    info_.traffic = operand_traffic(desc);
    for (const TileRows& rows : cut_tile_rows(desc.m)) {
      ContractionTileEmitter emitter(desc, rows, parts);
      pieces_.push_back({config_of(rows),
                         emitter.emit(fmt::format("contraction_amx{}_{}x{}x{}", parts.b != 0 ? "_x3" : "",
                                                  rows.rows() * rows.count, desc.n, desc.k)),
                         row * desc.lda * size_of(desc.a), row * desc.ldc * size_of(desc.c)});
      scratch_bytes_ = std::max(scratch_bytes_, ContractionTileEmitter::scratch_bytes(desc, rows, parts));
      info_.traffic.l1_bytes += emitter.l1_bytes();
      info_.code_bytes += static_cast<int64_t>(pieces_.back().code.bytes());
      info_.blocking += fmt::format("{}{} blocks of {}+{} rows by 32 columns", info_.blocking.empty() ? "" : ", ",
                                    rows.count, rows.upper, rows.lower);
      row += rows.rows() * rows.count;
    }
  }

 private:
  struct Piece {
    TileConfig config;
    jit::Code code;
    int64_t a_bytes = 0, c_bytes = 0;  ///< from the operands' beginnings
  };

  static void run(const void* a, const void* b, void* c, const ContractionCall* call, const void* context) {
    const auto& kernel = *static_cast<const TileContraction*>(context);
    const TileScope scope;
    // An address list holds the operands' beginnings, so the code is given how far its rows are from there.
    const auto* first = kernel.by_address_ ? nullptr : static_cast<const char*>(a);
    for (const Piece& piece : kernel.pieces_) {
      TileScope::use(piece.config);
      piece.code.entry<Function>()(
          reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(first) + static_cast<uintptr_t>(piece.a_bytes)), b,
          static_cast<char*>(c) + piece.c_bytes, call, nullptr);
    }
  }

  bool by_address_ = false;
  std::vector<Piece> pieces_;
};

Result<std::shared_ptr<ContractionKernel>> make_tiles(const Target&, const ContractionDesc& d) {
  if (d.compute != Compute::bf16) return refusal("tiles multiply bf16");
  if (d.b_packing != Packing::panels16) return refusal("b is not in panels16");
  if (d.trans_a) return refusal("a is transposed");
  for (const int64_t value : {d.m, d.n, d.k, d.lda, d.ldb, d.ldc})
    if (value == kAtCall) return refusal("an extent or leading dimension is given at the call");
  if (d.addressing == Batch::stride && (d.a_stride == kAtCall || d.b_stride == kAtCall))
    return refusal("a stride of the batch is given at the call");
  constexpr int64_t kMost = int64_t{1} << 24;  // displacements of a block fit in an instruction
  if (d.lda > kMost || d.ldc > kMost || d.ldb > 4 * kMost) return refusal("rows are too far apart");
  return std::shared_ptr<ContractionKernel>(std::make_shared<TileContraction>(d));
}

std::shared_ptr<ContractionKernel> make_in_parts(const ContractionDesc& desc, const TileParts& parts) {
  return std::make_shared<TileContraction>(desc, parts);
}

}  // namespace

bool has_tiles(const Target& target) {
  return target.isa >= Isa::amx && target.features.amx_bf16 && target.features.avx512_bf16;
}

Result<std::shared_ptr<ContractionKernel>> make_contraction_amx(const Target& target, const ContractionDesc& desc) {
  if (!has_tiles(target)) return refusal("the target has no AMX with bf16");
  if (desc.compute == Compute::fp32x3) {
    // All columns for a block of rows, which is split into parts once.
    constexpr ComposedBlocks kBlocks{.columns = 4096, .elements = 192 * 1024, .fetches = false};
    const auto make = [](const Target& t, const ContractionDesc& d) {
      return make_contraction_fp32x3(t, d, make_in_parts);
    };
    return needs_composition(desc) ? compose_contraction(target, desc, make, kBlocks) : make(target, desc);
  }
  // As many rows as share panels of b while their sums stay in L2, and whole pairs of cache lines of them: halves of
  // what comes from memory and goes there cost up to twice the time.
  constexpr ComposedBlocks kBlocks{.columns = 64, .elements = 16384, .fetches = false};
  return needs_composition(desc) ? compose_contraction(target, desc, make_tiles, kBlocks) : make_tiles(target, desc);
}

}  // namespace gregale::kernels
