// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/ops.hpp"
#include "ops/common.hpp"
#include "tile/convolution.hpp"

/// What conv2d and its two adjoints share. Convolution is bilinear, y = B(x, weights), and the three operators are B
/// and its adjoints in either operand: <d_y, B(x, w)> = <x, d_input(d_y, w)> = <d_weights(x, d_y), w>. Each one's
/// gradient is made of the other two, so that derivatives of every order are convolutions.
namespace gregale::ops {

/// Attributes strides, pads, dilations and groups, for the three operators alike.
std::vector<AttributeDef> convolution_attributes();
Conv2dOptions convolution_options(const NodeView& node);
Attributes to_attributes(const Conv2dOptions& options);

/// The geometry. Shapes of x [n, c, h, w] and weights [k, c/groups, r, s]; n may be symbolic and is then left at 0.
/// Throws where they do not fit each other and the attributes.
tile::Conv2d convolution_problem(const NodeView& node, const Shape& x, const Shape& weights);
/// Refuses anything but real floats of one dtype and rank 4.
void check_convolution_operands(const NodeView& node);
/// 2 flops a multiply-add.
Cost convolution_cost(const NodeView& node, const tile::Conv2d& problem);
/// Refuses symbolic batches and dtypes other than f32.
std::optional<Error> refuse_convolution(const NodeView& node);

/// Plain loops for the references: body(index of x, index of weights, index of y) for every product that counts.
template <class Body>
void for_each_product(const tile::Conv2d& p, Body&& body) {
  const int64_t oh = p.out_h(), ow = p.out_w(), cg = p.c / p.groups, kg = p.k / p.groups;
  for (int64_t n = 0; n < p.n; ++n)
    for (int64_t k = 0; k < p.k; ++k)
      for (int64_t i = 0; i < oh; ++i)
        for (int64_t j = 0; j < ow; ++j)
          for (int64_t c = 0; c < cg; ++c)
            for (int64_t r = 0; r < p.r; ++r)
              for (int64_t s = 0; s < p.s; ++s) {
                const int64_t y = i * p.stride_h - p.pad_top + r * p.dilation_h;
                const int64_t x = j * p.stride_w - p.pad_left + s * p.dilation_w;
                if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
                body(static_cast<size_t>(((n * p.c + k / kg * cg + c) * p.h + y) * p.w + x),
                     static_cast<size_t>(((k * cg + c) * p.r + r) * p.s + s),
                     static_cast<size_t>(((n * p.k + k) * oh + i) * ow + j));
              }
}

// --- channels last: images [n, h, w, c], weights [r, s, c/groups, k] ---

inline const std::vector<int64_t> kToChannelsFirst{0, 3, 1, 2}, kToChannelsLast{0, 2, 3, 1};
inline const std::vector<int64_t> kWeightsToFirst{3, 2, 0, 1}, kWeightsToLast{2, 3, 1, 0};
Shape permuted(const Shape& shape, const std::vector<int64_t>& permutation);

/// Attribute f32_result of operators whose operands may be bf16, and the dtype of their result.
AttributeDef f32_result_attribute();
DType result_dtype(const NodeView& node);

/// As for_each_product, the indices those of operands with channels last.
template <class Body>
void for_each_product_channels_last(const tile::Conv2d& p, Body&& body) {
  const auto c = static_cast<size_t>(p.c), k = static_cast<size_t>(p.k), cg = static_cast<size_t>(p.c / p.groups),
             taps = static_cast<size_t>(p.r * p.s);
  const auto last = [](size_t index, size_t channels, size_t pixels) {
    const size_t pixel = index % pixels, channel = index / pixels % channels, image = index / pixels / channels;
    return (image * pixels + pixel) * channels + channel;
  };
  for_each_product(p, [&](size_t ix, size_t iw, size_t iy) {
    const size_t tap = iw % taps, channel = iw / taps % cg, output = iw / taps / cg;
    body(last(ix, c, static_cast<size_t>(p.h * p.w)), (tap * cg + channel) * k + output,
         last(iy, k, static_cast<size_t>(p.out_h() * p.out_w())));
  });
}

/// The adjoints as builders: what conv2d's gradient is made of.
Value conv2d_d_input(Graph& g, Value d_y, Value weights, int64_t h, int64_t w, const Conv2dOptions& options);
Value conv2d_d_weights(Graph& g, Value x, Value d_y, int64_t r, int64_t s, const Conv2dOptions& options);

}  // namespace gregale::ops
