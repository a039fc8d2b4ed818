// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the fft family. A block is sixteen transforms side by side: element j of all of
/// them is 32 floats, sixteen real parts and then sixteen imaginary ones.
namespace gregale::kernels {

inline constexpr int kFftColumns = 16;
inline constexpr int kFftElement = 2 * kFftColumns;
inline constexpr int kFftMaxStages = 48;
inline constexpr int kFftMaxRadix = 61;

/// One pass of a Stockham transform: m butterflies of `radix` at distance `stride`.
struct FftStage {
  int64_t radix, m, stride;
  const float* twiddles;  ///< [m][radix - 1] (re, im)
  const float* roots;     ///< [radix] (re, im), for radices above 5
};

/// One complex length: a list of stages, or (convolution != null) Bluestein's chirp through a longer transform.
struct FftLine {
  int64_t n;
  int stages;
  FftStage stage[kFftMaxStages];
  const FftLine* convolution;
  const float* chirp;     ///< [n] (re, im): exp(-i pi j^2 / n)
  const float* spectrum;  ///< [convolution->n] (re, im): transform of the conjugate chirp, divided by that length
};

/// Where the columns of a block are: element j of column l is at base[l] + j * step (elements of the array's type).
/// Complex elements are pairs where `im` is 0; elsewhere all counts are floats, and imaginary parts `im` behind the
/// real ones.
struct FftBlock {
  int columns;      ///< in use, at most kFftColumns
  bool contiguous;  ///< base[l] = base[0] + l
  int64_t src_base[kFftColumns], dst_base[kFftColumns];
  int64_t src_step, dst_step;
  int64_t src_im, dst_im;
  float* work[2];  ///< each as long as the longest line, in block elements
};

struct FftTable {
  void (*complex_block)(const FftLine& line, const FftBlock& block, bool inverse, float scale, const float* src,
                        float* dst);
  /// half: null for odd n; otherwise the line of n / 2, and turns [n / 2 + 1] holds exp(-2 pi i k / n).
  void (*real_forward)(int64_t n, const FftLine* half, const FftLine* whole, const float* turns, const FftBlock& block,
                       float scale, const float* src, float* dst);
  void (*real_inverse)(int64_t n, const FftLine* half, const FftLine* whole, const float* turns, const FftBlock& block,
                       float scale, const float* src, float* dst);
};

namespace isa_generic {
extern const FftTable fft_table;
}
namespace isa_avx2 {
extern const FftTable fft_table;
}
namespace isa_avx512 {
extern const FftTable fft_table;
}

}  // namespace gregale::kernels
