// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/ops.hpp"
#include "ops/common.hpp"
#include "tile/convolution.hpp"

/// What conv3d_ndhwc and its two adjoints share: volumes x [n, d, h, w, c], weights [t, r, s, c/groups, k], y [n, od,
/// oh, ow, k]. As with conv2d, each one's gradient is made of the other two (ops/convolution.hpp).
namespace gregale::ops {

/// Attributes strides, pads, dilations and groups.
std::vector<AttributeDef> convolution3d_attributes();
Conv3dOptions convolution3d_options(const NodeView& node);
Attributes to_attributes(const Conv3dOptions& options);

/// The geometry; n may be symbolic and is then left at 0. Throws where shapes and attributes do not fit each other.
tile::Conv3d convolution3d_problem(const NodeView& node, const Shape& x, const Shape& weights);
/// The shape of y.
Shape convolved(const Shape& x, const tile::Conv3d& problem);
/// Refuses anything but real floats of one dtype and rank 5.
void check_convolution3d_operands(const NodeView& node);
/// 2 flops a multiply-add.
Cost convolution3d_cost(const NodeView& node, const tile::Conv3d& problem);

/// Plain loops for the references: body(index of x, index of weights, index of y) for every product that counts.
template <class Body>
void for_each_product(const tile::Conv3d& v, Body&& body) {
  const tile::Conv2d& p = v.plane;
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups, od = v.out_d(), oh = p.out_h(), ow = p.out_w();
  const auto taps_of = [](int64_t at, int64_t stride, int64_t pad, int64_t dilation, int64_t extent, int64_t taps,
                          const auto& visit) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t i = at * stride - pad + tap * dilation;
      if (i >= 0 && i < extent) visit(tap, i);
    }
  };
  for (int64_t y = 0; y < p.n * od * oh * ow; ++y) {
    const int64_t n = y / (od * oh * ow), o = y / (oh * ow) % od, i = y / ow % oh, j = y % ow;
    taps_of(o, v.stride_d, v.pad_front, v.dilation_d, v.d, v.t, [&](int64_t t, int64_t slice) {
      taps_of(i, p.stride_h, p.pad_top, p.dilation_h, p.h, p.r, [&](int64_t r, int64_t row) {
        taps_of(j, p.stride_w, p.pad_left, p.dilation_w, p.w, p.s, [&](int64_t s, int64_t column) {
          const int64_t pixel = ((n * v.d + slice) * p.h + row) * p.w + column, tap = (t * p.r + r) * p.s + s;
          for (int64_t k = 0; k < p.k; ++k)
            for (int64_t c = 0; c < cg; ++c)
              body(static_cast<size_t>(pixel * p.c + k / kg * cg + c), static_cast<size_t>((tap * cg + c) * p.k + k),
                   static_cast<size_t>(y * p.k + k));
        });
      });
    });
  }
}

}  // namespace gregale::ops
