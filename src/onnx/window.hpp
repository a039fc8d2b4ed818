// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/ops.hpp"
#include "ops/onnx_node.hpp"

/// What the families of convolutions, pooling and images share.
namespace gregale::onnx {

/// No number of a window is sensibly above this; below it no product of two overflows.
inline constexpr int64_t kLargestWindow = int64_t{1} << 30;

/// Windows over the last axes of an operand, [n, c, spatial...].
struct Window {
  std::vector<int64_t> kernel, strides, dilations;
  std::vector<int64_t> pads;  ///< all that come before, then all that come after
  size_t rank() const { return kernel.size(); }
  int64_t reach(size_t i) const { return dilations[i] * (kernel[i] - 1) + 1; }
};

/// The extents behind batch and channels; fails where there are none.
Extents spatial_extents(OnnxNode& n, int64_t input);
/// Fails where `values` does not hold `count` numbers in [least, kLargestWindow].
void check_numbers(const OnnxNode& n, const char* name, const std::vector<int64_t>& values, size_t count,
                   int64_t least);
/// Attributes strides, dilations, pads and auto_pad for windows of `kernel` over `spatial`, checked.
Window window_of(const OnnxNode& n, const Extents& spatial, std::vector<int64_t> kernel);
/// The same with pads left at what the attribute says, whatever auto_pad is.
Window window_without_auto_pad(const OnnxNode& n, size_t rank, std::vector<int64_t> kernel);

/// x [n, c, spatial...] by weights [k, c / groups, kernel...] over one to three axes.
Value convolution(OnnxNode& n, Value x, Value weights, const Window& w, int64_t groups);
/// x with a list of one number a channel, [c], added along its axis 1.
Value add_to_channels(Graph& g, Value x, Value bias);
/// x with other extents of as many elements.
Value with_extents(Graph& g, Value x, const Extents& extents);

std::vector<OnnxMapping> convolution_mappings();
std::vector<OnnxMapping> einsum_mappings();
std::vector<OnnxMapping> resize_mappings();

}  // namespace gregale::onnx
