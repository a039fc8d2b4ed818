// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What one instruction set gives to the depthwise family.
namespace gregale::kernels {

/// Some channels of a row of results.
struct DepthwiseRow {
  const float* x;        ///< the image's row that the first row of taps sees
  const float* weights;  ///< of that row of taps
  float* y;
  int64_t rows;                         ///< of taps that see the image
  int64_t row_step;                     ///< elements of x between them
  int64_t taps;                         ///< of a row
  int64_t stride, padding, dilation;    ///< along the row
  int64_t pixels, out;                  ///< of a row of x, of y
  int64_t channels;                     ///< of a pixel
  int64_t first_channel, last_channel;  ///< to do; the last one excluded, a multiple of two vectors or all
};

struct DepthwiseTable {
  int64_t lanes;
  void (*row)(const DepthwiseRow&);
};

namespace isa_generic {
extern const DepthwiseTable depthwise_table;
}
namespace isa_avx2 {
extern const DepthwiseTable depthwise_table;
}
namespace isa_avx512 {
extern const DepthwiseTable depthwise_table;
}

}  // namespace gregale::kernels
