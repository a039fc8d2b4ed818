// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/convolution3d.hpp"
#include "ops/list.hpp"
#include "ops/onnx_convolution.hpp"

namespace gregale::ops {
namespace {

const std::vector<int64_t> kToLast{0, 2, 3, 4, 1}, kToFirst{0, 4, 1, 2, 3}, kWeights{2, 3, 4, 1, 0};

tile::Conv3d problem_of_conv3d(const NodeView& node) {
  return convolution3d_problem(node, permuted(node.input(0).shape, kToLast), permuted(node.input(1).shape, kWeights));
}

std::vector<Type> infer_conv3d(const NodeView& node) {
  check_convolution3d_operands(node);
  const Shape y = convolved(permuted(node.input(0).shape, kToLast), problem_of_conv3d(node));
  return {Type(node.input(0).dtype, permuted(y, kToFirst))};
}

/// As conv3d_ndhwc's, each index with its channels moved to the front.
void reference_conv3d(ReferenceContext& c) {
  const auto v = problem_of_conv3d(c.node);
  const auto &x = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& y = c.outputs[0].real();
  const auto first = [](size_t index, int64_t channels, int64_t pixels) {
    const auto m = static_cast<size_t>(channels), n = static_cast<size_t>(pixels);
    return (index / m / n * m + index % m) * n + index / m % n;
  };
  const tile::Conv2d& p = v.plane;
  const int64_t taps = v.t * p.r * p.s;
  for_each_product(v, [&](size_t ix, size_t iw, size_t iy) {
    const size_t k = iw % static_cast<size_t>(p.k), tap = iw / static_cast<size_t>(p.k * (p.c / p.groups)),
                 channel = iw / static_cast<size_t>(p.k) % static_cast<size_t>(p.c / p.groups);
    y[first(iy, p.k, v.out_d() * p.out_h() * p.out_w())] +=
        x[first(ix, p.c, v.d * p.h * p.w)] *
        weights[(k * static_cast<size_t>(p.c / p.groups) + channel) * static_cast<size_t>(taps) + tap];
  });
}

std::vector<Value> expand_conv3d(ExpandContext& c) {
  Graph& g = c.graph;
  const Value y = conv3d_ndhwc(g, transpose(g, c.inputs[0], kToLast), transpose(g, c.inputs[1], kWeights),
                               convolution3d_options(c.node));
  return {transpose(g, y, kToFirst)};
}

}  // namespace

const OpDef& conv3d_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv3d";
    d.doc =
        "Three-dimensional convolution as the field has it (cross-correlation; the kernel is not flipped), as ONNX "
        "Conv: "
        "y[n, k, o, i, j] = sum over c, t, r, s of x[n, c, o stride + t dilation - pad, ...] weights[k, c, t, r, s], c "
        "running over the channels of k's group. Computed with channels last. The batch may be symbolic.";
    d.inputs = {{"x", "[n, c, d, h, w]"}, {"weights", "[k, c/groups, t, r, s]"}};
    d.outputs = {{"y", "[n, k, od, oh, ow], od = floor((d + front + back - dilation (t - 1) - 1) / stride) + 1"}};
    d.attributes = convolution3d_attributes();
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution(w, false); };
    d.infer = infer_conv3d;
    d.reference = reference_conv3d;
    d.expand = expand_conv3d;
    d.cost = [](const NodeView& node) { return convolution3d_cost(node, problem_of_conv3d(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents weights, const Conv3dOptions& options) {
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(weights), 2)}, to_attributes(options)};
      };
      return std::vector<Sample>{
          sample({1, 1, 3, 3, 3}, {1, 1, 2, 2, 2}, {}),
          sample({2, 2, 3, 4, 3}, {3, 2, 3, 2, 3}, {.pads = {1, 0, 1, 1, 1, 1}}),
          sample({1, 8, 5, 4, 5}, {2, 4, 2, 3, 2}, {.strides = {2, 1, 2}, .pads = {1, 1, 0, 0, 1, 1}, .groups = 2}),
          sample({1, 2, 5, 6, 3}, {2, 2, 2, 2, 1}, {.strides = {1, 2, 1}, .dilations = {3, 2, 1}})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv3d(Graph& g, Value x, Value weights, const Conv3dOptions& options) {
  return g.add1(conv3d_op(), {x, weights}, to_attributes(options));
}

}  // namespace gregale::ops
