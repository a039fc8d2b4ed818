// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/list.hpp"
#include "ops/onnx_convolution.hpp"

namespace gregale::ops {
namespace {

Shape x_shape_conv2d_d_input(const NodeView& node) {
  const auto& size = node.integers("image");
  GREGALE_CHECK(size.size() == 2 && size[0] >= 0 && size[1] >= 0, invalid_argument,
                "[conv2d_d_input] image must hold a height and a width");
  const Dim& c = node.input(1).shape[1];
  const int64_t groups = node.integer("groups");
  int64_t channels = 0;
  GREGALE_CHECK(c.is_constant() && groups >= 1 && !__builtin_mul_overflow(c.value(), groups, &channels), shape,
                "[conv2d_d_input] {} channels a group in {} groups", c.to_string(), groups);
  return Shape{node.input(0).shape[0], channels, size[0], size[1]};
}

tile::Conv2d problem_of_conv2d_d_input(const NodeView& node) {
  return convolution_problem(node, x_shape_conv2d_d_input(node), node.input(1).shape);
}

std::vector<Type> infer_conv2d_d_input(const NodeView& node) {
  check_convolution_operands(node);
  const Type& d_y = node.input(0);
  const Shape x = x_shape_conv2d_d_input(node);
  const auto p = convolution_problem(node, x, node.input(1).shape);
  const Shape expected{d_y.shape[0], p.k, p.out_h(), p.out_w()};
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv2d_d_input] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(d_y.dtype, x)};
}

void reference_conv2d_d_input(ReferenceContext& c) {
  const auto &d_y = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& d_x = c.outputs[0].real();
  for_each_product(problem_of_conv2d_d_input(c.node),
                   [&](size_t ix, size_t iw, size_t iy) { d_x[ix] += d_y[iy] * weights[iw]; });
}

void gradient_conv2d_d_input(GradientContext& c) {
  const auto options = convolution_options(c.view());
  const Shape weights = c.type(c.input(1)).shape;
  c.set_d_input(0, conv2d(c.graph(), c.d_output(), c.input(1), options));
  c.set_d_input(1,
                conv2d_d_weights(c.graph(), c.d_output(), c.input(0), weights[2].value(), weights[3].value(), options));
}

Result<Kernel> make_conv2d_d_input(const NodeView& node, const Target& target) {
  if (auto error = refuse_convolution(node)) return *error;
  auto program = std::make_shared<const tile::Conv2dAdjoint>(*kernel_cache(target), problem_of_conv2d_d_input(node),
                                                             tile::Conv2dAdjoint::Of::input);
  Kernel k;
  k.scratch_bytes = program->scratch_bytes();
  k.thread_scratch_bytes = program->thread_scratch_bytes();
  k.run = [program](const Launch& l) {
    program->run(l.team, static_cast<const float*>(l.inputs[1]), static_cast<const float*>(l.inputs[0]),
                 static_cast<float*>(l.outputs[0]), l.scratch, l.thread_scratch);
  };
  return k;
}

}  // namespace

const OpDef& conv2d_d_input_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d_d_input";
    d.doc =
        "The adjoint of conv2d in its image: what d_y, the cotangent of the result, means for x. Also known as "
        "transposed "
        "convolution. Attributes are those of the conv2d, with the image's size, which a stride leaves open.";
    d.inputs = {{"d_y", "[n, k, oh, ow]"}, {"weights", "[k, c/groups, r, s]"}};
    d.outputs = {{"d_x", "[n, c, h, w]"}};
    d.attributes = convolution_attributes();
    d.attributes.push_back({"image", AttributeKind::integers, "h, w", {}});
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution_d_input(w, false, w.view().integers("image")); };
    d.infer = infer_conv2d_d_input;
    d.reference = reference_conv2d_d_input;
    d.gradient = gradient_conv2d_d_input;
    d.lowerings = {{"patches", make_conv2d_d_input}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d_d_input(node)); };
    d.samples = [] {
      const auto sample = [](Extents d_y, Extents weights, std::vector<int64_t> image, const Conv2dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["image"] = std::move(image);
        return Sample{{sample_uniform(std::move(d_y), 1), sample_uniform(std::move(weights), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 1, 2, 2}, {1, 1, 2, 2}, {3, 3}, {}),
          sample({2, 3, 4, 5}, {3, 2, 3, 2}, {4, 5}, {.pads = {1, 0, 1, 1}}),
          sample({1, 2, 3, 5}, {2, 2, 2, 3}, {5, 4}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 2, 2, 2}, {2, 1, 2, 2}, {6, 5}, {.strides = {2, 3}, .dilations = {2, 1}, .groups = 2})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d_d_input(Graph& g, Value d_y, Value weights, int64_t h, int64_t w, const Conv2dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["image"] = std::vector<int64_t>{h, w};
  return g.add1(conv2d_d_input_op(), {d_y, weights}, std::move(attributes));
}

}  // namespace gregale::ops
