// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/convolution3d.hpp"
#include "ops/list.hpp"
#include "ops/weights_gradient.hpp"

namespace gregale::ops {
namespace {

Shape weights_shape_conv3d_ndhwc_d_weights(const NodeView& node) {
  const auto& size = node.integers("kernel");
  GREGALE_CHECK(size.size() == 3 && std::all_of(size.begin(), size.end(), [](int64_t e) { return e >= 1; }),
                invalid_argument, "[conv3d_ndhwc_d_weights] kernel must hold a depth, a height and a width");
  const Dim& c = node.input(0).shape[4];
  const int64_t groups = node.integer("groups");
  GREGALE_CHECK(c.is_constant() && groups >= 1 && c.value() % groups == 0, shape,
                "[conv3d_ndhwc_d_weights] {} groups do not divide {} channels", groups, c.to_string());
  return Shape{size[0], size[1], size[2], c.value() / groups, node.input(1).shape[4]};
}

tile::Conv3d problem_of_conv3d_ndhwc_d_weights(const NodeView& node) {
  return convolution3d_problem(node, node.input(0).shape, weights_shape_conv3d_ndhwc_d_weights(node));
}

std::vector<Type> infer_conv3d_ndhwc_d_weights(const NodeView& node) {
  check_convolution3d_operands(node);
  const Type& d_y = node.input(1);
  const Shape expected = convolved(node.input(0).shape, problem_of_conv3d_ndhwc_d_weights(node));
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv3d_ndhwc_d_weights] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(result_dtype(node), weights_shape_conv3d_ndhwc_d_weights(node))};
}

void reference_conv3d_ndhwc_d_weights(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &d_y = c.inputs[1].real();
  auto& d_weights = c.outputs[0].real();
  for_each_product(problem_of_conv3d_ndhwc_d_weights(c.node),
                   [&](size_t ix, size_t iw, size_t iy) { d_weights[iw] += x[ix] * d_y[iy]; });
}

void gradient_conv3d_ndhwc_d_weights(GradientContext& c) {
  const auto options = convolution3d_options(c.view());
  const Shape x = c.type(c.input(0)).shape;
  c.set_d_input(0, conv3d_ndhwc_d_input(c.graph(), c.input(1), c.d_output(), {x[1].value(), x[2].value(), x[3].value()},
                                        options));
  c.set_d_input(1, conv3d_ndhwc(c.graph(), c.input(0), c.d_output(), options));
}

Result<Kernel> lower_conv3d_ndhwc_d_weights(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  return weights_gradient_kernel(node, target, problem_of_conv3d_ndhwc_d_weights(node));
}

}  // namespace

const OpDef& conv3d_ndhwc_d_weights_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv3d_ndhwc_d_weights";
    d.doc =
        "The adjoint of conv3d_ndhwc in its weights: what d_y, the cotangent of the result, means for them. Attributes "
        "are those of the conv3d_ndhwc, with the kernel's size, which a stride leaves open. The order of the sum over "
        "pixels depends on the shapes alone.";
    d.inputs = {{"x", "[n, d, h, w, c]"}, {"d_y", "[n, od, oh, ow, k]"}};
    d.outputs = {{"d_weights", "[t, r, s, c/groups, k]"}};
    d.attributes = convolution3d_attributes();
    d.attributes.push_back({"kernel", AttributeKind::integers, "t, r, s", {}});
    d.attributes.push_back(f32_result_attribute());
    d.infer = infer_conv3d_ndhwc_d_weights;
    d.reference = reference_conv3d_ndhwc_d_weights;
    d.gradient = gradient_conv3d_ndhwc_d_weights;
    d.lowerings = {{"bands", lower_conv3d_ndhwc_d_weights}};
    d.cost = [](const NodeView& node) { return convolution3d_cost(node, problem_of_conv3d_ndhwc_d_weights(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents d_y, std::vector<int64_t> kernel, const Conv3dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["kernel"] = std::move(kernel);
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(d_y), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 3, 3, 3, 1}, {1, 2, 2, 2, 1}, {2, 2, 2}, {}),
          sample({2, 3, 4, 3, 2}, {2, 3, 3, 3, 3}, {3, 2, 3}, {.pads = {1, 0, 1, 1, 0, 1}}),
          sample({1, 5, 4, 5, 4}, {1, 3, 4, 3, 8}, {2, 3, 2},
                 {.strides = {2, 1, 2}, .pads = {1, 1, 0, 0, 1, 1}, .groups = 2}),
          sample({1, 5, 6, 3, 2}, {1, 2, 2, 3, 2}, {2, 2, 1}, {.strides = {1, 2, 1}, .dilations = {3, 2, 1}}),
          sample({2, 2, 3, 3, 3}, {2, 2, 3, 3, 2}, {1, 1, 1}, {})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv3d_ndhwc_d_weights(Graph& g, Value x, Value d_y, std::vector<int64_t> kernel, const Conv3dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["kernel"] = std::move(kernel);
  return g.add1(conv3d_ndhwc_d_weights_op(), {x, d_y}, std::move(attributes));
}

}  // namespace gregale::ops
