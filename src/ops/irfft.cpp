// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "gregale/error.hpp"
#include "kernels/fft/fft.hpp"
#include "ops/common.hpp"
#include "ops/fourier.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_irfft(const NodeView& node) {
  check_transformable(node, true);
  const Type& z = node.input(0);
  const auto axes = fourier_axes(node);
  const int64_t size = node.integer("size"), modes = z.shape[axes.back()].value();
  GREGALE_CHECK(size >= 1 && size / 2 + 1 == modes, shape, "[irfft] size {} needs {} modes along axis {}, not {}", size,
                size < 1 ? 1 : size / 2 + 1, axes.back(), modes);
  const bool parts = node.boolean("parts");
  Type x(parts ? z.dtype : real_of(z.dtype), z.shape);
  if (parts) x.shape[z.rank() - 1] = Dim(complex_columns(node, z.shape, axes));
  x.shape[axes.back()] = Dim(size);
  fourier_scale(node, true, points(x.shape, axes));
  return {x};
}

void reference_irfft(ReferenceContext& c) {
  const auto axes = fourier_axes(c.node);
  const bool parts = c.node.boolean("parts");
  Extents extents = c.inputs[0].extents;
  if (parts) extents.back() /= 2;
  auto z = parts ? from_parts(c.inputs[0].real(), extents.back()) : c.inputs[0].complex();
  for (size_t i = 0; i + 1 < axes.size(); ++i) transform_axis(z, extents, axes[i], true);
  const double scale = fourier_scale(c.node, true, points(c.node.outputs()[0].shape, axes));
  const AxisSplit s = split_at(c.outputs[0].extents, axes.back());
  const int64_t n = s.extent, modes = n / 2 + 1;
  const auto roots = roots_of_unity(n, true);
  auto& x = c.outputs[0].real();
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < s.inner; ++i) {
        double sum = 0;
        for (int64_t k = 0; k < modes; ++k) {
          const auto& mode = z[static_cast<size_t>((o * modes + k) * s.inner + i)];
          const auto& root = roots[static_cast<size_t>(j * k % n)];
          // Modes 0 and n/2 stand for themselves, the others for their conjugates too.
          if (k == 0 || 2 * k == n)
            sum += mode.real() * root.real();
          else
            sum += 2 * (mode.real() * root.real() - mode.imag() * root.imag());
        }
        x[static_cast<size_t>((o * n + j) * s.inner + i)] = scale * sum;
      }
}

/// d_z[k] is sum_j d[j] exp(-), times how often mode k was counted. The sums of modes 0 and n/2 along the halved axis
/// are real, as they must be: their imaginary parts were ignored.
void gradient_irfft(GradientContext& c) {
  const NodeView& node = c.view();
  const auto axes = fourier_axes(node);
  const Value d =
      c.graph().add1(rfft_op(), {c.d_output()},
                     {{"axes", axes}, {"norm", swapped_norm(node.string("norm"))}, {"parts", node.boolean("parts")}});
  c.set_d_input(0, weigh_half(c.graph(), d, axes.back(), node.integer("size"), 2));
}

Result<Kernel> make_irfft(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  const bool in_parts = node.boolean("parts");
  const DType dtype = in_parts ? DType::f32 : DType::c64;
  if (node.input(0).dtype != dtype)
    return refuse(node, fmt::format("{} needed, not {}", name_of(dtype), name_of(node.input(0).dtype)));
  if (in_parts) return parts_kernel(node, target);
  struct Pass {
    FourierPass along;
    std::shared_ptr<kernels::FftPlan> plan;
  };
  const auto axes = fourier_axes(node);
  const auto scale = static_cast<float>(fourier_scale(node, true, points(node.outputs()[0].shape, axes)));
  std::vector<Pass> passes;
  Kernel k;
  for (size_t i = 0; i < axes.size(); ++i) {
    const bool halved = i + 1 == axes.size();
    const FourierPass along = pass_along((halved ? node.outputs()[0] : node.input(0)).shape.extents(), axes[i]);
    passes.push_back({along, std::make_shared<kernels::FftPlan>(along.n)});
    k.scratch_bytes = std::max(k.scratch_bytes, kernels::fft_scratch_bytes(*passes.back().plan, target.cores));
  }
  // Several axes: the complex ones go through a copy of z behind the kernels' own scratch.
  const int64_t copy_at = kernels::align_bytes(k.scratch_bytes);
  if (axes.size() > 1) k.scratch_bytes = copy_at + node.input(0).bytes();
  k.run = [passes, scale, copy_at, isa = target.isa, slots = target.cores](const Launch& l) {
    const auto* src = static_cast<const float*>(l.inputs[0]);
    auto* copy = reinterpret_cast<float*>(l.scratch + copy_at);
    for (size_t i = 0; i + 1 < passes.size(); ++i) {
      kernels::fft_c64(isa, l.team, *passes[i].plan, passes[i].along.outer, passes[i].along.inner, true, 1, src, copy,
                       slots, l.scratch);
      src = copy;
    }
    const Pass& last = passes.back();
    kernels::irfft_f32(isa, l.team, *last.plan, last.along.outer, last.along.inner, scale, src,
                       static_cast<float*>(l.outputs[0]), slots, l.scratch);
  };
  return k;
}

}  // namespace

