// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/fourier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/fft/fft_tile.hpp"
#include "ops/common.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {

std::vector<int64_t> fourier_axes(const NodeView& node) {
  const Type& x = node.input(0);
  auto axes = distinct_axes(node.integers("axes"), x.rank(), node.op().name);
  GREGALE_CHECK(!axes.empty(), invalid_argument, "[{}] needs at least one axis", node.op().name);
  for (int64_t axis : axes) {
    GREGALE_CHECK(x.shape[axis].is_constant(), unsupported, "[{}] axis {} of {} is symbolic: it cannot be transformed",
                  node.op().name, axis, to_string(x));
    GREGALE_CHECK(x.shape[axis].value() > 0, shape, "[{}] axis {} is empty", node.op().name, axis);
  }
  return axes;
}

int64_t points(const Shape& shape, const std::vector<int64_t>& axes) {
  Extents extents;
  for (int64_t axis : axes) extents.push_back(shape[axis].value());
  return element_count(extents);
}

double fourier_scale(const NodeView& node, bool inverse, int64_t n) {
  const std::string& norm = node.string("norm");
  if (norm == "ortho") return 1 / std::sqrt(static_cast<double>(n));
  GREGALE_CHECK(norm == "backward" || norm == "forward", invalid_argument,
                "[{}] norm '{}' is none of ortho, backward, forward", node.op().name, norm);
  return (norm == "backward") == inverse ? 1 / static_cast<double>(n) : 1;
}

std::string swapped_norm(const std::string& norm) {
  return norm == "backward" ? "forward" : norm == "forward" ? "backward" : norm;
}

void check_transformable(const NodeView& node, bool complex) {
  const DType dtype = node.input(0).dtype;
  if (node.boolean("parts")) complex = false;
  const bool fits = complex ? is_complex(dtype) : dtype == DType::f32 || dtype == DType::f64;
  GREGALE_CHECK(fits, dtype, "[{}] {} has dtype {}; expected {}", node.op().name, node.op().inputs[0].name,
                name_of(dtype), complex ? "c64 or c128" : "f32 or f64");
}

Cost fourier_cost(const NodeView& node, const Shape& shape, bool real) {
  Cost cost = default_cost(node, 0);
  const auto elements = static_cast<double>(shape.elements());
  for (int64_t axis : fourier_axes(node))
    cost.flops += 5 * elements * std::log2(static_cast<double>(shape[axis].value())) * (real ? 0.5 : 1);
  return cost;
}

Value weigh_half(Graph& g, Value z, int64_t axis, int64_t n, double middle) {
  const Type type = g.type(z);
  Extents extents(static_cast<size_t>(type.rank() - axis), 1);
  extents[0] = n / 2 + 1;
  std::vector<double> weights(static_cast<size_t>(extents[0]), middle);
  weights[0] = 1;
  if (n % 2 == 0) weights.back() = 1;
  if (!is_complex(type.dtype)) return mul(g, z, g.constant(Tensor::from(weights, extents).cast(type.dtype)));
  const std::vector<std::complex<double>> complex(weights.begin(), weights.end());
  return mul(g, z, g.constant(Tensor::from(complex, extents).cast(type.dtype)));
}

AttributeDef parts_attribute() {
  return {"parts", AttributeKind::boolean,
          "complex numbers are real ones: the last axis, not transformed, has all real parts, then all imaginary ones",
          false};
}

int64_t complex_columns(const NodeView& node, const Shape& shape, const std::vector<int64_t>& axes) {
  const int64_t last = shape.rank() - 1;
  GREGALE_CHECK(shape[last].is_constant() && shape[last].value() % 2 == 0, shape,
                "[{}] complex numbers in parts need a last axis of constant even extent, not {}", node.op().name,
                shape[last].to_string());
  check_parts(node, shape.rank(), axes);
  return shape[last].value() / 2;
}

void check_parts(const NodeView& node, int64_t rank, const std::vector<int64_t>& axes) {
  for (const int64_t axis : axes)
    GREGALE_CHECK(axis != rank - 1, invalid_argument, "[{}] in parts, the last axis is not transformed",
                  node.op().name);
}

std::vector<std::complex<double>> from_parts(const std::vector<double>& x, int64_t columns) {
  const auto n = static_cast<size_t>(columns);
  std::vector<std::complex<double>> z(x.size() / 2);
  for (size_t i = 0; i < z.size(); ++i) {
    const size_t re = i / n * 2 * n + i % n;
    z[i] = {x[re], x[re + n]};
  }
  return z;
}

std::vector<double> to_parts(const std::vector<std::complex<double>>& z, int64_t columns) {
  const auto n = static_cast<size_t>(columns);
  std::vector<double> x(z.size() * 2);
  for (size_t i = 0; i < z.size(); ++i) {
    const size_t re = i / n * 2 * n + i % n;
    x[re] = z[i].real();
    x[re + n] = z[i].imag();
  }
  return x;
}

