// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/op.hpp"
#include "tile/matmul.hpp"

/// Two-dimensional convolution (cross-correlation, as everywhere in this field) and its two adjoints as tile programs.
/// x [n, c, h, w], weights [k, c/groups, r, s], y [n, k, oh, ow], f32; images are taken one after another, so that the
/// sum over them in d_weights has one order.
namespace gregale::tile {

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

/// Of volumes x [n, d, h, w, c], weights [t, r, s, c/groups, k] and y [n, od, oh, ow, k]; a plane where d and t are 1.
struct Conv3d {
  Conv2d plane;
  int64_t d = 1, t = 1, stride_d = 1, pad_front = 0, pad_back = 0, dilation_d = 1;
  int64_t out_d() const { return (d + pad_front + pad_back - dilation_d * (t - 1) - 1) / stride_d + 1; }
};

/// Strides, padding, dilations and groups as a convolution operator's attributes say, which it has checked.
void set_geometry(Conv2d& problem, const NodeView& node);
void set_geometry(Conv3d& problem, const NodeView& node);

/// y = conv(x, weights).
///
/// Method: a row of output pixels is one batch-reduce contraction over the taps, y[k, j] += sum over (r, s) of
/// weights_rs[k, c] x[c, j + offset(r, s)], reading the image where it is: nothing is unfolded (Georganas et al.,
/// "Anatomy of high-performance deep learning convolutions on SIMD architectures", SC 2018). Where there is padding or
/// a stride, the image is first copied to planes of its phases (row mod stride, column mod stride) with zeros around,
/// in which the taps of neighbouring pixels are neighbours.
class Conv2dForward {
 public:
  Conv2dForward(kernels::KernelCache& cache, const Conv2d& problem);
  int64_t scratch_bytes() const { return weights_bytes_ + image_bytes_; }
  int64_t thread_scratch_bytes() const { return thread_bytes_; }
  void run(ThreadTeam& team, const float* x, const float* weights, float* y, std::byte* scratch,
           std::byte* thread_scratch) const;
  const kernels::KernelInfo& kernel_info() const;

 private:
  void copy_image(ThreadTeam& team, const float* x, float* planes) const;
  void sort_weights(ThreadTeam& team, const float* weights, float* sorted) const;

  Conv2d problem_;
  int64_t rows_ = 0, columns_ = 0;     ///< output pixels as the loops see them: one row where rows join without gaps
  int64_t plane_h_ = 0, plane_w_ = 0;  ///< of a phase plane, or of the image where it is read in place
  bool in_place_ = false;              ///< no padding, no strides: the image is read where it is
  int64_t block_k_ = 0, block_c_ = 0, block_columns_ = 0;
  std::optional<LoopNest> nest_;
  std::vector<int64_t> weights_offsets_, image_offsets_;  ///< of the taps, elements
  /// By whether the tile is a tail in output channels, columns, channels, and whether it begins the sum.
  std::shared_ptr<const kernels::ContractionKernel> kernels_[2][2][2][2];
  int64_t weights_bytes_ = 0, image_bytes_ = 0, thread_bytes_ = 0;
};

/// d_x and d_weights through patches and matrix products.
class Conv2dAdjoint {
 public:
  enum class Of : uint8_t { input, weights };
  Conv2dAdjoint(kernels::KernelCache& cache, const Conv2d& problem, Of of);
  int64_t scratch_bytes() const;
  int64_t thread_scratch_bytes() const { return first_->thread_scratch_bytes(); }
  /// Of::input: d_x from (weights, d_y); Of::weights: d_weights from (x, d_y).
  void run(ThreadTeam& team, const float* weights_or_x, const float* d_y, float* dst, std::byte* scratch,
           std::byte* thread_scratch) const;

 private:
  Conv2d problem_;
  Of of_;
  std::optional<Matmul> first_, further_;  ///< further images add to d_weights
};

}  // namespace gregale::tile
