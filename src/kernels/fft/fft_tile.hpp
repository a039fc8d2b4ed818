// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "gregale/context.hpp"
#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/fft/fft.hpp"

namespace gregale::kernels {

/// How a transform is computed: by mixed radices (or Bluestein's chirp), or as a product with the matrix of its roots
/// of unity, which does more arithmetic in a unit that does it faster. It pays for short lengths and for those with
/// large prime factors, as 73, 181 or 721 points between and on the poles.
enum class FftMethod : uint8_t { radices, product };
/// The cheaper one by a formula of length, kind and instruction set alone, so that bits depend on nothing else.
FftMethod fft_method(Isa isa, int64_t length, FftKind kind);
const char* to_string(FftMethod method);

/// Transforms of one tile of complex numbers in parts (fft.hpp): rows (points or modes) of 2 `columns` floats, or of
/// `columns` where they are real, `leading` floats from row to row. Not in place.
class FftTile {
 public:
  struct Desc {
    int64_t length = 0, columns = 0;
    FftKind kind = FftKind::forward;
    double scale = 1;
    int64_t src_leading = 0, dst_leading = 0;
  };
  FftTile(const Target& target, const Desc& desc)
      : FftTile(target, desc, fft_method(target.isa, desc.length, desc.kind)) {}
  FftTile(const Target& target, const Desc& desc, FftMethod method);

  FftMethod method() const { return method_; }
  int64_t scratch_bytes() const { return scratch_bytes_; }  ///< one a thread, 64-byte aligned
  void operator()(const float* src, float* dst, std::byte* scratch) const;

 private:
  void make_product(const Target& target);

  Desc desc_;
  Isa isa_;
  FftMethod method_;
  std::unique_ptr<const FftPlan> plan_;  // radices
  std::vector<float> matrix_[2];         // product: what makes real and imaginary parts
  std::shared_ptr<const ContractionKernel> contraction_;
  int64_t scratch_bytes_ = 0;
};

/// Transforms of a whole array in parts, tile by tile where they are products. forward and inverse may run in place.
class FftArray {
 public:
  FftArray(const Target& target, const FftParts& parts, int64_t length, FftKind kind, double scale);
  int64_t scratch_bytes() const { return scratch_bytes_; }
  void run(ThreadTeam& team, const float* src, float* dst, std::byte* scratch) const;

 private:
  FftParts parts_;
  FftKind kind_;
  float scale_;
  int64_t length_;
  Isa isa_;
  int slots_;
  std::unique_ptr<const FftPlan> plan_;  // radices
  std::unique_ptr<const FftTile> tile_;  // product, from a copy of the tile
  int64_t copy_bytes_ = 0, scratch_bytes_ = 0;
};

}  // namespace gregale::kernels
