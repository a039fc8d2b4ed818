// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/common.hpp"

/// Two-dimensional convolution (cross-correlation, as everywhere in this field) through patches and matrix products.
/// x [n, c, h, w], weights [k, c/groups, r, s], y [n, k, oh, ow]; images are taken one after another, so that the sum
/// over them in d_weights has one order.
namespace gregale::kernels {

struct Conv2d {
  int64_t n = 0, c = 0, h = 0, w = 0;
  int64_t k = 0, r = 0, s = 0;
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;
  int64_t out_h() const { return (h + pad_top + pad_bottom - dilation_h * (r - 1) - 1) / stride_h + 1; }
  int64_t out_w() const { return (w + pad_left + pad_right - dilation_w * (s - 1) - 1) / stride_w + 1; }
};

/// Enough for each of the three.
int64_t conv2d_scratch_bytes(Isa isa, const Conv2d& problem);
void conv2d_f32(Isa isa, ThreadTeam& team, const Conv2d& problem, const float* x, const float* weights, float* y,
                std::byte* scratch);
void conv2d_d_input_f32(Isa isa, ThreadTeam& team, const Conv2d& problem, const float* weights, const float* d_y,
                        float* d_x, std::byte* scratch);
void conv2d_d_weights_f32(Isa isa, ThreadTeam& team, const Conv2d& problem, const float* x, const float* d_y,
                          float* d_weights, std::byte* scratch);

}  // namespace gregale::kernels
