// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/list.hpp"
#include "ops/weights_gradient.hpp"

namespace gregale::ops {
namespace {

Shape weights_shape_conv2d_nhwc_d_weights(const NodeView& node) {
  const auto& size = node.integers("kernel");
  GREGALE_CHECK(size.size() == 2 && size[0] >= 1 && size[1] >= 1, invalid_argument,
                "[conv2d_nhwc_d_weights] kernel must hold a height and a width");
  const Dim& c = node.input(0).shape[3];
  const int64_t groups = node.integer("groups");
  GREGALE_CHECK(c.is_constant() && groups >= 1 && c.value() % groups == 0, shape,
                "[conv2d_nhwc_d_weights] {} groups do not divide {} channels", groups, c.to_string());
  return Shape{size[0], size[1], c.value() / groups, node.input(1).shape[3]};
}

tile::Conv2d problem_of_conv2d_nhwc_d_weights(const NodeView& node) {
  return convolution_problem(node, permuted(node.input(0).shape, kToChannelsFirst),
                             permuted(weights_shape_conv2d_nhwc_d_weights(node), kWeightsToFirst));
}

std::vector<Type> infer_conv2d_nhwc_d_weights(const NodeView& node) {
  check_convolution_operands(node);
  const Type &x = node.input(0), &d_y = node.input(1);
  const auto p = problem_of_conv2d_nhwc_d_weights(node);
  const Shape expected{x.shape[0], p.out_h(), p.out_w(), p.k};
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv2d_nhwc_d_weights] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(result_dtype(node), weights_shape_conv2d_nhwc_d_weights(node))};
}

void reference_conv2d_nhwc_d_weights(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &d_y = c.inputs[1].real();
  auto& d_weights = c.outputs[0].real();
  for_each_product_channels_last(problem_of_conv2d_nhwc_d_weights(c.node),
                                 [&](size_t ix, size_t iw, size_t iy) { d_weights[iw] += x[ix] * d_y[iy]; });
}

std::vector<Value> expand_conv2d_nhwc_d_weights(ExpandContext& c) {
  Graph& g = c.graph;
  const bool widen = c.node.boolean("f32_result");
  const auto operand = [&](size_t i) {
    const Value v = transpose(g, c.inputs[i], kToChannelsFirst);
    return widen ? cast(g, v, DType::f32) : v;
  };
  const auto& kernel = c.node.integers("kernel");
  const Value d = conv2d_d_weights(g, operand(0), operand(1), kernel[0], kernel[1], convolution_options(c.node));
  return {transpose(g, d, kWeightsToLast)};
}

Result<Kernel> lower_conv2d_nhwc_d_weights(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  return weights_gradient_kernel(node, target, problem_of_conv2d_nhwc_d_weights(node));
}

}  // namespace

const OpDef& conv2d_nhwc_d_weights_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d_nhwc_d_weights";
    d.doc =
        "The adjoint of conv2d_nhwc in its weights: what d_y, the cotangent of the result, means for them. Attributes "
        "are those of the conv2d_nhwc, with the kernel's size, which a stride leaves open. The order of the sum over "
        "pixels depends on the shapes alone. The compiler turns conv2d_d_weights into it where that pays.";
    d.inputs = {{"x", "[n, h, w, c]"}, {"d_y", "[n, oh, ow, k]"}};
    d.outputs = {{"d_weights", "[r, s, c/groups, k]"}};
    d.attributes = convolution_attributes();
    d.attributes.push_back({"kernel", AttributeKind::integers, "r, s", {}});
    d.attributes.push_back(f32_result_attribute());
    d.infer = infer_conv2d_nhwc_d_weights;
    d.reference = reference_conv2d_nhwc_d_weights;
    d.expand = expand_conv2d_nhwc_d_weights;
    d.lowerings = {{"bands", lower_conv2d_nhwc_d_weights}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d_nhwc_d_weights(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents d_y, std::vector<int64_t> kernel, const Conv2dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["kernel"] = std::move(kernel);
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(d_y), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 3, 3, 1}, {1, 2, 2, 1}, {2, 2}, {}),
          sample({2, 4, 5, 2}, {2, 4, 5, 3}, {3, 2}, {.pads = {1, 0, 1, 1}}),
          sample({1, 5, 4, 4}, {1, 3, 5, 2}, {2, 3}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 6, 5, 2}, {2, 2, 2, 2}, {2, 2}, {.strides = {2, 3}, .dilations = {2, 1}}),
          sample({3, 3, 5, 3}, {3, 2, 3, 2}, {1, 1}, {.strides = {2, 2}}),
          sample({2, 7, 8, 2}, {2, 4, 4, 2}, {3, 3}, {.strides = {2, 2}, .pads = {1, 1, 1, 1}})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d_nhwc_d_weights(Graph& g, Value x, Value d_y, int64_t r, int64_t s, const Conv2dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["kernel"] = std::vector<int64_t>{r, s};
  return g.add1(conv2d_nhwc_d_weights_op(), {x, d_y}, std::move(attributes));
}

}  // namespace gregale::ops
