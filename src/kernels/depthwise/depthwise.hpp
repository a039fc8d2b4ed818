// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/common.hpp"

/// Convolutions of every channel by itself, channels last. Nothing is contracted, so that no product helps: vectors are
/// channels, and the sums of neighbouring pixels stay in registers while the taps go by.
namespace gregale::kernels {

struct Depthwise {
  int64_t n = 0, h = 0, w = 0, c = 0;
  int64_t r = 0, s = 0;  ///< taps
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t out_h = 0, out_w = 0;
};

/// y [n, out_h, out_w, c] from x [n, h, w, c] and weights [r, s, c]. Every sum runs over the taps in order; those that
/// see padding are left out.
void depthwise_f32(Isa isa, ThreadTeam& team, const Depthwise& d, const float* x, const float* weights, float* y);

}  // namespace gregale::kernels
