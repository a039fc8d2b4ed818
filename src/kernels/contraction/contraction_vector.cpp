// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Contractions on vector units. The recipe of an element of c, for all blockings, strides and addressings:
// - f32, f64 and fp32x3 (of plain f32): one chain of fused multiply-adds over (i, k), beginning at c or +0.
// - bf16 operands of compute f32: widened exactly, then the same.
// - compute bf16 from packed b, where the target's dot product is fast: one chain of vdpbf16ps over (i, pairs of k), an
//   odd last k paired with zeros; denormal operands and results count as zero. Elsewhere (plain b, other targets) as
//   compute f32.
// - c in bf16: the sum in fp32, rounded to nearest even.
// Transposed operands change nothing of this, but that b transposed is packed on the way.
#include <fmt/format.h>

#include "kernels/contraction/contraction_composed.hpp"
#include "kernels/contraction/contraction_emitter.hpp"
#include "kernels/contraction/contraction_implementations.hpp"

namespace gregale::kernels {
namespace {

class VectorContraction final : public ContractionKernel {
 public:
  VectorContraction(jit::Code code, KernelInfo info) : code_(std::move(code)) {
    function_ = code_.entry<Function>();
    info_ = std::move(info);
    info_.code_bytes = static_cast<int64_t>(code_.bytes());
  }

 private:
  jit::Code code_;
};

Result<std::shared_ptr<ContractionKernel>> make_plain(const Target& target, const ContractionDesc& desc) {
  const bool evex = target.isa >= Isa::avx512;
  const bool dot = evex && desc.compute == Compute::bf16 && desc.b_packing != Packing::plain &&
                   target.features.avx512_bf16 && target.features.fast_bf16_dot;
  const bool conversion = evex && desc.compute == Compute::bf16 && target.features.avx512_bf16;
  VectorUnit unit;
  unit.evex = evex;
  unit.lanes = (evex ? 64 : 32) / (desc.compute == Compute::f64 ? 8 : 4);
  unit.halves = evex && target.features.fast_bf16_dot;  // Zen 4, whose units are 256 bits wide
  unit.small_blocks = unit.halves && (desc.b != DType::bf16 || desc.b_packing != Packing::plain);  // cheap rows of b
  if (unit.halves && desc.n != kAtCall && (2 * desc.n + unit.lanes - 1) / unit.lanes == 3) {
    // One and a half registers: three of half the width keep both halves of the unit busy.
    unit.lanes /= 2;
    unit.halves = false;
  }
  unit.chains = unit.halves ? 4 : 8;
  if (evex && !target.features.fast_bf16_dot && !dot) {  // shifts and shuffles share ports with multiply-adds
    unit.widen_a = desc.a == DType::bf16 ? 1 : 0;
    unit.widen_b = desc.b == DType::bf16 ? 1 : 0;
  }
  ContractionEmitter emitter(desc, unit, dot, conversion);
  KernelInfo info;
  info.isa = evex ? Isa::avx512 : Isa::avx2;
  info.implementation = fmt::format("{} {}", to_string(info.isa), dot ? "bf16 dot" : "fma");
  info.blocking = to_string(emitter.blocking(), unit);
  info.traffic = operand_traffic(desc);
  info.traffic.l1_bytes = emitter.l1_bytes();
  const auto extent = [](int64_t value) { return value == kAtCall ? std::string("n") : std::to_string(value); };
  const std::string name =
      fmt::format("contraction_{}_{}x{}x{}", name_of(desc.a), extent(desc.m), extent(desc.n), extent(desc.k));
  return std::shared_ptr<ContractionKernel>(std::make_shared<VectorContraction>(emitter.emit(name), std::move(info)));
}

}  // namespace

Result<std::shared_ptr<ContractionKernel>> make_contraction_vector(const Target& target, const ContractionDesc& desc) {
  if (target.isa < Isa::avx2) return refusal("the target has no AVX2");
  if (desc.b_packing == Packing::panels16x3) return refusal("b in three parts is for tile units");
  if (desc.b == DType::i8) return refusal("b of bytes is for tile units");
  constexpr ComposedBlocks kBlocks{.columns = 64, .elements = 4096, .fetches = true};
  return needs_composition(desc) ? compose_contraction(target, desc, make_plain, kBlocks) : make_plain(target, desc);
}

}  // namespace gregale::kernels
