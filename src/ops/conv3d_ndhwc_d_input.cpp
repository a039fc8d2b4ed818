// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/convolution3d.hpp"
#include "ops/list.hpp"
#include "ops/onnx_convolution.hpp"
#include "ops/program_kernel.hpp"

namespace gregale::ops {
namespace {

Shape x_shape_conv3d_ndhwc_d_input(const NodeView& node) {
  const auto& size = node.integers("volume");
  GREGALE_CHECK(size.size() == 3 && std::all_of(size.begin(), size.end(), [](int64_t e) { return e >= 0; }),
                invalid_argument, "[conv3d_ndhwc_d_input] volume must hold a depth, a height and a width");
  const Dim& c = node.input(1).shape[3];
  const int64_t groups = node.integer("groups");
  int64_t channels = 0;
  GREGALE_CHECK(c.is_constant() && groups >= 1 && !__builtin_mul_overflow(c.value(), groups, &channels), shape,
                "[conv3d_ndhwc_d_input] {} channels a group in {} groups", c.to_string(), groups);
  return Shape{node.input(0).shape[0], size[0], size[1], size[2], channels};
}

tile::Conv3d problem_of_conv3d_ndhwc_d_input(const NodeView& node) {
  return convolution3d_problem(node, x_shape_conv3d_ndhwc_d_input(node), node.input(1).shape);
}

std::vector<Type> infer_conv3d_ndhwc_d_input(const NodeView& node) {
  check_convolution3d_operands(node);
  const Type& d_y = node.input(0);
  const Shape x = x_shape_conv3d_ndhwc_d_input(node), expected = convolved(x, problem_of_conv3d_ndhwc_d_input(node));
  GREGALE_CHECK(d_y.shape == expected, shape, "[conv3d_ndhwc_d_input] d_y is {}; expected {}", to_string(d_y),
                to_string(Type(d_y.dtype, expected)));
  return {Type(result_dtype(node), x)};
}

void reference_conv3d_ndhwc_d_input(ReferenceContext& c) {
  const auto &d_y = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& d_x = c.outputs[0].real();
  for_each_product(problem_of_conv3d_ndhwc_d_input(c.node),
                   [&](size_t ix, size_t iw, size_t iy) { d_x[ix] += d_y[iy] * weights[iw]; });
}

void gradient_conv3d_ndhwc_d_input(GradientContext& c) {
  const auto options = convolution3d_options(c.view());
  const Shape weights = c.type(c.input(1)).shape;
  c.set_d_input(0, conv3d_ndhwc(c.graph(), c.d_output(), c.input(1), options));
  c.set_d_input(1, conv3d_ndhwc_d_weights(c.graph(), c.d_output(), c.input(0),
                                          {weights[0].value(), weights[1].value(), weights[2].value()}, options));
}

Result<Kernel> lower_conv3d_ndhwc_d_input(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  Graph body("conv3d_ndhwc_d_input");
  const Value d_y = body.add_input("d_y", node.input(0)), weights = body.add_input("weights", node.input(1));
  body.set_outputs({body.add1(node.op(), {d_y, weights}, node.attributes())});
  return program_kernel(body, node, target);
}

}  // namespace

const OpDef& conv3d_ndhwc_d_input_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv3d_ndhwc_d_input";
    d.doc =
        "The adjoint of conv3d_ndhwc in its volume: what d_y, the cotangent of the result, means for x. Attributes are "
        "those of the conv3d_ndhwc, with the volume's size, which a stride leaves open.";
    d.inputs = {{"d_y", "[n, od, oh, ow, k]"}, {"weights", "[t, r, s, c/groups, k]"}};
    d.outputs = {{"d_x", "[n, d, h, w, c]"}};
    d.attributes = convolution3d_attributes();
    d.attributes.push_back({"volume", AttributeKind::integers, "d, h, w", {}});
    d.attributes.push_back(f32_result_attribute());
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution_d_input(w, true, w.view().integers("volume")); };
    d.infer = infer_conv3d_ndhwc_d_input;
    d.reference = reference_conv3d_ndhwc_d_input;
    d.gradient = gradient_conv3d_ndhwc_d_input;
    d.lowerings = {{"tile program", lower_conv3d_ndhwc_d_input}};
    d.cost = [](const NodeView& node) { return convolution3d_cost(node, problem_of_conv3d_ndhwc_d_input(node)); };
    d.samples = [] {
      const auto sample = [](Extents d_y, Extents weights, std::vector<int64_t> volume, const Conv3dOptions& options) {
        Attributes attributes = to_attributes(options);
        attributes["volume"] = std::move(volume);
        return Sample{{sample_uniform(std::move(d_y), 1), sample_uniform(std::move(weights), 2)}, attributes};
      };
      return std::vector<Sample>{
          sample({1, 2, 2, 2, 1}, {2, 2, 2, 1, 1}, {3, 3, 3}, {}),
          sample({2, 3, 3, 3, 3}, {3, 2, 3, 2, 3}, {3, 4, 3}, {.pads = {1, 0, 1, 1, 0, 1}}),
          sample({1, 3, 4, 3, 8}, {2, 3, 2, 2, 8}, {5, 4, 5},
                 {.strides = {2, 1, 2}, .pads = {1, 1, 0, 0, 1, 1}, .groups = 2}),
          sample({1, 2, 2, 3, 2}, {2, 2, 1, 2, 2}, {5, 6, 3}, {.strides = {1, 2, 1}, .dilations = {3, 2, 1}}),
          sample({1, 2, 2, 2, 3}, {1, 1, 1, 2, 3}, {3, 3, 4}, {.strides = {2, 2, 2}})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv3d_ndhwc_d_input(Graph& g, Value d_y, Value weights, std::vector<int64_t> volume,
                           const Conv3dOptions& options) {
  Attributes attributes = to_attributes(options);
  attributes["volume"] = std::move(volume);
  return g.add1(conv3d_ndhwc_d_input_op(), {d_y, weights}, std::move(attributes));
}

}  // namespace gregale::ops
