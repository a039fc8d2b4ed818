// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/fft/fft_tile.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/common.hpp"
#include "kernels/fft/fft_table.hpp"

namespace gregale::kernels {
namespace {

/// Nanoseconds that a point of sixteen complex columns takes by radices on one core, as fitted to what fft_tile_bench
/// measured on a Zen 4 with AVX2. Only the ratio to the products' below matters, and that moves little between machines
/// of one instruction set. Loading and storing the tile takes more than any stage.
double radices_cost(int64_t n) {
  constexpr double kEnds = 16, kStage[] = {0, 0, 1.5, 3, 3, 4}, kPrime = 3.7, kTurn = 9.6;
  double cost = kEnds;
  int64_t rest = n;
  for (const int64_t radix : {4, 2, 5, 3})
    for (; rest % radix == 0; rest /= radix) cost += kStage[radix];
  for (int64_t p = 7; p <= kFftMaxRadix && rest > 1; p += 2)
    for (; rest % p == 0; rest /= p) cost += kPrime * static_cast<double>(p);
  if (rest == 1) return cost;
  int64_t longer = 1;  // Bluestein: there and back through a longer one, and three products with chirps
  while (longer < 2 * n - 1) longer *= 2;
  const double ratio = static_cast<double>(longer) / static_cast<double>(n);
  return kEnds + ratio * 2 * (radices_cost(longer) - kEnds) + (2 + ratio) * kTurn;
}

}  // namespace

const char* to_string(FftMethod method) { return method == FftMethod::product ? "product" : "radices"; }

FftMethod fft_method(Isa isa, int64_t length, FftKind kind) {
  const bool real = kind == FftKind::real_forward || kind == FftKind::real_inverse;
  // Longer matrices leave the cache; without vector code a product has no advantage.
  const int64_t longest = real ? 192 : 96;
  if (isa == Isa::reference || length > longest) return FftMethod::radices;
  const auto n = static_cast<double>(length);
  // A real transform of even length is a complex one of half the length, taken apart in one pass more.
  constexpr double kApart = 4;
  const double radices = real && length % 2 == 0 ? 0.5 * (radices_cost(length / 2) + kApart) : radices_cost(length);
  const double product = real ? 0.42 * n + 1 : 1.65 * n;
  return product < radices ? FftMethod::product : FftMethod::radices;
}

FftTile::FftTile(const Target& target, const Desc& desc, FftMethod method)
    : desc_(desc), isa_(target.isa), method_(method) {
  if (method_ == FftMethod::product) {
    make_product(target);
    return;
  }
  plan_ = std::make_unique<const FftPlan>(desc.length);
  scratch_bytes_ = align_bytes(fft_scratch_bytes(*plan_, 1));
}

/// Rows of the matrix are what is made, columns what is read: those of real parts, then those of imaginary ones.
void FftTile::make_product(const Target& target) {
  const int64_t n = desc_.length, modes = n / 2 + 1;
  const bool from_real = desc_.kind == FftKind::real_forward, to_real = desc_.kind == FftKind::real_inverse;
  const double sign = to_real || desc_.kind == FftKind::inverse ? 1 : -1;
  const int64_t made = from_real ? modes : n, read = to_real ? modes : n;
  const int64_t parts = from_real ? 1 : 2;
  for (int64_t which = 0; which < (to_real ? 1 : 2); ++which) {
    matrix_[which].resize(static_cast<size_t>(parts * made * read));
    for (int64_t i = 0; i < made; ++i)
      for (int64_t j = 0; j < read; ++j) {
        // Multiples of a quarter turn exactly.
        const int64_t turn = i * j % n;
        const double angle = 2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(n);
        const double cosine = 4 * turn == n || 4 * turn == 3 * n ? 0 : std::cos(angle);
        const double sine = 2 * turn == n ? 0 : sign * std::sin(angle);
        // A mode of real numbers stands for its conjugate, too, but for the first and the middle one.
        const double weight = desc_.scale * (to_real && j > 0 && 2 * j != n ? 2 : 1);
        const auto at = static_cast<size_t>(i * read + j);
        const auto other = at + static_cast<size_t>(made * read);
        matrix_[which][at] = static_cast<float>(weight * (which == 0 ? cosine : sine));
        if (parts == 2) matrix_[which][other] = static_cast<float>(weight * (which == 0 ? -sine : cosine));
      }
  }
  ContractionDesc d;
  d.m = made;
  d.n = desc_.columns;
  d.k = read;
  d.lda = read;
  d.ldb = desc_.src_leading;
  d.ldc = desc_.dst_leading;
  if (parts == 2) {
    d.addressing = ContractionDesc::Batch::stride;
    d.batch = 2;
    d.a_stride = made * read;
    d.b_stride = desc_.columns;
  }
  contraction_ = ContractionKernel::compile(target, d);
  scratch_bytes_ = align_bytes(contraction_->scratch_bytes());
}

void FftTile::operator()(const float* src, float* dst, std::byte* scratch) const {
  if (method_ == FftMethod::radices) {
    fft_tile_f32(isa_, *plan_, desc_.kind, desc_.columns, static_cast<float>(desc_.scale), src, desc_.src_leading, dst,
                 desc_.dst_leading, scratch);
    return;
  }
  ContractionCall call;
  call.scratch = scratch;
  (*contraction_)(matrix_[0].data(), src, dst, &call);
  if (!matrix_[1].empty()) (*contraction_)(matrix_[1].data(), src, dst + desc_.columns, &call);
}

FftArray::FftArray(const Target& target, const FftParts& parts, int64_t length, FftKind kind, double scale)
    : parts_(parts),
      kind_(kind),
      scale_(static_cast<float>(scale)),
      length_(length),
      isa_(target.isa),
      slots_(std::max(1, target.cores)) {
  if (fft_method(isa_, length, kind) == FftMethod::radices) {
    plan_ = std::make_unique<const FftPlan>(length);
    scratch_bytes_ = fft_scratch_bytes(*plan_, slots_);
    return;
  }
  const int64_t read = parts.columns * (kind == FftKind::real_forward ? 1 : 2);
  const int64_t written = parts.columns * (kind == FftKind::real_inverse ? 1 : 2);
  tile_ = std::make_unique<const FftTile>(
      target, FftTile::Desc{length, parts.columns, kind, scale, read, parts.groups * written}, FftMethod::product);
  const int64_t rows = kind == FftKind::real_inverse ? length / 2 + 1 : length;
  copy_bytes_ = align_bytes(rows * read * static_cast<int64_t>(sizeof(float)));
  scratch_bytes_ = slots_ * (copy_bytes_ + tile_->scratch_bytes());
}

void FftArray::run(ThreadTeam& team, const float* src, float* dst, std::byte* scratch) const {
  if (plan_ != nullptr) {
    fft_parts_f32(isa_, team, *plan_, kind_, parts_, scale_, src, dst, slots_, scratch);
    return;
  }
  const int64_t modes = length_ / 2 + 1;
  const int64_t rows = kind_ == FftKind::real_inverse ? modes : length_;
  const int64_t made = kind_ == FftKind::real_forward ? modes : length_;
  const int64_t read = parts_.columns * (kind_ == FftKind::real_forward ? 1 : 2);
  const int64_t written = parts_.columns * (kind_ == FftKind::real_inverse ? 1 : 2);
  const int64_t tiles = parts_.outer * parts_.groups, shares = std::min<int64_t>(slots_, tiles);
  parallel_for(team, shares, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t share = begin; share < end; ++share) {
      std::byte* own = scratch + share * (copy_bytes_ + tile_->scratch_bytes());
      auto* copy = reinterpret_cast<float*>(own);
      for (int64_t t = tiles * share / shares; t < tiles * (share + 1) / shares; ++t) {
        const int64_t o = t / parts_.groups, g = t % parts_.groups;
        const float* from = src + (o * rows * parts_.groups + g) * read;
        for (int64_t r = 0; r < rows; ++r) std::copy_n(from + r * parts_.groups * read, read, copy + r * read);
        (*tile_)(copy, dst + (o * made * parts_.groups + g) * written, own + copy_bytes_);
      }
    }
  });
}

}  // namespace gregale::kernels