const OpDef& irfft_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "irfft";
    d.doc =
        "The inverse of rfft, as numpy.fft.irfftn: the inverse transform along all axes but the last of `axes`, then "
        "the "
        "real inverse transform along that one of its modes 0 to n/2. Imaginary parts of mode 0 and, for even n, mode "
        "n/2 "
        "are ignored at that point.";
    d.inputs = {{"z", "complex, size/2 + 1 modes along the last of axes; or real in parts"}};
    d.outputs = {{"x", "real, shape of z but `size` along the last of axes"}};
    d.attributes = {{"axes", AttributeKind::integers, "the axes transformed; the last one is restored to `size`", {}},
                    {"size", AttributeKind::integer, "extent of the last of axes in the result", {}},
                    {"norm", AttributeKind::string, "ortho, backward or forward", std::string("ortho")},
                    parts_attribute()};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const bool halves = node.boolean("parts");
      Extents extents = node.input(0).shape.extents();
      const std::vector<int64_t>& axes = node.integers("axes");
      std::string z = halves ? onnx_pair_of_halves(w, w.input(0)) : w.input(0);
      if (halves) extents.back() /= 2;
      int64_t n = node.integer("size"), scaled = 1;
      for (size_t i = 0; i + 1 < axes.size(); ++i) {
        const int64_t a = normalize_axis(axes[i], node.input(0).rank(), "irfft");
        n *= extents[static_cast<size_t>(a)];
        scaled *= extents[static_cast<size_t>(a)];
        z = onnx_dft(w, z, extents, true, a, extents[static_cast<size_t>(a)], true);
      }
      const int64_t last = normalize_axis(axes.back(), node.input(0).rank(), "irfft");
      z = onnx_real_inverse_dft(w, z, extents, last, node.integer("size"));
      w.set_output(0,
                   onnx_scaled(w, z, node.outputs()[0].dtype, node.string("norm"), true, n, w.fft_as_matmul(), scaled));
    };
    d.infer = infer_irfft;
    d.reference = reference_irfft;
    d.gradient = gradient_irfft;
    d.lowerings = {{"mixed-radix", make_irfft}};
    d.cost = [](const NodeView& node) { return fourier_cost(node, node.outputs()[0].shape, true); };
    d.samples = [] {
      const auto sample = [](Extents extents, uint32_t stream, std::vector<int64_t> axes, int64_t size,
                             const char* norm) {
        return Sample{{sample_complex(std::move(extents), stream)},
                      {{"axes", std::move(axes)}, {"size", size}, {"norm", std::string(norm)}}};
      };
      const auto in_parts = [](Extents extents, uint32_t stream, std::vector<int64_t> axes, int64_t size) {
        return Sample{{sample_uniform(std::move(extents), stream)},
                      {{"axes", std::move(axes)}, {"size", size}, {"parts", true}}};
      };
      return std::vector<Sample>{in_parts({2, 4, 6}, 11, {1}, 6),
                                 in_parts({4, 3, 2, 36}, 12, {0, 1}, 5),
                                 sample({1}, 1, {0}, 1, "ortho"),
                                 sample({2}, 2, {0}, 2, "backward"),
                                 sample({3}, 3, {0}, 5, "forward"),
                                 sample({5}, 4, {-1}, 8, "backward"),
                                 sample({3, 4}, 5, {0}, 4, "ortho"),
                                 sample({3, 4}, 6, {0, 1}, 7, "ortho"),
                                 sample({3, 2, 5}, 7, {2, 0}, 5, "forward"),
                                 sample({2, 3, 4}, 8, {-2, -1}, 6, "backward"),
                                 sample({2, 6}, 9, {1}, 11, "ortho"),
                                 sample({2, 2, 3}, 10, {0, 2, 1}, 2, "ortho")};
    };
    d.tolerance_eps = 16;
    return d;
  }();
  return op;
}

Value irfft(Graph& g, Value z, std::vector<int64_t> axes, int64_t size, const std::string& norm) {
  return g.add1(irfft_op(), {z}, {{"axes", std::move(axes)}, {"size", size}, {"norm", norm}});
}

Value irfft_parts(Graph& g, Value z, int64_t axis, int64_t size, const std::string& norm) {
  return g.add1(irfft_op(), {z},
                {{"axes", std::vector<int64_t>{axis}}, {"size", size}, {"norm", norm}, {"parts", true}});
}

}  // namespace gregale::ops
