// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

Shape weights_shape_conv2d_d_weights(const NodeView& node) {
  const auto& size = node.integers("kernel");
  GREGALE_CHECK(size.size() == 2 && size[0] >= 1 && size[1] >= 1, invalid_argument,
                "[conv2d_d_weights] kernel must hold a height and a width");
  const Dim& c = node.input(0).shape[1];
  const int64_t groups = node.integer("groups");
  GREGALE_CHECK(c.is_constant() && groups >= 1 && c.value() % groups == 0, shape,
                "[conv2d_d_weights] {} groups do not divide {} channels", groups, c.to_string());
  return Shape{node.input(1).shape[1], c.value() / groups, size[0], size[1]};
}

tile::Conv2d problem_of_conv2d_d_weights(const NodeView& node) {
  return convolution_problem(node, node.input(0).shape, weights_shape_conv2d_d_weights(node));
}

std::vector<Type> infer_conv2d_d_weights(const NodeView& node) {
  check_convolution_operands(node);
  const Type &x = node.input(0), &d_y = node.input(1);
  const Shape weights = weights_shape_conv2d_d_weights(node);
  const auto p = convolution_problem(node, x.shape, weights);
  const Shape expected{x.shape[0], p.k, p.out_h(), p.out_w()};
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv2d_d_weights] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(x.dtype, weights)};
}

void reference_conv2d_d_weights(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &d_y = c.inputs[1].real();
  auto& d_weights = c.outputs[0].real();
  for_each_product(problem_of_conv2d_d_weights(c.node),
                   [&](size_t ix, size_t iw, size_t iy) { d_weights[iw] += x[ix] * d_y[iy]; });
}

void gradient_conv2d_d_weights(GradientContext& c) {
  const auto options = convolution_options(c.view());
  const Shape x = c.type(c.input(0)).shape;
  c.set_d_input(0, conv2d_d_input(c.graph(), c.input(1), c.d_output(), x[2].value(), x[3].value(), options));
  c.set_d_input(1, conv2d(c.graph(), c.input(0), c.d_output(), options));
}

Result<Kernel> make_conv2d_d_weights(const NodeView& node, const Target& target) {
  if (auto error = refuse_convolution(node)) return *error;
  auto program = std::make_shared<const tile::Conv2dAdjoint>(*kernel_cache(target), problem_of_conv2d_d_weights(node),
                                                             tile::Conv2dAdjoint::Of::weights);
  Kernel k;
  k.scratch_bytes = program->scratch_bytes();
  k.thread_scratch_bytes = program->thread_scratch_bytes();
  k.run = [program](const Launch& l) {
    program->run(l.team, static_cast<const float*>(l.inputs[0]), static_cast<const float*>(l.inputs[1]),
                 static_cast<float*>(l.outputs[0]), l.scratch, l.thread_scratch);
  };
  return k;
}

}  // namespace

const OpDef& conv2d_d_weights_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d_d_weights";
    d.doc =
        "The adjoint of conv2d in its weights: what d_y, the cotangent of the result, means for them. Attributes are "
        "those "
        "of the conv2d, with the kernel's size, which a stride leaves open. The batch is summed in order.";
    d.inputs = {{"x", "[n, c, h, w]"}, {"d_y", "[n, k, oh, ow]"}};
    d.outputs = {{"d_weights", "[k, c/groups, r, s]"}};
    d.attributes = convolution_attributes();
    d.attributes.push_back({"kernel", AttributeKind::integers, "r, s", {}});
    d.infer = infer_conv2d_d_weights;
    d.reference = reference_conv2d_d_weights;
    d.gradient = gradient_conv2d_d_weights;
    d.lowerings = {{"patches", make_conv2d_d_weights}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d_d_weights(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents d_y, std::vector<int64_t> kernel, const Conv2dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["kernel"] = std::move(kernel);
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(d_y), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 1, 3, 3}, {1, 1, 2, 2}, {2, 2}, {}),
          sample({2, 2, 4, 5}, {2, 3, 4, 5}, {3, 2}, {.pads = {1, 0, 1, 1}}),
          sample({1, 4, 5, 4}, {1, 2, 3, 5}, {2, 3}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 2, 6, 5}, {2, 2, 2, 2}, {2, 2}, {.strides = {2, 3}, .dilations = {2, 1}, .groups = 2})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d_d_weights(Graph& g, Value x, Value d_y, int64_t r, int64_t s, const Conv2dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["kernel"] = std::vector<int64_t>{r, s};
  return g.add1(conv2d_d_weights_op(), {x, d_y}, std::move(attributes));
}

}  // namespace gregale::ops