Kernel parts_kernel(const NodeView& node, const Target& target) {
  using kernels::FftKind;
  const bool from_real = node.op().name == "rfft", to_real = node.op().name == "irfft";
  const bool inverse = to_real || (!from_real && node.boolean("inverse"));
  const Shape& whole = to_real ? node.outputs()[0].shape : node.input(0).shape;
  auto axes = fourier_axes(node);
  if (from_real) std::reverse(axes.begin(), axes.end());  // the halved one first, the others work on fewer modes
  double scale = fourier_scale(node, inverse, points(whole, axes));
  // As pairs of numbers there is one of them for every two of the last axis.
  Extents extents = node.input(0).shape.extents();
  const int64_t columns = whole[whole.rank() - 1].value() / (from_real || to_real ? 1 : 2);
  const auto passes = std::make_shared<std::vector<kernels::FftArray>>();
  Kernel k;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i]);
    const bool halved = (from_real && i == 0) || (to_real && i + 1 == axes.size());
    const int64_t length = halved ? whole[axes[i]].value() : extents[axis];
    kernels::FftParts parts;
    parts.columns = columns;
    for (size_t j = 0; j + 1 < extents.size(); ++j)
      (j < axis ? parts.outer : j > axis ? parts.groups : parts.columns) *= j == axis ? 1 : extents[j];
    const FftKind kind = !halved     ? (inverse ? FftKind::inverse : FftKind::forward)
                         : from_real ? FftKind::real_forward
                                     : FftKind::real_inverse;
    passes->emplace_back(target, parts, length, kind, scale);
    scale = 1;
    k.scratch_bytes = std::max(k.scratch_bytes, kernels::align_bytes(passes->back().scratch_bytes()));
    if (halved) extents[axis] = from_real ? length / 2 + 1 : length;
  }
  // Modes that end as real numbers go through a copy of them behind the kernels' own scratch.
  const int64_t copy_at = k.scratch_bytes;
  const bool copies = to_real && axes.size() > 1;
  if (copies) k.scratch_bytes += node.input(0).bytes();
  if (!from_real && !to_real) k.in_place = {{0, 0}};
  k.run = [passes, copies, copy_at](const Launch& l) {
    const auto* src = static_cast<const float*>(l.inputs[0]);
    auto* dst = static_cast<float*>(l.outputs[0]);
    for (size_t i = 0; i < passes->size(); ++i) {
      float* to = copies && i + 1 < passes->size() ? reinterpret_cast<float*>(l.scratch + copy_at) : dst;
      (*passes)[i].run(l.team, src, to, l.scratch);
      src = to;
    }
  };
  return k;
}

std::vector<std::complex<double>> roots_of_unity(int64_t n, bool inverse) {
  std::vector<std::complex<double>> roots(static_cast<size_t>(n));
  for (int64_t r = 0; r < n; ++r) {
    // Multiples of a quarter turn exactly; elsewhere the angle from the nearest one, where sine and cosine are
    // sharpest.
    const int64_t quarter = (4 * r + n / 2) / n;
    const double angle = std::numbers::pi * (static_cast<double>(4 * r - quarter * n) / (2.0 * static_cast<double>(n)));
    const double c = std::cos(angle), s = std::sin(angle);
    std::complex<double> root;
    switch (quarter % 4) {
      case 0:
        root = {c, s};
        break;
      case 1:
        root = {-s, c};
        break;
      case 2:
        root = {-c, -s};
        break;
      default:
        root = {s, -c};
        break;
    }
    roots[static_cast<size_t>(r)] = inverse ? root : std::conj(root);
  }
  return roots;
}

void transform_axis(std::vector<std::complex<double>>& z, const Extents& extents, int64_t axis, bool inverse) {
  const AxisSplit s = split_at(extents, axis);
  const auto roots = roots_of_unity(s.extent, inverse);
  std::vector<std::complex<double>> line(static_cast<size_t>(s.extent));
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      const auto at = [&](int64_t j) { return static_cast<size_t>((o * s.extent + j) * s.inner + i); };
      for (int64_t k = 0; k < s.extent; ++k) {
        std::complex<double> sum = 0;
        for (int64_t j = 0; j < s.extent; ++j) sum += z[at(j)] * roots[static_cast<size_t>(j * k % s.extent)];
        line[static_cast<size_t>(k)] = sum;
      }
      for (int64_t k = 0; k < s.extent; ++k) z[at(k)] = line[static_cast<size_t>(k)];
    }
}

FourierPass pass_along(const Extents& extents, int64_t axis) {
  const AxisSplit s = split_at(extents, axis);
  return {s.outer, s.extent, s.inner};
}

}  // namespace gregale::ops
