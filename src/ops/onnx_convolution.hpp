// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/onnx_writer.hpp"

namespace gregale::ops {

/// Conv and ConvTranspose of planes or volumes for the operators' to_onnx; with channels last, between transposes.
void write_onnx_convolution(OnnxWriter& w, bool channels_last);
/// The adjoint in x of extents `image` (attribute) from d_y and weights.
void write_onnx_convolution_d_input(OnnxWriter& w, bool channels_last, const std::vector<int64_t>& image);

}  // namespace gregale::ops
