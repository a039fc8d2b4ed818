// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gregale/error.hpp"
#include "kernels/common.hpp"
#include "kernels/kernel_cache.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/pooling.hpp"
#include "ops/shapes.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_max_pool2d_gradient(const NodeView& node) {
  check_real_float(node, 0);
  check_real_float(node, 1);
  check_rank(node, 0, 4);
  const Type expected(node.input(1).dtype, pooled_type(node).shape);
  GREGALE_CHECK(node.input(1).shape == expected.shape, shape, "[max_pool2d_gradient] d_y is {}; expected {}",
                to_string(node.input(1)), to_string(expected));
  return {Type(expected.dtype, node.input(0).shape)};
}

void reference_max_pool2d_gradient(ReferenceContext& c) {
  const Pooling p = pooling_of(c.node);
  const auto &x = c.inputs[0].real(), &d_y = c.inputs[1].real();
  auto& d_x = c.outputs[0].real();
  const bool last = c.node.boolean("channels_last");
  const int64_t images = c.inputs[0].extents[0], channels = c.inputs[0].extents[last ? 3 : 1];
  const PixelPlaces place{last, channels};
  for (int64_t plane = 0; plane < images * channels; ++plane)
    for (int64_t i = 0; i < p.out_h(); ++i)
      for (int64_t j = 0; j < p.out_w(); ++j) {
        double greatest = -std::numeric_limits<double>::infinity(), ties = 0;
        const auto value = [&](int64_t at) { return x[place(plane, p.h * p.w, at)]; };
        for_each_in_window(p, i, j, [&](int64_t at) {
          if (value(at) > greatest || std::isnan(value(at))) greatest = value(at);
        });
        for_each_in_window(p, i, j, [&](int64_t at) { ties += value(at) == greatest ? 1 : 0; });
        const double share = d_y[place(plane, p.out_h() * p.out_w(), i * p.out_w() + j)] / ties;
        for_each_in_window(p, i, j, [&](int64_t at) {
          if (value(at) == greatest) d_x[place(plane, p.h * p.w, at)] += share;
        });
      }
}

/// Linear in d_y, whose cotangent collects the shares again: windows gathered side by side. Constant in x where nothing
/// ties.
void gradient_max_pool2d_gradient(GradientContext& c) {
  Graph& g = c.graph();
  const Pooling p = pooling_of(c.view());
  const bool last = c.view().boolean("channels_last");
  const auto first = [&](Value v) { return last ? transpose(g, v, {0, 3, 1, 2}) : v; };
  const Value x = first(c.input(0)), d = first(c.d_output());
  const Shape shape = g.type(x).shape;
  const DType dtype = g.type(d).dtype;
  const int64_t windows = p.out_h() * p.out_w(), size = p.r * p.s;
  Tensor indices(DType::i64, {windows, size}), inside(DType::boolean, {windows, size});
  std::fill_n(indices.as<int64_t>().data(), windows * size, 0);
  std::fill_n(inside.as<bool>().data(), windows * size, false);
  for (int64_t i = 0; i < p.out_h(); ++i)
    for (int64_t j = 0; j < p.out_w(); ++j) {
      auto at = static_cast<size_t>((i * p.out_w() + j) * size);
      for_each_in_window(p, i, j, [&](int64_t element) {
        indices.as<int64_t>()[at] = element;
        inside.as<bool>()[at++] = true;
      });
    }
  const Value where = g.constant(indices);
  const Shape flat{shape[0], shape[1], p.h * p.w}, pooled{shape[0], shape[1], p.out_h(), p.out_w()};
  const Value greatest = max_pool2d(g, x, {{p.r, p.s}, {p.stride_h, p.stride_w}, {p.top, p.left, p.bottom, p.right}});
  const Value column = reshape(g, greatest, Shape{shape[0], shape[1], windows, 1});
  const Value ties = logical_and(g, equal(g, gather(g, reshape(g, x, flat), where, 2), column), g.constant(inside));
  const Value chosen = cast(g, ties, dtype);
  const Value collected = sum(g, mul(g, chosen, gather(g, reshape(g, d, flat), where, 2)), {3});
  const Value d_d_y = reshape(g, div(g, collected, sum(g, chosen, {3})), pooled);
  c.set_d_input(1, last ? transpose(g, d_d_y, {0, 2, 3, 1}) : d_d_y);
}

