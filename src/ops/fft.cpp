// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "gregale/error.hpp"
#include "kernels/fft/fft.hpp"
#include "ops/common.hpp"
#include "ops/fourier.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_fft(const NodeView& node) {
  check_transformable(node, true);
  const auto axes = fourier_axes(node);
  if (node.boolean("parts")) complex_columns(node, node.input(0).shape, axes);
  fourier_scale(node, node.boolean("inverse"), points(node.input(0).shape, axes));
  return {node.input(0)};
}

void reference_fft(ReferenceContext& c) {
  const auto axes = fourier_axes(c.node);
  const bool inverse = c.node.boolean("inverse"), parts = c.node.boolean("parts");
  Extents extents = c.inputs[0].extents;
  if (parts) extents.back() /= 2;
  auto z = parts ? from_parts(c.inputs[0].real(), extents.back()) : c.inputs[0].complex();
  for (int64_t axis : axes) transform_axis(z, extents, axis, inverse);
  const double scale = fourier_scale(c.node, inverse, points(c.node.input(0).shape, axes));
  for (auto& v : z) v *= scale;
  if (parts) {
    c.outputs[0].real() = to_parts(z, extents.back());
  } else {
    c.outputs[0].complex() = std::move(z);
  }
}

Result<Kernel> make_fft(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  const bool in_parts = node.boolean("parts");
  const DType dtype = in_parts ? DType::f32 : DType::c64;
  if (node.input(0).dtype != dtype)
    return refuse(node, fmt::format("{} needed, not {}", name_of(dtype), name_of(node.input(0).dtype)));
  struct Pass {
    FourierPass along;
    std::shared_ptr<kernels::FftPlan> plan;
    float scale;
  };
  const bool inverse = node.boolean("inverse");
  const auto axes = fourier_axes(node);
  float scale = static_cast<float>(fourier_scale(node, inverse, points(node.input(0).shape, axes)));
  if (in_parts) return parts_kernel(node, target);
  std::vector<Pass> passes;
  Kernel k;
  for (int64_t axis : axes) {
    const FourierPass along = pass_along(node.input(0).shape.extents(), axis);
    passes.push_back({along, std::make_shared<kernels::FftPlan>(along.n), scale});
    scale = 1;
    k.scratch_bytes = std::max(k.scratch_bytes, kernels::fft_scratch_bytes(*passes.back().plan, target.cores));
  }
  k.in_place = {{0, 0}};
  k.run = [passes, inverse, isa = target.isa, slots = target.cores](const Launch& l) {
    const auto* src = static_cast<const float*>(l.inputs[0]);
    auto* dst = static_cast<float*>(l.outputs[0]);
    for (const Pass& p : passes) {
      kernels::fft_c64(isa, l.team, *p.plan, p.along.outer, p.along.inner, inverse, p.scale, src, dst, slots,
                       l.scratch);
      src = dst;
    }
  };
  return k;
}

}  // namespace

const OpDef& fft_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "fft";
    d.doc =
        "Discrete Fourier transform of complex numbers along one or more axes, as numpy.fft.fftn: Z[k] = s sum_j z[j] "
        "exp(-2 pi i jk/n), with + in the exponent for the inverse. norm ortho scales both directions by 1/sqrt(n) (n "
        "counts all axes), backward the inverse by 1/n, forward the forward transform by 1/n.";
    d.inputs = {{"z", "complex, or real in parts"}};
    d.outputs = {{"y", "shape of z"}};
    d.attributes = {{"axes", AttributeKind::integers, "the axes transformed, of constant extent", {}},
                    {"inverse", AttributeKind::boolean, "the inverse transform", false},
                    {"norm", AttributeKind::string, "ortho, backward or forward", std::string("ortho")},
                    parts_attribute()};
    d.to_onnx = [](OnnxWriter& w) {
      const NodeView& node = w.view();
      const bool halves = node.boolean("parts");
      Extents extents = node.input(0).shape.extents();
      std::string z = halves ? onnx_pair_of_halves(w, w.input(0)) : w.input(0);
      if (halves) extents.back() /= 2;
      int64_t n = 1;
      for (int64_t a : node.integers("axes")) {
        a = normalize_axis(a, node.input(0).rank(), "fft");
        n *= extents[static_cast<size_t>(a)];
        z = onnx_dft(w, z, extents, true, a, extents[static_cast<size_t>(a)], node.boolean("inverse"));
      }
      z = onnx_scaled(w, z, node.outputs()[0].dtype, node.string("norm"), node.boolean("inverse"), n,
                      w.fft_as_matmul());
      w.set_output(0, halves ? onnx_halves(w, z) : z);
    };
    d.infer = infer_fft;
    d.reference = reference_fft;
    d.gradient = [](GradientContext& c) {
      const NodeView& node = c.view();
      Attributes adjoint = node.attributes();
      adjoint["inverse"] = !node.boolean("inverse");
      adjoint["norm"] = swapped_norm(node.string("norm"));
      c.set_d_input(0, c.graph().add1(fft_op(), {c.d_output()}, adjoint));
    };
    d.lowerings = {{"mixed-radix", make_fft}};
    d.cost = [](const NodeView& node) { return fourier_cost(node, node.input(0).shape, false); };
    d.samples = [] {
      const auto sample = [](Extents extents, uint32_t stream, std::vector<int64_t> axes, bool inverse,
                             const char* norm) {
        return Sample{{sample_complex(std::move(extents), stream)},
                      {{"axes", std::move(axes)}, {"inverse", inverse}, {"norm", std::string(norm)}}};
      };
      const auto in_parts = [](Extents extents, uint32_t stream, std::vector<int64_t> axes, bool inverse) {
        return Sample{{sample_uniform(std::move(extents), stream)},
                      {{"axes", std::move(axes)}, {"inverse", inverse}, {"parts", true}}};
      };
      return std::vector<Sample>{
          in_parts({2, 6, 4}, 11, {1}, false),           in_parts({3, 4, 2, 34}, 12, {0, 1}, true),
          sample({1}, 1, {0}, false, "ortho"),           sample({2}, 2, {0}, true, "backward"),
          sample({5}, 3, {0}, false, "forward"),         sample({6}, 4, {-1}, false, "backward"),
          sample({3, 4}, 5, {0}, true, "ortho"),         sample({3, 4}, 6, {0, 1}, false, "ortho"),
          sample({2, 3, 5}, 7, {2, 0}, true, "forward"), sample({2, 4, 3}, 8, {-2, -1}, false, "backward"),
          sample({2, 11}, 9, {1}, true, "ortho"),        sample({2, 3, 2}, 10, {0, 2, 1}, false, "ortho")};
    };
    d.tolerance_eps = 16;
    return d;
  }();
  return op;
}

Value fft(Graph& g, Value z, std::vector<int64_t> axes, bool inverse, const std::string& norm) {
  return g.add1(fft_op(), {z}, {{"axes", std::move(axes)}, {"inverse", inverse}, {"norm", norm}});
}

Value fft_parts(Graph& g, Value z, int64_t axis, bool inverse, const std::string& norm) {
  return g.add1(fft_op(), {z},
                {{"axes", std::vector<int64_t>{axis}}, {"inverse", inverse}, {"norm", norm}, {"parts", true}});
}

}  // namespace gregale::ops
