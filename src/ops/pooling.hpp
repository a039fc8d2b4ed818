// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "gregale/ops.hpp"
#include "ops/common.hpp"

/// What max_pool2d and its gradient share.
namespace gregale::ops {

/// Windows of r x s elements over a plane of h x w.
struct Pooling {
  int64_t h = 0, w = 0, r = 0, s = 0;
  int64_t stride_h = 1, stride_w = 1, top = 0, left = 0, bottom = 0, right = 0;
  int64_t out_h() const { return (h + top + bottom - r) / stride_h + 1; }
  int64_t out_w() const { return (w + left + right - s) / stride_w + 1; }
};

/// Attributes kernel, strides, pads and channels_last.
std::vector<AttributeDef> pooling_attributes();
MaxPool2dOptions pooling_options(const NodeView& node);
Attributes to_attributes(const MaxPool2dOptions& options);
/// The geometry over operand 0; throws where the attributes do not fit it.
Pooling pooling_of(const NodeView& node);
/// The type of the pooled image.
Type pooled_type(const NodeView& node);

/// Calls body(index in the plane) for the elements of window (i, j).
template <class Body>
void for_each_in_window(const Pooling& p, int64_t i, int64_t j, Body&& body) {
  const int64_t y = i * p.stride_h - p.top, x = j * p.stride_w - p.left;
  for (int64_t a = std::max<int64_t>(y, 0); a < std::min(y + p.r, p.h); ++a)
    for (int64_t b = std::max<int64_t>(x, 0); b < std::min(x + p.s, p.w); ++b) body(a * p.w + b);
}

/// Where pixel `at` of plane `plane` (image, channel) is: planes of `pixels`, or channels last.
struct PixelPlaces {
  bool last = false;
  int64_t channels = 1;
  size_t operator()(int64_t plane, int64_t pixels, int64_t at) const {
    if (!last) return static_cast<size_t>(plane * pixels + at);
    return static_cast<size_t>((plane / channels * pixels + at) * channels + plane % channels);
  }
};

/// d_x from x and the cotangent of what max_pool2d makes of it.
Value max_pool2d_gradient(Graph& g, Value x, Value d_y, const MaxPool2dOptions& options);

}  // namespace gregale::ops
