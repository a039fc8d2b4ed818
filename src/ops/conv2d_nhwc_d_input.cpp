// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/list.hpp"
#include "ops/onnx_convolution.hpp"
#include "ops/program_kernel.hpp"

namespace gregale::ops {
namespace {

Shape x_shape_conv2d_nhwc_d_input(const NodeView& node) {
  const auto& size = node.integers("image");
  GREGALE_CHECK(size.size() == 2 && size[0] >= 0 && size[1] >= 0, invalid_argument,
                "[conv2d_nhwc_d_input] image must hold a height and a width");
  const Dim& c = node.input(1).shape[2];
  const int64_t groups = node.integer("groups");
  int64_t channels = 0;
  GREGALE_CHECK(c.is_constant() && groups >= 1 && !__builtin_mul_overflow(c.value(), groups, &channels), shape,
                "[conv2d_nhwc_d_input] {} channels a group in {} groups", c.to_string(), groups);
  return Shape{node.input(0).shape[0], size[0], size[1], channels};
}

tile::Conv2d problem_of_conv2d_nhwc_d_input(const NodeView& node) {
  return convolution_problem(node, permuted(x_shape_conv2d_nhwc_d_input(node), kToChannelsFirst),
                             permuted(node.input(1).shape, kWeightsToFirst));
}

std::vector<Type> infer_conv2d_nhwc_d_input(const NodeView& node) {
  check_convolution_operands(node);
  const Type& d_y = node.input(0);
  const auto p = problem_of_conv2d_nhwc_d_input(node);
  const Shape expected{d_y.shape[0], p.out_h(), p.out_w(), p.k};
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv2d_nhwc_d_input] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(result_dtype(node), x_shape_conv2d_nhwc_d_input(node))};
}

void reference_conv2d_nhwc_d_input(ReferenceContext& c) {
  const auto &d_y = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& d_x = c.outputs[0].real();
  for_each_product_channels_last(problem_of_conv2d_nhwc_d_input(c.node),
                                 [&](size_t ix, size_t iw, size_t iy) { d_x[ix] += d_y[iy] * weights[iw]; });
}

std::vector<Value> expand_conv2d_nhwc_d_input(ExpandContext& c) {
  Graph& g = c.graph;
  const bool widen = c.node.boolean("f32_result");
  const auto operand = [&](size_t i, const std::vector<int64_t>& permutation) {
    const Value v = transpose(g, c.inputs[i], permutation);
    return widen ? cast(g, v, DType::f32) : v;
  };
  const auto& image = c.node.integers("image");
  const Value d_x = conv2d_d_input(g, operand(0, kToChannelsFirst), operand(1, kWeightsToFirst), image[0], image[1],
                                   convolution_options(c.node));
  return {transpose(g, d_x, kToChannelsLast)};
}

Result<Kernel> lower_conv2d_nhwc_d_input(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  Graph body("conv2d_nhwc_d_input");
  const Value d_y = body.add_input("d_y", node.input(0)), weights = body.add_input("weights", node.input(1));
  body.set_outputs({body.add1(node.op(), {d_y, weights}, node.attributes())});
  return program_kernel(body, node, target);
}

}  // namespace

const OpDef& conv2d_nhwc_d_input_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d_nhwc_d_input";
    d.doc =
        "The adjoint of conv2d_nhwc in its image: what d_y, the cotangent of the result, means for x. Attributes are "
        "those of the conv2d_nhwc, with the image's size, which a stride leaves open. The compiler turns "
        "conv2d_d_input into it where that pays.";
    d.inputs = {{"d_y", "[n, oh, ow, k]"}, {"weights", "[r, s, c/groups, k]"}};
    d.outputs = {{"d_x", "[n, h, w, c]"}};
    d.attributes = convolution_attributes();
    d.attributes.push_back({"image", AttributeKind::integers, "h, w", {}});
    d.attributes.push_back(f32_result_attribute());
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution_d_input(w, true, w.view().integers("image")); };
    d.infer = infer_conv2d_nhwc_d_input;
    d.reference = reference_conv2d_nhwc_d_input;
    d.expand = expand_conv2d_nhwc_d_input;
    d.lowerings = {{"tile program", lower_conv2d_nhwc_d_input}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d_nhwc_d_input(node)); };
    d.samples = [] {
      const auto sample = [](Extents d_y, Extents weights, std::vector<int64_t> image, const Conv2dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["image"] = std::move(image);
        return Sample{{sample_uniform(std::move(d_y), 1), sample_uniform(std::move(weights), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 2, 2, 1}, {2, 2, 1, 1}, {3, 3}, {}),
          sample({2, 4, 5, 3}, {3, 2, 2, 3}, {4, 5}, {.pads = {1, 0, 1, 1}}),
          sample({1, 3, 5, 8}, {2, 3, 2, 8}, {5, 4}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 2, 2, 2}, {2, 2, 2, 2}, {6, 5}, {.strides = {2, 3}, .dilations = {2, 1}}),
          sample({2, 2, 3, 3}, {1, 1, 2, 3}, {3, 5}, {.strides = {2, 2}}),
          sample({1, 4, 4, 2}, {3, 3, 2, 2}, {7, 8}, {.strides = {2, 2}, .pads = {1, 1, 1, 1}})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d_nhwc_d_input(Graph& g, Value d_y, Value weights, int64_t h, int64_t w, const Conv2dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["image"] = std::vector<int64_t>{h, w};
  return g.add1(conv2d_nhwc_d_input_op(), {d_y, weights}, std::move(attributes));
}

}  // namespace gregale::ops
