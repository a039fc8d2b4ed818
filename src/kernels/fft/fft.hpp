// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "kernels/common.hpp"

/// Fourier transforms along the middle extent of [outer, n, inner], unnormalised but for `scale`:
///   forward: Z[k] = scale * sum_j z[j] exp(-2 pi i jk / n);  inverse: the same with +.
/// Complex numbers are (re, im) pairs of f32. Sixteen transforms at a time share one pass (columns of inner, or, where
/// inner is 1, rows). Method: mixed radix 2, 3, 4, 5 and small primes, self-sorting (Stockham; see Van Loan,
/// "Computational frameworks for the fast Fourier transform", SIAM 1992); lengths with a larger prime factor go through
/// Bluestein's chirp (IEEE Trans. Audio Electroacoustics 18, 1970). A real transform of even n is a complex one of n/2.
namespace gregale::kernels {

/// Factors and twiddles (computed in f64, rounded to f32) of one length. Made once, at lowering; read by many threads.
class FftPlan {
 public:
  explicit FftPlan(int64_t n);
  ~FftPlan();
  FftPlan(const FftPlan&) = delete;
  FftPlan& operator=(const FftPlan&) = delete;
  int64_t size() const;
  struct Data;
  const Data& data() const { return *data_; }

 private:
  std::unique_ptr<Data> data_;
};

/// Scratch of any of the three below. `slots` is how many blocks may be in flight, Target::cores at lowering: a larger
/// team leaves threads idle, and bits never depend on it. Pass the same number to the call.
int64_t fft_scratch_bytes(const FftPlan& plan, int slots);

/// src, dst: [outer, n, inner] complex. In place is fine.
void fft_c64(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, bool inverse, float scale,
             const float* src, float* dst, int slots, std::byte* scratch);
/// src [outer, n, inner] real, dst [outer, n/2 + 1, inner] complex: modes 0..n/2 of the forward transform.
void rfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
              const float* src, float* dst, int slots, std::byte* scratch);
/// src [outer, n/2 + 1, inner] complex, dst [outer, n, inner] real: the inverse transform of the Hermitian extension.
/// Imaginary parts of mode 0 and, for even n, mode n/2 are ignored.
void irfft_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, int64_t outer, int64_t inner, float scale,
               const float* src, float* dst, int slots, std::byte* scratch);

/// Complex numbers *in parts*: instead of pairs, the `columns` real parts of a row and then its `columns` imaginary
/// ones, so that the rows are those of real matrices. [outer, n, groups, 2 columns], or [.., columns] where they are
/// real.
struct FftParts {
  int64_t outer = 1, groups = 1, columns = 1;
};
enum class FftKind : uint8_t { forward, inverse, real_forward, real_inverse };
/// Any of the three above on such arrays. forward and inverse may run in place.
void fft_parts_f32(Isa isa, ThreadTeam& team, const FftPlan& plan, FftKind kind, const FftParts& parts, float scale,
                   const float* src, float* dst, int slots, std::byte* scratch);
/// One tile of it, for tile programs: rows (j or modes) of 2 `columns` floats (of `columns` where they are real), the
/// next one `leading` floats on. `scratch`: fft_scratch_bytes(plan, 1). The same bits as in an array.
void fft_tile_f32(Isa isa, const FftPlan& plan, FftKind kind, int64_t columns, float scale, const float* src,
                  int64_t src_leading, float* dst, int64_t dst_leading, std::byte* scratch);

}  // namespace gregale::kernels
