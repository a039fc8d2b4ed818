// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/depthwise/depthwise.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/onnx_convolution.hpp"
#include "ops/program_kernel.hpp"

namespace gregale::ops {
namespace {

tile::Conv2d problem_of_conv2d_nhwc(const NodeView& node) {
  return convolution_problem(node, permuted(node.input(0).shape, kToChannelsFirst),
                             permuted(node.input(1).shape, kWeightsToFirst));
}

std::vector<Type> infer_conv2d_nhwc(const NodeView& node) {
  check_convolution_operands(node);
  const auto p = problem_of_conv2d_nhwc(node);
  return {Type(result_dtype(node), Shape{node.input(0).shape[0], p.out_h(), p.out_w(), p.k})};
}

void reference_conv2d_nhwc(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& y = c.outputs[0].real();
  for_each_product_channels_last(problem_of_conv2d_nhwc(c.node),
                                 [&](size_t ix, size_t iw, size_t iy) { y[iy] += x[ix] * weights[iw]; });
}

std::vector<Value> expand_conv2d_nhwc(ExpandContext& c) {
  Graph& g = c.graph;
  const bool widen = c.node.boolean("f32_result");
  const auto operand = [&](size_t i, const std::vector<int64_t>& permutation) {
    const Value v = transpose(g, c.inputs[i], permutation);
    return widen ? cast(g, v, DType::f32) : v;
  };
  const Value y = conv2d(g, operand(0, kToChannelsFirst), operand(1, kWeightsToFirst), convolution_options(c.node));
  return {transpose(g, y, kToChannelsLast)};
}

/// Every channel by itself.
Result<Kernel> lower_depthwise(const NodeView& node, const Target& target) {
  if (auto error = refuse_convolution(node)) return *error;
  const auto p = problem_of_conv2d_nhwc(node);
  if (p.groups == 1 || p.groups != p.c || p.groups != p.k) return refuse(node, "not one channel a group");
  const kernels::Depthwise d{.n = p.n,
                             .h = p.h,
                             .w = p.w,
                             .c = p.c,
                             .r = p.r,
                             .s = p.s,
                             .stride_h = p.stride_h,
                             .stride_w = p.stride_w,
                             .pad_top = p.pad_top,
                             .pad_left = p.pad_left,
                             .dilation_h = p.dilation_h,
                             .dilation_w = p.dilation_w,
                             .out_h = p.out_h(),
                             .out_w = p.out_w()};
  Kernel k;
  k.run = [d, isa = target.isa](const Launch& l) {
    kernels::depthwise_f32(isa, l.team, d, static_cast<const float*>(l.inputs[0]),
                           static_cast<const float*>(l.inputs[1]), static_cast<float*>(l.outputs[0]));
  };
  return k;
}

Result<Kernel> lower_conv2d_nhwc(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  Graph body("conv2d_nhwc");
  const Value x = body.add_input("x", node.input(0)), weights = body.add_input("weights", node.input(1));
  body.set_outputs({body.add1(node.op(), {x, weights}, node.attributes())});
  return program_kernel(body, node, target);
}

}  // namespace

const OpDef& conv2d_nhwc_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d_nhwc";
    d.doc =
        "conv2d of images whose channels are the last axis, as are the weights' output channels; every pixel's "
        "channels "
        "then follow each other, which is what the kernels read fastest. The compiler turns conv2d into it where that "
        "pays.";
    d.inputs = {{"x", "[n, h, w, c]"}, {"weights", "[r, s, c/groups, k]"}};
    d.outputs = {{"y", "[n, oh, ow, k], extents as conv2d's"}};
    d.attributes = convolution_attributes();
    d.attributes.push_back(f32_result_attribute());
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution(w, true); };
    d.infer = infer_conv2d_nhwc;
    d.reference = reference_conv2d_nhwc;
    d.expand = expand_conv2d_nhwc;
    d.lowerings = {{"depthwise", lower_depthwise}, {"tile program", lower_conv2d_nhwc}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d_nhwc(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents weights, const Conv2dOptions& options) {
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(weights), 2)}, to_attributes(options)};
      };
      return std::vector<Sample>{
          sample({1, 3, 3, 1}, {2, 2, 1, 1}, {}),
          sample({2, 4, 5, 2}, {3, 2, 2, 3}, {.pads = {1, 0, 1, 1}}),
          sample({1, 5, 4, 8}, {2, 3, 4, 2}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 6, 5, 2}, {2, 2, 2, 2}, {.strides = {2, 3}, .dilations = {2, 1}}),
          sample({2, 4, 5, 3}, {2, 3, 1, 3}, {.pads = {1, 2, 0, 1}, .groups = 3}),
          sample({1, 5, 23, 21}, {3, 3, 1, 21}, {.strides = {2, 1}, .pads = {1, 1, 1, 1}, .groups = 21}),
          sample({1, 6, 9, 70}, {3, 2, 1, 70},
                 {.strides = {1, 2}, .pads = {0, 2, 3, 1}, .dilations = {2, 3}, .groups = 70}),
          sample({1, 2, 2, 3}, {1, 1, 3, 2}, {}),
          sample({2, 3, 5, 3}, {1, 1, 3, 2}, {.strides = {2, 2}})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d_nhwc(Graph& g, Value x, Value weights, const Conv2dOptions& options) {
  return g.add1(conv2d_nhwc_op(), {x, weights}, to_attributes(options));
}

}  // namespace gregale::ops
