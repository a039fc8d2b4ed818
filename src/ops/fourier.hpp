// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <string>
#include <vector>

#include "gregale/fourier.hpp"
#include "gregale/op.hpp"
#include "gregale/ops.hpp"

/// What the three Fourier operators share.
///
/// All compute y = s F x with F unscaled, forward (exp(-2 pi i jk/n)) or inverse (+), over n elements in all; s is 1,
/// 1/sqrt(n) or 1/n by norm and direction, as in numpy.fft. The adjoint of s F is s F^H: the opposite direction with
/// the *same* s, which is what the opposite direction computes under the swapped norm (backward <-> forward; ortho
/// stays).
namespace gregale::ops {

/// The transformed axes, normalised, in the order given; throws where there are none or one is symbolic.
std::vector<int64_t> fourier_axes(const NodeView& node);
/// Product of the extents along `axes`.
int64_t points(const Shape& shape, const std::vector<int64_t>& axes);
/// s of the norm; throws "[fft] norm 'x' is none of ortho, backward, forward".
double fourier_scale(const NodeView& node, bool inverse, int64_t n);
std::string swapped_norm(const std::string& norm);
/// A real f32 or f64; or the complex type made of one, or, in parts, as real numbers.
void check_transformable(const NodeView& node, bool complex);
/// 5 n log2 n flops a transform, once an axis; halved for real ones.
Cost fourier_cost(const NodeView& node, const Shape& shape, bool real);

// --- complex numbers in parts (attribute `parts`): real tensors whose last axis has all real parts and then all
// imaginary ones, so that products and elementwise operators take them as rows of real numbers ---

AttributeDef parts_attribute();
void check_parts(const NodeView& node, int64_t rank, const std::vector<int64_t>& axes);
/// Complex numbers of a last axis in parts; throws where it is odd or transformed.
int64_t complex_columns(const NodeView& node, const Shape& shape, const std::vector<int64_t>& axes);
std::vector<std::complex<double>> from_parts(const std::vector<double>& x, int64_t columns);
std::vector<double> to_parts(const std::vector<std::complex<double>>& z, int64_t columns);
/// The kernel of any of the three on f32 in parts: one axis after another, the halved one where it must be.
Kernel parts_kernel(const NodeView& node, const Target& target);
/// z scaled along the halved axis of a real transform of n points: 1 for mode 0 and (n even) mode n/2, `middle` for
/// those that stand for two.
Value weigh_half(Graph& g, Value z, int64_t axis, int64_t n, double middle);

// --- references: O(n^2) by definition, in f64 ---

/// exp(+-2 pi i r / n) for r in [0, n): twiddles are looked up by j * k mod n, so that they are as exact as the
/// library's cosine whatever the length.
std::vector<std::complex<double>> roots_of_unity(int64_t n, bool inverse);
/// Unscaled, in place, along one axis of a row-major array.
void transform_axis(std::vector<std::complex<double>>& z, const Extents& extents, int64_t axis, bool inverse);

/// (outer, inner) around an axis, for the kernels.
struct FourierPass {
  int64_t outer = 1, n = 1, inner = 1;
};
FourierPass pass_along(const Extents& extents, int64_t axis);

}  // namespace gregale::ops
