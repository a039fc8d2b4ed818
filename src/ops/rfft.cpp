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

std::vector<Type> infer_rfft(const NodeView& node) {
  check_transformable(node, false);
  const Type& x = node.input(0);
  const auto axes = fourier_axes(node);
  fourier_scale(node, false, points(x.shape, axes));
  const bool parts = node.boolean("parts");
  Type y(parts ? x.dtype : complex_of(x.dtype), x.shape);
  if (parts) {
    check_parts(node, x.rank(), axes);
    GREGALE_CHECK(x.shape[x.rank() - 1].is_constant(), unsupported, "[rfft] in parts, the last axis is constant");
    y.shape[x.rank() - 1] = Dim(2 * x.shape[x.rank() - 1].value());
  }
  y.shape[axes.back()] = Dim(x.shape[axes.back()].value() / 2 + 1);
  return {y};
}

void reference_rfft(ReferenceContext& c) {
  const auto axes = fourier_axes(c.node);
  const Extents& extents = c.inputs[0].extents;
  const auto& x = c.inputs[0].real();
  std::vector<std::complex<double>> z(x.begin(), x.end());
  for (int64_t axis : axes) transform_axis(z, extents, axis, false);
  const double scale = fourier_scale(c.node, false, points(c.node.input(0).shape, axes));
  const AxisSplit s = split_at(extents, axes.back());
  const int64_t modes = s.extent / 2 + 1;
  std::vector<std::complex<double>> y(static_cast<size_t>(s.outer * modes * s.inner));
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t k = 0; k < modes; ++k)
      for (int64_t i = 0; i < s.inner; ++i)
        y[static_cast<size_t>((o * modes + k) * s.inner + i)] =
            scale * z[static_cast<size_t>((o * s.extent + k) * s.inner + i)];
  if (c.node.boolean("parts")) {
    c.outputs[0].real() = to_parts(y, extents.back());
  } else {
    c.outputs[0].complex() = std::move(y);
  }
}

/// x[j] gets Re(sum over the kept modes of d[k] exp(+)): what irfft sums, but for the modes it counts twice.
void gradient_rfft(GradientContext& c) {
  const NodeView& node = c.view();
  const auto axes = fourier_axes(node);
  const int64_t n = node.input(0).shape[axes.back()].value();
  const Value d = weigh_half(c.graph(), c.d_output(), axes.back(), n, 0.5);
  c.set_d_input(0, c.graph().add1(irfft_op(), {d},
                                  {{"axes", axes},
                                   {"size", n},
                                   {"norm", swapped_norm(node.string("norm"))},
                                   {"parts", node.boolean("parts")}}));
}

Result<Kernel> make_rfft(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).dtype != DType::f32)
    return refuse(node, fmt::format("f32 needed, not {}", name_of(node.input(0).dtype)));
  if (node.boolean("parts")) return parts_kernel(node, target);
  struct Pass {
    FourierPass along;
    std::shared_ptr<kernels::FftPlan> plan;
  };
  const auto axes = fourier_axes(node);
  const auto scale = static_cast<float>(fourier_scale(node, false, points(node.input(0).shape, axes)));
  std::vector<Pass> passes;
  Kernel k;
  // The halved axis first, from x; the others then work in place on fewer modes.
  for (size_t i = axes.size(); i-- > 0;) {
    const bool halved = i + 1 == axes.size();
    const FourierPass along = pass_along((halved ? node.input(0) : node.outputs()[0]).shape.extents(), axes[i]);
    passes.push_back({along, std::make_shared<kernels::FftPlan>(along.n)});
    k.scratch_bytes = std::max(k.scratch_bytes, kernels::fft_scratch_bytes(*passes.back().plan, target.cores));
  }
  k.run = [passes, scale, isa = target.isa, slots = target.cores](const Launch& l) {
    auto* dst = static_cast<float*>(l.outputs[0]);
    const Pass& first = passes[0];
    kernels::rfft_f32(isa, l.team, *first.plan, first.along.outer, first.along.inner, scale,
                      static_cast<const float*>(l.inputs[0]), dst, slots, l.scratch);
    for (size_t i = 1; i < passes.size(); ++i)
      kernels::fft_c64(isa, l.team, *passes[i].plan, passes[i].along.outer, passes[i].along.inner, false, 1, dst, dst,
                       slots, l.scratch);
  };
  return k;
}

}  // namespace