/// The windows of a plane one after another.
void spread_plane(const Pooling& p, const float* x, const float* d_y, float* d_x) {
  std::fill_n(d_x, p.h * p.w, 0.0f);
  for (int64_t i = 0; i < p.out_h(); ++i)
    for (int64_t j = 0; j < p.out_w(); ++j, ++d_y) {
      float greatest = -std::numeric_limits<float>::infinity(), ties = 0;
      for_each_in_window(p, i, j, [&](int64_t at) {
        if (x[at] > greatest || std::isnan(x[at])) greatest = x[at];
      });
      for_each_in_window(p, i, j, [&](int64_t at) { ties += x[at] == greatest ? 1.0f : 0.0f; });
      const float share = *d_y / ties;
      for_each_in_window(p, i, j, [&](int64_t at) { d_x[at] += x[at] == greatest ? share : 0.0f; });
    }
}

std::optional<Error> refuse_operands(const NodeView& node, bool narrow) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  const DType x = node.input(0).dtype, d_y = node.input(1).dtype;
  if (x != DType::f32 && !(narrow && x == DType::bf16))
    return refuse(node, fmt::format("x must be f32{}, not {}", narrow ? " or bf16" : "", name_of(x)));
  if (d_y != DType::f32) return refuse(node, fmt::format("d_y must be f32, not {}", name_of(d_y)));
  return std::nullopt;
}

Result<Kernel> make_max_pool2d_gradient(const NodeView& node, const Target&) {
  if (auto error = refuse_operands(node, false)) return *error;
  if (node.boolean("channels_last")) return refuse(node, "channels are last");
  const Pooling p = pooling_of(node);
  const Extents extents = node.input(0).shape.extents();
  Kernel k;
  k.run = [p, planes = extents[0] * extents[1]](const Launch& l) {
    const auto *x = static_cast<const float*>(l.inputs[0]), *d_y = static_cast<const float*>(l.inputs[1]);
    auto* d_x = static_cast<float*>(l.outputs[0]);
    const int64_t from = p.h * p.w, to = p.out_h() * p.out_w();
    parallel_for(l.team, planes, std::max<int64_t>(1, kernels::kElementGrain / (from * 4)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) spread_plane(p, x + i * from, d_y + i * to, d_x + i * from);
                 });
  };
  return k;
}

/// Output columns [begin, end) whose element `tap` of the window is in the row.
struct Columns {
  int64_t begin, end;
};
Columns columns_of(const Pooling& p, int64_t tap) {
  const int64_t offset = tap - p.left;  // column j sees j stride + offset
  const int64_t begin = offset >= 0 ? 0 : (-offset + p.stride_w - 1) / p.stride_w;
  const int64_t end = offset >= p.w ? 0 : std::min(p.out_w(), (p.w - 1 - offset) / p.stride_w + 1);
  return {begin, std::max(begin, end)};
}

/// Channels are the lanes: a call works on the pixels of an output row and the pixels that tap (a, b) of their windows
/// sees. First the greatest and the share of each window, then each row of d_x from the windows that cover it.
class ChannelsLast {
 public:
  ChannelsLast(kernels::KernelCache& cache, const Pooling& p, int64_t images, int64_t channels, DType x)
      : p_(p), images_(images), channels_(channels), size_(size_of(x)) {
    using kernels::Expression;
    using kernels::ExprOp;
    // Operands are f32 but for the image, operand `image`.
    const auto kernel = [&](const std::vector<int64_t>& leading, size_t image, const auto& write) {
      kernels::ExpressionDesc d;
      d.n = channels;
      for (const int64_t l : leading)
        d.inputs.push_back({d.inputs.size() == image ? x : DType::f32, kernels::Broadcast::none, l});
      d.outputs = {d.inputs[0]};
      d.expression.output(write(d.expression));
      auto made = cache.get(d);
      scratch_bytes_ = std::max(scratch_bytes_, kernels::align_bytes(made->scratch_bytes(channels)));
      return made;
    };
    constexpr size_t kNone = 4;
    const int64_t pixel = channels, window = p.stride_w * channels;
    greater_ = kernel({pixel, window}, 1, [](Expression& e) {
      const auto m = e.input(0), v = e.input(1);
      const auto takes = e.apply(ExprOp::mask_or, e.apply(ExprOp::greater, v, m), e.apply(ExprOp::not_equal, v, v));
      return e.apply(ExprOp::select, takes, v, m);
    });
    count_ = kernel({pixel, pixel, window}, 2, [](Expression& e) {
      const auto n = e.input(0), tie = e.apply(ExprOp::equal, e.input(2), e.input(1));
      return e.apply(ExprOp::add, n, e.apply(ExprOp::select, tie, e.constant(1), e.constant(0)));
    });
    share_ = kernel({pixel, pixel}, kNone, [](Expression& e) { return e.apply(ExprOp::div, e.input(1), e.input(0)); });
    spread_ = kernel({window, window, pixel, pixel}, 1, [](Expression& e) {
      const auto sum = e.input(0), tie = e.apply(ExprOp::equal, e.input(1), e.input(2));
      return e.apply(ExprOp::add, sum, e.apply(ExprOp::select, tie, e.input(3), e.constant(0)));
    });
  }

