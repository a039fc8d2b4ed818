// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/kernel_cache.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"
#include "ops/pooling.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_max_pool2d(const NodeView& node) {
  check_real_float(node, 0);
  check_rank(node, 0, 4);
  return {pooled_type(node)};
}

void reference_max_pool2d(ReferenceContext& c) {
  const Pooling p = pooling_of(c.node);
  const auto& x = c.inputs[0].real();
  auto& y = c.outputs[0].real();
  const bool last = c.node.boolean("channels_last");
  const int64_t images = c.inputs[0].extents[0], channels = c.inputs[0].extents[last ? 3 : 1];
  const PixelPlaces place{last, channels};
  for (int64_t plane = 0; plane < images * channels; ++plane)
    for (int64_t i = 0; i < p.out_h(); ++i)
      for (int64_t j = 0; j < p.out_w(); ++j) {
        const size_t o = place(plane, p.out_h() * p.out_w(), i * p.out_w() + j);
        y[o] = -std::numeric_limits<double>::infinity();
        for_each_in_window(p, i, j, [&](int64_t at) {
          const double v = x[place(plane, p.h * p.w, at)];
          if (v > y[o] || std::isnan(v)) y[o] = v;
        });
      }
}

void gradient_max_pool2d(GradientContext& c) {
  c.set_d_input(0, max_pool2d_gradient(c.graph(), c.input(0), c.d_output(), pooling_options(c.view())));
}

/// The greater, or NaN where there is one. One select without a branch, so that it runs on vectors.
inline float greater_of(float m, float v) { return static_cast<int>(v > m) | static_cast<int>(v != v) ? v : m; }

/// dst[j] = the greatest of row[j stride .. j stride + s). A constant stride becomes shuffles of vectors.
template <class Stride>
void pool_row(Stride stride, int64_t s, const float* row, int64_t n, float* dst) {
  for (int64_t j = 0; j < n; ++j) dst[j] = row[j * stride];
  for (int64_t k = 1; k < s; ++k)
    for (int64_t j = 0; j < n; ++j) dst[j] = greater_of(dst[j], row[j * stride + k]);
}

/// Down the columns first, whole rows at a time, into a row that has the padding as -inf at its ends; then along it.
void max_pool_plane(const Pooling& p, const float* x, float* y, float* row) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  std::fill_n(row, p.left, kNone);
  std::fill_n(row + p.left + p.w, p.right, kNone);
  float* middle = row + p.left;
  const int64_t out_w = p.out_w();
  for (int64_t i = 0; i < p.out_h(); ++i, y += out_w) {
    const int64_t begin = std::max<int64_t>(i * p.stride_h - p.top, 0);
    const int64_t end = std::min(i * p.stride_h - p.top + p.r, p.h);
    std::copy_n(x + begin * p.w, p.w, middle);
    for (int64_t a = begin + 1; a < end; ++a) {
      const float* from = x + a * p.w;
      for (int64_t b = 0; b < p.w; ++b) middle[b] = greater_of(middle[b], from[b]);
    }
    if (p.stride_w == 1) {
      pool_row(std::integral_constant<int64_t, 1>{}, p.s, row, out_w, y);
    } else if (p.stride_w == 2) {
      pool_row(std::integral_constant<int64_t, 2>{}, p.s, row, out_w, y);
    } else {
      pool_row(p.stride_w, p.s, row, out_w, y);
    }
  }
}

Result<Kernel> make_max_pool2d(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.boolean("channels_last")) return refuse(node, "channels are last");
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32) return refuse(node, fmt::format("f32 needed, not {}", name_of(dtype)));
  const Pooling p = pooling_of(node);
  const Extents extents = node.input(0).shape.extents();
  const int64_t row_bytes = kernels::align_bytes((p.left + p.w + p.right) * int64_t{sizeof(float)});
  Kernel k;
  k.thread_scratch_bytes = row_bytes;
  k.run = [p, row_bytes, planes = extents[0] * extents[1]](const Launch& l) {
    const auto* x = static_cast<const float*>(l.inputs[0]);
    auto* y = static_cast<float*>(l.outputs[0]);
    const int64_t from = p.h * p.w, to = p.out_h() * p.out_w();
    const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain / std::max(from, to));
    parallel_for(l.team, planes, grain, [&](int64_t begin, int64_t end, int thread) {
      auto* row = reinterpret_cast<float*>(l.thread_scratch + thread * row_bytes);
      for (int64_t i = begin; i < end; ++i) max_pool_plane(p, x + i * from, y + i * to, row);
    });
  };
  return k;
}

