// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_fp32x3.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cache_lines.hpp"
#include "kernels/common.hpp"
#include "kernels/contraction/contraction_implementations.hpp"
#include "kernels/layout/tile_layout.hpp"

namespace gregale::kernels {
namespace {

constexpr int64_t kRows = 256;  // of a block of a in scratch: three images of 256 x 512 are 768 KB of L2

/// Bits of the magnitude 2^exponent. Magnitudes compare as their bits do.
constexpr int32_t power_of_two(int exponent) { return (127 + exponent) << 23; }
constexpr int32_t kTooLarge = power_of_two(63);

int32_t magnitude_bits(float x) {
  int32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffff;
}

class Fp32x3Contraction final : public ContractionKernel {
 public:
  static std::shared_ptr<ContractionKernel> make(const Target& target, const ContractionDesc& desc,
                                                 MakeContractionInParts make_in_parts) {
    auto kernel = std::shared_ptr<Fp32x3Contraction>(new Fp32x3Contraction(desc));
    for (const bool tail : {false, true}) {
      ContractionDesc d;
      d.m = tail ? desc.m % kRows : std::min(desc.m, kRows);
      if (d.m == 0 || (!tail && desc.m < kRows)) continue;
      d.n = desc.n;
      d.k = kernel->padded_;
      d.lda = kernel->leading_;
      d.ldb = desc.ldb;
      d.ldc = desc.ldc;
      d.a = d.b = DType::bf16;
      d.c = DType::f32;
      d.compute = Compute::bf16;
      d.b_packing = Packing::panels16;
      d.accumulate = desc.accumulate;
      d.own_chain = desc.own_chain;
      kernel->parts_[tail] = make_in_parts(d, {kRows * kernel->leading_, desc.b_part});
      kernel->scratch_bytes_ =
          std::max(kernel->scratch_bytes_, kernel->images_bytes_ + kernel->parts_[tail]->scratch_bytes());
      const KernelInfo& part = kernel->parts_[tail]->info();
      kernel->info_.isa = part.isa;
      kernel->info_.code_bytes += part.code_bytes;
      const double times = tail ? 1 : static_cast<double>(desc.m / kRows);
      kernel->info_.traffic.l1_bytes += times * part.traffic.l1_bytes;
      if (kernel->info_.blocking.empty()) kernel->info_.blocking = "six products of parts by " + part.blocking;
    }
    LayoutDesc split;
    split.op = LayoutOp::split;
    split.n = desc.k;
    split.src_leading = desc.lda;
    split.dst_leading = kernel->leading_;
    split.src = DType::f32;
    split.dst = DType::bf16;
    split.parts = 3;
    split.part = kRows * kernel->leading_;
    kernel->split_ = LayoutKernel::compile(target, split);
    return kernel;
  }

 private:
  explicit Fp32x3Contraction(const ContractionDesc& desc) : desc_(desc) {
    function_ = run;
    context_ = this;
    padded_ = (desc.k + 31) / 32 * 32;
    leading_ = odd_lines(padded_, size_of(DType::bf16));
    images_bytes_ = align_bytes(3 * kRows * leading_ * 2);
    info_.implementation = "amx fp32x3";
    info_.traffic = operand_traffic(desc);
  }

  static bool fits(const float* row, int64_t k) {
    constexpr int32_t kTooSmall = power_of_two(-80);
    int32_t too_large = 0, large_enough = 0, any = 0;  // comparisons that every instruction set has in vectors
    for (int64_t i = 0; i < k; ++i) {
      const int32_t bits = magnitude_bits(row[i]);
      too_large |= bits >= kTooLarge ? 1 : 0;
      large_enough |= bits >= kTooSmall ? 1 : 0;
      any |= bits;
    }
    return too_large == 0 && (large_enough != 0 || any == 0);
  }

  /// A row by plain multiply-adds, on b put together again from its parts (exact).
  void plain_row(const float* a, const uint16_t* b, float* c, const float* before) const {
    const auto part = [](uint16_t bits) {
      const uint32_t wide = uint32_t{bits} << 16;
      float value = 0;
      std::memcpy(&value, &wide, sizeof value);
      return value;
    };
    for (int64_t j = 0; j < desc_.n; ++j) {
      const uint16_t* column = b + j / 16 * desc_.ldb + j % 16 * 2;
      float sum = before != nullptr && !desc_.own_chain ? before[j] : 0.0f;
      for (int64_t p = 0; p < desc_.k; ++p) {
        const uint16_t* at = column + p / 2 * 32 + p % 2;
        sum = std::fma(a[p], part(at[0]) + (part(at[desc_.b_part]) + part(at[2 * desc_.b_part])), sum);
      }
      c[j] = before != nullptr && desc_.own_chain ? before[j] + sum : sum;
    }
  }