  int64_t scratch_bytes() const { return 2 * kernels::align_bytes(windows() * channels_ * 4); }
  int64_t thread_scratch_bytes() const { return scratch_bytes_; }

  void run(const Launch& l) const {
    const auto* x = static_cast<const std::byte*>(l.inputs[0]);
    const auto* d_y = static_cast<const float*>(l.inputs[1]);
    auto* d_x = static_cast<float*>(l.outputs[0]);
    auto *greatest = reinterpret_cast<float*>(l.scratch),
         *shares = reinterpret_cast<float*>(l.scratch + scratch_bytes() / 2);
    const auto scratch = [&](int thread) { return l.thread_scratch + thread * scratch_bytes_; };
    parallel_for(l.team, images_ * p_.out_h(), 1, [&](int64_t i, int64_t, int thread) {
      const int64_t at = i * p_.out_w() * channels_;
      find(x, d_y + at, i, greatest + at, shares + at, scratch(thread));
    });
    parallel_for(l.team, images_ * p_.h, 1,
                 [&](int64_t row, int64_t, int thread) { collect(x, greatest, shares, row, d_x, scratch(thread)); });
  }

 private:
  int64_t windows() const { return images_ * p_.out_h() * p_.out_w(); }

  static void call(const kernels::ExpressionKernel& kernel, int64_t rows, std::initializer_list<const void*> inputs,
                   float* output, std::byte* scratch) {
    const void* in[4] = {};
    std::copy(inputs.begin(), inputs.end(), in);
    void* out = output;
    kernels::ExpressionCall call;
    call.m = rows;
    call.inputs = in;
    call.outputs = &out;
    call.scratch = scratch;
    kernel(call);
  }

  /// body(rows of pixels, their offset among the output row's, that of what the tap sees among the image row's).
  template <class Body>
  void for_taps(Body&& body) const {
    for (int64_t b = 0; b < p_.s; ++b) {
      const Columns c = columns_of(p_, b);
      if (c.begin < c.end)
        body(c.end - c.begin, c.begin * channels_, (c.begin * p_.stride_w + b - p_.left) * channels_);
    }
  }

  /// Of the windows of output row i, all images counted through.
  void find(const std::byte* x, const float* d_y, int64_t i, float* greatest, float* share, std::byte* scratch) const {
    const int64_t elements = p_.out_w() * channels_, top = i % p_.out_h() * p_.stride_h - p_.top;
    const int64_t first = std::max<int64_t>(top, 0), last = std::min(top + p_.r, p_.h);
    const auto seen = [&](int64_t a, int64_t from) {
      return x + ((i / p_.out_h() * p_.h + a) * p_.w * channels_ + from) * size_;
    };
    std::fill_n(greatest, elements, -std::numeric_limits<float>::infinity());
    for (int64_t a = first; a < last; ++a)
      for_taps([&](int64_t rows, int64_t to, int64_t from) {
        call(*greater_, rows, {greatest + to, seen(a, from)}, greatest + to, scratch);
      });
    std::fill_n(share, elements, 0.0f);
    for (int64_t a = first; a < last; ++a)
      for_taps([&](int64_t rows, int64_t to, int64_t from) {
        call(*count_, rows, {share + to, greatest + to, seen(a, from)}, share + to, scratch);
      });
    call(*share_, p_.out_w(), {share, d_y}, share, scratch);
  }

  void collect(const std::byte* x, const float* greatest, const float* shares, int64_t row, float* d_x,
               std::byte* scratch) const {
    const int64_t a = row % p_.h, image = row / p_.h, pixels = p_.w * channels_;
    x += row * pixels * size_;
    d_x += row * pixels;
    std::fill_n(d_x, pixels, 0.0f);
    // Window rows i with i stride <= a + top < i stride + r.
    const int64_t at = a + p_.top, first = at < p_.r ? 0 : (at - p_.r) / p_.stride_h + 1;
    for (int64_t i = first; i <= std::min(at / p_.stride_h, p_.out_h() - 1); ++i)
      for_taps([&](int64_t rows, int64_t from, int64_t to) {
        const int64_t window = (image * p_.out_h() + i) * p_.out_w() * channels_ + from;
        call(*spread_, rows, {d_x + to, x + to * size_, greatest + window, shares + window}, d_x + to, scratch);
      });
  }