/// The greatest of several arrays, element by element.
class MaxPool2dGreatest {
 public:
  /// [m, n] of `dtype`, rows of the arrays `leading` elements apart, those of the result n.
  MaxPool2dGreatest(kernels::KernelCache& cache, DType dtype, int64_t count, int64_t m, int64_t n, int64_t leading) {
    for (int64_t inputs = 1; inputs <= std::min(count, kMost); ++inputs)
      first_[inputs] = cache.get(of(inputs, dtype, m, n, leading, false));
    for (int64_t inputs = 2; count > kMost && inputs <= kMost; ++inputs)
      next_[inputs] = cache.get(of(inputs, dtype, m, n, leading, true));
    for (const auto& kernels : {first_, next_})
      for (const auto& kernel : kernels)
        if (kernel != nullptr) scratch_bytes_ = std::max(scratch_bytes_, kernel->scratch_bytes(n));
  }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  /// Of `count` arrays, `step` bytes from one to the next.
  void operator()(const std::byte* from, int64_t step, int64_t count, std::byte* to, std::byte* scratch) const {
    const void* inputs[kMost] = {};
    void* output = to;
    kernels::ExpressionCall call;
    call.inputs = inputs;
    call.outputs = &output;
    call.scratch = scratch;
    for (int64_t done = 0; done < count;) {
      int64_t used = 0;
      if (done > 0) inputs[used++] = to;
      for (; used < kMost && done < count; ++done) inputs[used++] = from + done * step;
      (*(inputs[0] == to ? next_ : first_)[used])(call);
    }
  }

 private:
  static constexpr int64_t kMost = 8;  // arrays a call

  static kernels::ExpressionDesc of(int64_t inputs, DType dtype, int64_t m, int64_t n, int64_t leading,
                                    bool continues) {
    using kernels::ExprOp;
    kernels::ExpressionDesc d;
    d.m = m;
    d.n = n;
    d.inputs.assign(static_cast<size_t>(inputs), {dtype, kernels::Broadcast::none, leading});
    if (continues) d.inputs[0].leading = n;
    d.outputs = {{dtype, kernels::Broadcast::none, n}};
    kernels::Expression& e = d.expression;
    kernels::Expression::Id greatest = e.input(0);
    for (int i = 1; i < inputs; ++i) {
      const kernels::Expression::Id v = e.input(i);
      const auto takes =
          e.apply(ExprOp::mask_or, e.apply(ExprOp::greater, v, greatest), e.apply(ExprOp::not_equal, v, v));
      greatest = e.apply(ExprOp::select, takes, v, greatest);
    }
    e.output(greatest);
    return d;
  }

  int64_t scratch_bytes_ = 0;
  std::array<std::shared_ptr<const kernels::ExpressionKernel>, kMost + 1> first_, next_;  ///< by the number of arrays
};

/// Channels are the lanes: down the columns first, whole rows at a time, into a row that has the padding as -inf at its
/// ends; then along it.
Result<Kernel> make_channels_last_max_pool2d(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (!node.boolean("channels_last")) return refuse(node, "channels are first");
  const DType dtype = node.input(0).dtype;
  if (dtype != DType::f32 && dtype != DType::bf16)
    return refuse(node, fmt::format("f32 or bf16 needed, not {}", name_of(dtype)));
  const Pooling p = pooling_of(node);
  const Extents extents = node.input(0).shape.extents();
  const int64_t channels = extents[3], size = size_of(dtype);
  if (channels == 0) return refuse(node, "there are no channels");
  const auto cache = kernel_cache(target);
  const auto down = std::make_shared<MaxPool2dGreatest>(*cache, dtype, p.r, 1, p.w * channels, p.w * channels);
  const auto along =
      std::make_shared<MaxPool2dGreatest>(*cache, dtype, p.s, p.out_w(), channels, p.stride_w * channels);
  const int64_t row_bytes = kernels::align_bytes((p.left + p.w + p.right) * channels * size);
  const int64_t thread_bytes =
      row_bytes + kernels::align_bytes(std::max(down->scratch_bytes(), along->scratch_bytes()));
  Kernel k;
  k.thread_scratch_bytes = thread_bytes;
  k.run = [p, dtype, down, along, row_bytes, thread_bytes, images = extents[0],
           pixel = channels * size](const Launch& l) {
    const auto* x = static_cast<const std::byte*>(l.inputs[0]);
    auto* y = static_cast<std::byte*>(l.outputs[0]);
    const int64_t size = size_of(dtype), image = p.w * pixel, row = p.out_w() * pixel;
    const int64_t grain = std::max<int64_t>(1, kernels::kElementGrain * size / std::max<int64_t>(1, row * (p.r + p.s)));
    parallel_for(l.team, images * p.out_h(), grain, [&](int64_t begin, int64_t end, int thread) {
      std::byte* pixels = l.thread_scratch + thread * thread_bytes;
      std::byte* scratch = pixels + row_bytes;
      const auto pad = [&](std::byte* at, int64_t count) {
        constexpr float kNone = -std::numeric_limits<float>::infinity();
        if (dtype == DType::f32)
          std::fill_n(reinterpret_cast<float*>(at), count * pixel / size, kNone);
        else
          std::fill_n(reinterpret_cast<bf16*>(at), count * pixel / size, to_bf16(kNone));
      };
      pad(pixels, p.left);
      pad(pixels + (p.left + p.w) * pixel, p.right);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t top = i % p.out_h() * p.stride_h - p.top;
        const int64_t first = std::max<int64_t>(top, 0), last = std::min(top + p.r, p.h);
        (*down)(x + (i / p.out_h() * p.h + first) * image, image, last - first, pixels + p.left * pixel, scratch);
        (*along)(pixels, pixel, p.s, y + i * row, scratch);
      }
    });
  };
  return k;
}

}  // namespace

