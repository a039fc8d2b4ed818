// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gregale/context.hpp"

/// The layers of a small convolutional network on boxes of 16 x 16 values, in f32. Every number is a sum in a fixed
/// order, products and sums apart: whatever the compiler and the instruction set, the bits are the same.
namespace gregale::codec {

inline constexpr int64_t kBoxSide = 16;
inline constexpr float kLeak = 0.125F;
/// Inlined for certain: the linker would keep one copy, perhaps one for an instruction set that is not here.
[[gnu::always_inline]] inline float leaky_relu(float x) { return x > 0 ? x : x * kLeak; }

struct AutoencoderTable {
  /// dst[o] = bias[o] + sum_i src[i] weights[i, o]; then leaky where asked. out is a multiple of 16.
  void (*linear)(const float* src, int64_t in, const float* weights, const float* bias, int64_t out, bool leaky,
                 float* dst);
  /// 3 x 3 with zeros around. src: planes [in, side + 2, side + 2] with their frames of zeros; weights [out, in, 3, 3];
  /// dst: the same form as src with `out` planes, or [side, side] alone where `last`. side is 8 or 16.
  void (*convolve)(const float* src, int64_t in, const float* weights, const float* bias, int64_t out, int64_t side,
                   bool last, float* dst);
};
const AutoencoderTable& autoencoder_table(Isa isa);

}  // namespace gregale::codec