  Pooling p_;
  int64_t images_, channels_, size_, scratch_bytes_ = 0;  ///< size_: of an element of x
  std::shared_ptr<const kernels::ExpressionKernel> greater_, count_, share_, spread_;
};

Result<Kernel> make_channels_last_max_pool2d_gradient(const NodeView& node, const Target& target) {
  if (auto error = refuse_operands(node, true)) return *error;
  if (!node.boolean("channels_last")) return refuse(node, "channels are first");
  const Extents extents = node.input(0).shape.extents();
  if (extents[3] == 0) return refuse(node, "there are no channels");
  const auto program = std::make_shared<const ChannelsLast>(*kernel_cache(target), pooling_of(node), extents[0],
                                                            extents[3], node.input(0).dtype);
  Kernel k;
  k.scratch_bytes = program->scratch_bytes();
  k.thread_scratch_bytes = program->thread_scratch_bytes();
  k.run = [program](const Launch& l) { program->run(l); };
  return k;
}

}  // namespace

const OpDef& max_pool2d_gradient_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "max_pool2d_gradient";
    d.doc =
        "The cotangent of max_pool2d's operand from that operand and the cotangent of the result: what belongs to a "
        "window is shared equally among its elements that are its greatest, and an element in several windows gets the "
        "sum. Nothing of a window with a NaN is passed on. Batch and channels may be symbolic.";
    d.inputs = {{"x", "[n, c, h, w], real floats"}, {"d_y", "[n, c, oh, ow], real floats"}};
    d.outputs = {{"d_x", "[n, c, h, w], of d_y's dtype"}};
    d.attributes = pooling_attributes();
    d.infer = infer_max_pool2d_gradient;
    d.reference = reference_max_pool2d_gradient;
    d.gradient = gradient_max_pool2d_gradient;
    d.lowerings = {{"planes", make_max_pool2d_gradient}, {"channels last", make_channels_last_max_pool2d_gradient}};
    d.cost = [](const NodeView& node) {
      const auto& kernel = node.integers("kernel");
      return default_cost(node, static_cast<double>(kernel[0]) * static_cast<double>(kernel[1]));
    };
    d.samples = [] {
      const auto sample = [](Tensor x, Extents d_y, const MaxPool2dOptions& options, bool check_gradient = true) {
        return Sample{.inputs = {std::move(x), sample_uniform(std::move(d_y), 31)},
                      .attributes = to_attributes(options),
                      .check_gradient = check_gradient};
      };
      return std::vector<Sample>{
          sample(sample_distinct({1, 1, 3, 3}, 1), {1, 1, 2, 2}, {.kernel = {2, 2}}),
          sample(sample_distinct({1, 2, 6, 5}, 2), {1, 2, 3, 3},
                 {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}}),
          sample(sample_distinct({2, 1, 5, 7}, 3), {2, 1, 3, 3},
                 {.kernel = {1, 3}, .strides = {2, 3}, .pads = {0, 2, 0, 1}}),
          sample(sample_distinct({2, 4, 3, 5}, 8), {2, 2, 2, 5},
                 {.kernel = {3, 2}, .strides = {2, 2}, .pads = {1, 0, 1, 1}, .channels_last = true}),
          sample(sample_distinct({1, 9, 8, 17}, 9), {1, 5, 4, 17},
                 {.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 1, 1, 1}, .channels_last = true}),
          sample(sample_ties({2, 3, 5, 5}, 7), {2, 3, 2, 5},
                 {.kernel = {3, 3}, .strides = {2, 1}, .pads = {1, 0, 0, 2}}, false),
          sample(sample_ties({2, 5, 5, 3}, 6), {2, 2, 5, 3},
                 {.kernel = {3, 3}, .strides = {2, 1}, .pads = {1, 0, 0, 2}, .channels_last = true}, false)};
    };
    return d;
  }();
  return op;
}

Value max_pool2d_gradient(Graph& g, Value x, Value d_y, const MaxPool2dOptions& options) {
  return g.add1(max_pool2d_gradient_op(), {x, d_y}, to_attributes(options));
}

}  // namespace gregale::ops