const OpDef& max_pool2d_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "max_pool2d";
    d.doc =
        "The greatest element of every window, as ONNX MaxPool without dilation; NaN where there is one. What lies in "
        "the padding is never chosen. The cotangent is shared equally among the elements of a window that tie, as that "
        "of max. Batch and channels may be symbolic.";
    d.inputs = {{"x", "[n, c, h, w], real floats"}};
    d.outputs = {{"y", "[n, c, oh, ow], oh = floor((h + top + bottom - kernel) / stride) + 1"}};
    d.attributes = pooling_attributes();
    d.to_onnx = [](OnnxWriter& w) {
      const MaxPool2dOptions o = pooling_options(w.view());
      const OnnxWriter::OnnxAttributeList list = {{"kernel_shape", o.kernel}, {"strides", o.strides}, {"pads", o.pads}};
      if (!o.channels_last) return w.same("MaxPool", list);
      const std::string x = w.add1("Transpose", {w.input(0)}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
      w.set_output(0,
                   w.add1("Transpose", {w.add1("MaxPool", {x}, list)}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}));
    };
    d.infer = infer_max_pool2d;
    d.reference = reference_max_pool2d;
    d.gradient = gradient_max_pool2d;
    d.lowerings = {{"planes", make_max_pool2d}, {"channels last", make_channels_last_max_pool2d}};
    d.cost = [](const NodeView& node) {
      const auto& kernel = node.integers("kernel");
      return default_cost(node, static_cast<double>(kernel[0]) * static_cast<double>(kernel[1]));
    };
    d.samples = [] {
      const auto sample = [](Tensor x, const MaxPool2dOptions& options, bool check_gradient = true) {
        return Sample{.inputs = {std::move(x)}, .attributes = to_attributes(options), .check_gradient = check_gradient};
      };
      return std::vector<Sample>{
          sample(sample_distinct({1, 1, 3, 3}, 1), {.kernel = {2, 2}}),
          sample(sample_distinct({1, 2, 6, 5}, 2), {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}),
          sample(sample_distinct({2, 1, 5, 7}, 3), {.kernel = {1, 3}, .strides = {2, 3}, .pads = {0, 2, 0, 1}}),
          sample(sample_distinct({1, 1, 4, 3}, 4), {.kernel = {4, 3}}),
          sample(sample_distinct({2, 5, 4, 3}, 8),
                 {.kernel = {3, 2}, .strides = {2, 2}, .pads = {1, 0, 1, 1}, .channels_last = true}),
          sample(sample_distinct({1, 1, 1, 1}, 5), {.kernel = {2, 2}, .strides = {1, 1}, .pads = {1, 1, 0, 0}}),
          sample(sample_uniform({3, 5, 37, 41}, 6), {.kernel = {3, 2}, .strides = {1, 2}, .pads = {2, 0, 1, 1}}, false),
          sample(sample_ties({2, 3, 5, 5}, 7), {.kernel = {3, 3}, .strides = {2, 1}, .pads = {1, 0, 0, 2}}, false)};
    };
    return d;
  }();
  return op;
}

Value max_pool2d(Graph& g, Value x, const MaxPool2dOptions& options) {
  return g.add1(max_pool2d_op(), {x}, to_attributes(options));
}

}  // namespace gregale::ops
