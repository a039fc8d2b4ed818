// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gregale/graph.hpp"

/// Fourier transforms of complex numbers *in parts*: real tensors whose last axis has all real parts and then all
/// imaginary ones. For products and elementwise operators such tensors are rows of real numbers like others, so nothing
/// is copied between a transform and what works on its modes, and one program can hold both (docs/compiler.md). They
/// are the operators fft, rfft and irfft of gregale/ops.hpp with the attribute `parts`; `axis` is not the last one.
namespace gregale::ops {

/// z [..., n, ..., 2 c] -> the same shape.
Value fft_parts(Graph& g, Value z, int64_t axis, bool inverse = false, const std::string& norm = "ortho");
/// x [..., n, ..., c] real -> [..., n/2 + 1, ..., 2 c].
Value rfft_parts(Graph& g, Value x, int64_t axis, const std::string& norm = "ortho");
/// z [..., size/2 + 1, ..., 2 c] -> [..., size, ..., c] real.
Value irfft_parts(Graph& g, Value z, int64_t axis, int64_t size, const std::string& norm = "ortho");

}  // namespace gregale::ops
