// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gregale/error.hpp"
#include "onnx/quantized.hpp"
#include "onnx/window.hpp"
#include "ops/convolution.hpp"

namespace gregale::onnx {
namespace {

using ops::Conv2dOptions;
using ops::Conv3dOptions;

/// The extents of weights behind their two of channels, which kernel_shape may repeat.
std::vector<int64_t> kernel_of(OnnxNode& n, size_t rank) {
  const Extents weights = n.extents(1);
  if (weights.size() != rank + 2)
    n.fail(fmt::format("weights are {}, the image {}", to_string(n.type(1)), to_string(n.type(0))));
  std::vector<int64_t> kernel(weights.begin() + 2, weights.end());
  if (n.integers("kernel_shape", kernel) != kernel)
    n.fail(fmt::format("kernel_shape does not fit weights {}", to_string(n.type(1))));
  return kernel;
}

/// A line of pixels as an image of one row: the window over it, and extents with a 1 before the last.
Window of_one_row(Window w) {
  for (auto* list : {&w.kernel, &w.strides, &w.dilations}) list->insert(list->begin(), 1);
  w.pads = {0, w.pads[0], 0, w.pads[1]};
  return w;
}
Value as_one_row(Graph& g, Value x) {
  Extents e = g.type(x).shape.extents();
  e.insert(e.end() - 1, 1);
  return with_extents(g, x, e);
}
Value from_one_row(Graph& g, Value x) {
  Extents e = g.type(x).shape.extents();
  e.erase(e.end() - 2);
  return with_extents(g, x, e);
}

}  // namespace

Value convolution(OnnxNode& n, Value x, Value weights, const Window& w, int64_t groups) {
  Graph& g = n.graph();
  if (w.rank() == 1)
    return from_one_row(g, convolution(n, as_one_row(g, x), as_one_row(g, weights), of_one_row(w), groups));
  if (w.rank() == 2) return ops::conv2d(g, x, weights, {w.strides, w.pads, w.dilations, groups});
  if (w.rank() == 3) return ops::conv3d(g, x, weights, {w.strides, w.pads, w.dilations, groups});
  n.unsupported(fmt::format("convolution over {} axes", w.rank()));
}

namespace {

Value activated(OnnxNode& n, Value y) {
  Graph& g = n.graph();
  const std::string kind = n.string("activation", "");
  const std::vector<double> parameters = n.reals("activation_params", {});
  const auto parameter = [&](size_t i) {
    if (i >= parameters.size()) n.fail(fmt::format("activation_params has {} numbers", parameters.size()));
    return ops::scalar(g, g.type(y).dtype, parameters[i]);
  };
  if (kind.empty()) return y;
  if (kind == "Relu") return ops::relu(g, y);
  if (kind == "Sigmoid") return ops::sigmoid(g, y);
  if (kind == "Tanh") return ops::tanh(g, y);
  if (kind == "LeakyRelu")
    return ops::select(g, ops::less(g, y, ops::scalar(g, g.type(y).dtype, 0)), ops::mul(g, y, parameter(0)), y);
  if (kind == "Clip") return ops::minimum(g, ops::maximum(g, y, parameter(0)), parameter(1));
  if (kind == "HardSigmoid") {
    const Value line = ops::add(g, ops::mul(g, y, parameter(0)), parameter(1));
    return ops::minimum(g, ops::maximum(g, line, ops::scalar(g, g.type(y).dtype, 0)),
                        ops::scalar(g, g.type(y).dtype, 1));
  }
  n.unsupported(fmt::format("activation '{}'", kind));
}

std::vector<Value> conv(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents spatial = spatial_extents(n, 0);
  const Window w = window_of(n, spatial, kernel_of(n, spatial.size()));
  Value y = convolution_of_quantized(n);
  if (!y.valid()) y = convolution(n, n.input(0), n.input(1), w, n.integer("group", 1));
  if (n.has_input(2)) y = add_to_channels(g, y, n.input(2));
  if (n.has_input(3)) y = ops::add(g, y, n.input(3));  // FusedConv
  return {activated(n, y)};
}

/// The adjoint of a convolution: what d_y [n, k, ...] means for an image of `size`, weights [k, c/groups, ...]. The
/// convolution with `w` must take such an image to d_y.
Value adjoint(OnnxNode& n, Value d_y, Value weights, const Window& w, const Extents& size, int64_t groups) {
  Graph& g = n.graph();
  if (w.rank() == 1) {
    const Value x = adjoint(n, as_one_row(g, d_y), as_one_row(g, weights), of_one_row(w), {1, size[0]}, groups);
    return from_one_row(g, x);
  }
  if (w.rank() == 2)
    return ops::conv2d_d_input(g, d_y, weights, size[0], size[1], {w.strides, w.pads, w.dilations, groups});
  if (w.rank() != 3) n.unsupported(fmt::format("transposed convolution over {} axes", w.rank()));
  const Value last =
      ops::conv3d_ndhwc_d_input(g, ops::transpose(g, d_y, {0, 2, 3, 4, 1}), ops::transpose(g, weights, {2, 3, 4, 1, 0}),
                                size, {w.strides, w.pads, w.dilations, groups});
  return ops::transpose(g, last, {0, 4, 1, 2, 3});
}

/// A transposed convolution whose windows touch: each pixel becomes a block of pixels. Where blocks are small, all
/// their pixels are channels of one product, that then lie where they belong; otherwise the adjoint moves less.
Value blocks_of_pixels(OnnxNode& n, const Window& w) {
  Graph& g = n.graph();
  const Extents x = n.extents(0), weights = n.extents(1);
  const int64_t r = w.kernel[0], s = w.kernel[1], k = weights[1];
  Value taps = ops::transpose(g, with_extents(g, n.input(1), {weights[0], k * r * s}), {1, 0});
  taps = with_extents(g, taps, {k * r * s, weights[0], 1, 1});
  const Value y = with_extents(g, ops::conv2d(g, n.input(0), taps), {x[0], k, r, s, x[2], x[3]});
  return with_extents(g, ops::transpose(g, y, {0, 1, 4, 2, 5, 3}), {x[0], k, x[2] * r, x[3] * s});
}

std::vector<Value> conv_transpose(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents spatial = spatial_extents(n, 0), x = n.extents(0), weights = n.extents(1);
  const size_t rank = spatial.size();
  Window w = window_without_auto_pad(n, rank, kernel_of(n, rank));
  const int64_t groups = n.integer("group", 1);
  if (groups < 1 || weights[0] != x[1] || x[1] % groups != 0)
    n.fail(fmt::format("{} groups of weights {} and image {}", groups, to_string(n.type(1)), to_string(n.type(0))));
  const auto output_padding = n.integers("output_padding", std::vector<int64_t>(rank, 0));
  check_numbers(n, "output_padding", output_padding, rank, 0);
  auto output_shape = n.integers("output_shape", {});
  if (output_shape.size() == rank + 2) output_shape.erase(output_shape.begin(), output_shape.begin() + 2);
  if (!output_shape.empty()) check_numbers(n, "output_shape", output_shape, rank, 0);
  const std::string mode = n.string("auto_pad", "NOTSET");
  const bool upper = mode == "SAME_UPPER", same = upper || mode == "SAME_LOWER";
  // The result in the coordinates of the scatter without any padding, [begin, begin + extent), which covers [0, full).
  Extents inside, low, high;
  bool is_padded = false;
  for (size_t i = 0; i < rank; ++i) {
    if (spatial[i] < 1 || spatial[i] > kLargestWindow) n.fail(fmt::format("the image is {}", to_string(n.type(0))));
    const int64_t full = w.strides[i] * (spatial[i] - 1) + w.reach(i), wanted = full + output_padding[i];
    int64_t begin = w.pads[i], extent = wanted - w.pads[i] - w.pads[rank + i];
    if (!output_shape.empty() || same || mode == "VALID") {
      extent = !output_shape.empty() ? output_shape[i] : same ? spatial[i] * w.strides[i] : wanted;
      const int64_t total = std::max<int64_t>(0, wanted - extent);
      begin = upper ? total / 2 : total - total / 2;
    }
    if (extent < 1) n.fail(fmt::format("the result's axis {} has extent {}", i + 2, extent));
    const int64_t from = std::clamp<int64_t>(begin, 0, full), to = std::clamp(begin + extent, from, full);
    if (from == to) n.unsupported("a result that no window reaches");
    inside.push_back(to - from);
    low.push_back(from - begin);
    high.push_back(begin + extent - to);
    is_padded = is_padded || low.back() > 0 || high.back() > 0;
    w.pads[i] = from;
    w.pads[rank + i] = full - to;
  }
  const bool touching = rank == 2 && groups == 1 && w.strides == w.kernel &&
                        weights[1] * element_count(w.kernel) <= 16 &&
                        std::all_of(w.pads.begin(), w.pads.end(), [](int64_t p) { return p == 0; }) &&
                        std::all_of(w.dilations.begin(), w.dilations.end(), [](int64_t d) { return d == 1; });
  Value y = touching ? blocks_of_pixels(n, w) : adjoint(n, n.input(0), n.input(1), w, inside, groups);
  if (is_padded) {
    low.insert(low.begin(), 2, 0);
    high.insert(high.begin(), 2, 0);
    y = ops::pad(g, y, low, high);
  }
  if (n.has_input(2)) y = add_to_channels(g, y, n.input(2));
  return {y};
}

/// The adjoint of cutting an image into patches, which is a convolution whose weights pick one pixel each.
std::vector<Value> col2im(OnnxNode& n) {
  Graph& g = n.graph();
  const std::vector<int64_t> size = n.constant_integers(1), kernel = n.constant_integers(2);
  const size_t rank = size.size();
  check_numbers(n, "image_shape", size, rank, 1);
  const Window w = window_without_auto_pad(n, rank, kernel);
  const Extents x = n.extents(0);
  if (x.size() != 3) n.fail(fmt::format("input 0 is {}, not of rank 3", to_string(n.type(0))));
  int64_t taps = 1, blocks = 1;
  Extents counts;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t room = size[i] + w.pads[i] + w.pads[rank + i] - w.reach(i);
    if (room < 0) n.fail("block_shape exceeds the padded image");
    counts.push_back(room / w.strides[i] + 1);
    if (__builtin_mul_overflow(taps, kernel[i], &taps) || __builtin_mul_overflow(blocks, counts[i], &blocks))
      n.fail("block_shape and image_shape overflow");
  }
  if (x[1] % taps != 0 || x[2] != blocks)
    n.fail(fmt::format("input 0 is {}, which is not blocks of {} times {}", to_string(n.type(0)), taps, blocks));
  if (taps > 4096) n.unsupported(fmt::format("blocks of {} pixels", taps));
  if (!is_real_float(n.dtype(0))) n.unsupported(fmt::format("blocks of {}", name_of(n.dtype(0))));
  std::vector<double> identity(static_cast<size_t>(taps * taps), 0);
  for (int64_t i = 0; i < taps; ++i) identity[static_cast<size_t>(i * taps + i)] = 1;
  Extents picks{taps, 1}, patches{x[0] * (x[1] / taps), taps}, image{x[0], x[1] / taps};
  picks.insert(picks.end(), kernel.begin(), kernel.end());
  patches.insert(patches.end(), counts.begin(), counts.end());
  image.insert(image.end(), size.begin(), size.end());
  const Value weights = g.constant(Tensor::from(identity, picks).cast(n.dtype(0)));
  return {with_extents(g, adjoint(n, with_extents(g, n.input(0), patches), weights, w, size, 1), image)};
}

/// The image at every tap of every window, each moved by an offset of its own, then a product with the weights.
std::vector<Value> deform_conv(OnnxNode& n) {
  Graph& g = n.graph();
  const Extents x = n.extents(0), weights = n.extents(1), offset = n.extents(2);
  if (x.size() != 4) n.unsupported(fmt::format("a deformable convolution of {}", to_string(n.type(0))));
  const Window w = window_without_auto_pad(n, 2, kernel_of(n, 2));
  const int64_t groups = n.integer("group", 1), shifts = n.integer("offset_group", 1);
  const int64_t taps = element_count(w.kernel), channels = x[1];
  const bool grouped = groups >= 1 && shifts >= 1 && channels % groups == 0 && channels % shifts == 0 &&
                       weights[1] == channels / groups && weights[0] % groups == 0;
  if (!grouped || offset.size() != 4 || offset[0] != x[0] || offset[1] != shifts * taps * 2)
    n.fail(fmt::format("{} groups, {} of offsets {}, of weights {} and image {}", groups, shifts, to_string(n.type(2)),
                       to_string(n.type(1)), to_string(n.type(0))));
  const int64_t oh = offset[2], ow = offset[3], pixels = element_count({oh, ow});
  const DType work = n.dtype(0) == DType::f64 ? DType::f64 : DType::f32;
  std::vector<double> base;
  base.reserve(static_cast<size_t>(element_count({taps, pixels, 2})));
  for (int64_t t = 0; t < taps; ++t)
    for (int64_t i = 0; i < oh; ++i)
      for (int64_t j = 0; j < ow; ++j) {
        base.push_back(static_cast<double>(i * w.strides[0] - w.pads[0] + t / w.kernel[1] * w.dilations[0]));
        base.push_back(static_cast<double>(j * w.strides[1] - w.pads[1] + t % w.kernel[1] * w.dilations[1]));
      }
  Value points = with_extents(g, ops::cast(g, n.input(2), work), {x[0] * shifts, taps, 2, pixels});
  points = ops::add(g, ops::transpose(g, points, {0, 1, 3, 2}),
                    g.constant(Tensor::from(base, {taps, pixels, 2}).cast(work)));
  Value patches =
      ops::sample_points(g, with_extents(g, n.input(0), {x[0] * shifts, channels / shifts, x[2], x[3]}), points);
  if (n.has_input(4)) patches = ops::mul(g, patches, with_extents(g, n.input(4), {x[0] * shifts, 1, taps, pixels}));
  const Value y = ops::matmul(g, with_extents(g, n.input(1), {groups, weights[0] / groups, weights[1] * taps}),
                              with_extents(g, patches, {x[0], groups, weights[1] * taps, pixels}));
  const Value image = with_extents(g, y, {x[0], weights[0], oh, ow});
  return {n.has_input(3) ? add_to_channels(g, image, n.input(3)) : image};
}

}  // namespace

std::vector<OnnxMapping> convolution_mappings() {
  return {{"Conv", 1, conv},
          {"ConvTranspose", 1, conv_transpose},
          {"DeformConv", 19, deform_conv},
          {"Col2Im", 18, col2im},
          {.name = "FusedConv", .since = 1, .import = conv, .domain = "com.microsoft"}};
}

}  // namespace gregale::onnx