  static void run(const void* a, const void* b, void* c, const ContractionCall* call, const void* context) {
    const auto& kernel = *static_cast<const Fp32x3Contraction*>(context);
    kernel.run(static_cast<const float*>(a), static_cast<const uint16_t*>(b), static_cast<float*>(c), *call);
  }

  void run(const float* a, const uint16_t* b, float* c, const ContractionCall& call) const {
    const ContractionDesc& d = desc_;
    auto* image = static_cast<uint16_t*>(call.scratch);
    for (int64_t row = 0; row < d.m; row += kRows) {
      const int64_t rows = std::min(kRows, d.m - row);
      const float* from = a + row * d.lda;
      float* to = c + row * d.ldc;
      LayoutCall split;
      split.src = from;
      split.dst = image;
      split.m = rows;
      (*split_)(split);
      if (padded_ != d.k) {
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t part = 0; part < 3; ++part)
            std::memset(image + (part * kRows + i) * leading_ + d.k, 0, static_cast<size_t>(padded_ - d.k) * 2);
      }
      uint64_t unfit[(kRows + 63) / 64] = {};
      bool any = false;
      for (int64_t i = 0; i < rows; ++i) {
        if (fits(from + i * d.lda, d.k)) continue;
        unfit[i / 64] |= uint64_t{1} << i % 64;
        any = true;
        // What the tiles make of such a row is never looked at; zeros keep it from being slow.
        for (int part = 0; part < 3; ++part)
          std::memset(image + (part * kRows + i) * leading_, 0, static_cast<size_t>(d.k) * 2);
      }
      ContractionCall parts;
      parts.scratch = static_cast<char*>(call.scratch) + images_bytes_;
      (*parts_[rows != kRows])(image, b, to, &parts);
      if (!any) continue;
      for (int64_t i = 0; i < rows; ++i) {
        if ((unfit[i / 64] >> i % 64 & 1) == 0) continue;
        // Zeros times b left c as it was.
        plain_row(from + i * d.lda, b, to + i * d.ldc, d.accumulate ? to + i * d.ldc : nullptr);
      }
    }
  }

  const ContractionDesc desc_;
  int64_t padded_ = 0, leading_ = 0;  ///< columns and leading of an image of a's rows
  int64_t images_bytes_ = 0;
  std::shared_ptr<ContractionKernel> parts_[2];
  std::shared_ptr<const LayoutKernel> split_;
};

}  // namespace

bool parts_hold(std::span<const float> b) {
  constexpr int32_t kTooSmall = power_of_two(-103);
  int32_t outside = 0;
  for (const float x : b) {
    const int32_t bits = magnitude_bits(x);
    outside |= (bits >= kTooLarge ? 1 : 0) | (bits < kTooSmall && bits != 0 ? 1 : 0);
  }
  return outside == 0;
}

Result<std::shared_ptr<ContractionKernel>> make_contraction_fp32x3(const Target& target, const ContractionDesc& d,
                                                                   MakeContractionInParts make_in_parts) {
  const auto refuse = [](const char* reason) { return Error(ErrorCode::unsupported, reason); };
  if (d.b_packing != Packing::panels16x3) return refuse("b is not in panels16x3");
  if (d.c != DType::f32) return refuse("c is not f32");
  if (d.trans_a) return refuse("a is transposed");
  if (d.addressing != ContractionDesc::Batch::none) return refuse("it sums a batch of products");
  if (!d.prologue_a.empty() || !d.prologue_b.empty() || !d.epilogue.empty()) return refuse("it has expressions");
  for (const int64_t value : {d.m, d.n, d.k, d.lda, d.ldb, d.ldc})
    if (value == kAtCall) return refuse("an extent or leading dimension is given at the call");
  return Fp32x3Contraction::make(target, d, make_in_parts);
}

}  // namespace gregale::kernels