const OpDef& rfft_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "rfft";
    d.doc =
        "Discrete Fourier transform of real numbers, as numpy.fft.rfftn: like fft, but the last of `axes` keeps only "
        "modes "
        "0 to n/2, the others being their conjugates.";
    d.inputs = {{"x", "f32 or f64"}};
    d.outputs = {{"y", "complex, shape of x but n/2 + 1 along the last of axes; in parts real, the last axis doubled"}};
    d.attributes = {{"axes", AttributeKind::integers, "the axes transformed; the last one is halved", {}},
                    {"norm", AttributeKind::string, "ortho, backward or forward", std::string("ortho")},
                    parts_attribute()};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const bool halves = node.boolean("parts");
      Extents extents = node.input(0).shape.extents();
      const std::vector<int64_t>& axes = node.integers("axes");
      std::string z = w.input(0);
      int64_t n = 1;
      for (size_t i = axes.size(); i-- > 0;) {  // the last one, of real numbers, first
        const int64_t a = normalize_axis(axes[i], node.input(0).rank(), "rfft");
        int64_t& extent = extents[static_cast<size_t>(a)];
        n *= extent;
        const bool first = i + 1 == axes.size();
        const int64_t modes = first ? extent / 2 + 1 : extent;
        z = onnx_dft(w, z, extents, !first, a, modes, false);
        extent = modes;
      }
      z = onnx_scaled(w, z, node.outputs()[0].dtype, node.string("norm"), false, n, true);
      w.set_output(0, halves ? onnx_halves(w, z) : z);
    };
    d.infer = infer_rfft;
    d.reference = reference_rfft;
    d.gradient = gradient_rfft;
    d.lowerings = {{"mixed-radix", make_rfft}};
    d.cost = [](const NodeView& node) { return fourier_cost(node, node.input(0).shape, true); };
    d.samples = [] {
      const auto sample = [](Extents extents, uint32_t stream, std::vector<int64_t> axes, const char* norm) {
        return Sample{{sample_uniform(std::move(extents), stream)},
                      {{"axes", std::move(axes)}, {"norm", std::string(norm)}}};
      };
      const auto in_parts = [](Extents extents, uint32_t stream, std::vector<int64_t> axes) {
        return Sample{{sample_uniform(std::move(extents), stream)}, {{"axes", std::move(axes)}, {"parts", true}}};
      };
      return std::vector<Sample>{in_parts({2, 6, 3}, 11, {1}),
                                 in_parts({4, 5, 2, 18}, 12, {0, 1}),
                                 sample({1}, 1, {0}, "ortho"),
                                 sample({2}, 2, {0}, "backward"),
                                 sample({5}, 3, {0}, "forward"),
                                 sample({8}, 4, {-1}, "backward"),
                                 sample({3, 4}, 5, {0}, "ortho"),
                                 sample({3, 4}, 6, {0, 1}, "ortho"),
                                 sample({2, 4, 5}, 7, {2, 0}, "forward"),
                                 sample({2, 3, 6}, 8, {-2, -1}, "backward"),
                                 sample({2, 11}, 9, {1}, "ortho"),
                                 sample({2, 3, 2}, 10, {0, 2, 1}, "ortho")};
    };
    d.tolerance_eps = 16;
    return d;
  }();
  return op;
}

Value rfft(Graph& g, Value x, std::vector<int64_t> axes, const std::string& norm) {
  return g.add1(rfft_op(), {x}, {{"axes", std::move(axes)}, {"norm", norm}});
}

Value rfft_parts(Graph& g, Value x, int64_t axis, const std::string& norm) {
  return g.add1(rfft_op(), {x}, {{"axes", std::vector<int64_t>{axis}}, {"norm", norm}, {"parts", true}});
}

}  // namespace gregale::ops
