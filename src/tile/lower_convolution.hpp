// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tile/lower_region.hpp"

namespace gregale::tile {

/// Whether a region is a convolution's: lower_region hands it on to lower_convolution.
bool has_convolution(const Graph& region);

/// A channels-last convolution (operator conv2d_nhwc), or the gradient of its image (conv2d_nhwc_d_input), and the
/// elementwise operators behind it as a tile program.
///
/// Method: output pixels are rows, output channels columns, and a row of pixels is one batch-reduce contraction over
/// the taps and a block of channels (Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD
/// architectures", SC 2018). A step of the program takes a band of output pixels of one image. Where there is more than
/// one tap, or padding, it first copies what the band sees to a panel, in blocks of channels with zeros around: then
/// pixels are as far apart as a block is deep, whatever the image's extents, and no border needs code of its own. Where
/// there is one tap the image is read where it is.
///
/// The gradient of an image is a convolution of d_y with the kernel turned round and its channels exchanged, which is
/// how the weights are packed. Where there are strides, pixels of the image are sorted by what their row and column are
/// modulo the strides: each of these parts sees some of the taps, which meet neighbouring pixels of d_y, and is a
/// convolution without strides whose result is written that far apart. So nothing is multiplied with zeros.
///
/// The blocks of channels are part of the numerical recipe: they depend on the weights' shape, the dtypes and the ISA
/// alone. Refuses with a reason what is no such region.
Result<LoweredRegion> lower_convolution(const Graph& region, const Target& target, const std::vector<Given>& given);

}  // namespace gregale::tile
