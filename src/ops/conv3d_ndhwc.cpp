// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/convolution3d.hpp"
#include "ops/list.hpp"
#include "ops/onnx_convolution.hpp"
#include "ops/program_kernel.hpp"

namespace gregale::ops {
namespace {

tile::Conv3d problem_of_conv3d_ndhwc(const NodeView& node) {
  return convolution3d_problem(node, node.input(0).shape, node.input(1).shape);
}

std::vector<Type> infer_conv3d_ndhwc(const NodeView& node) {
  check_convolution3d_operands(node);
  return {Type(result_dtype(node), convolved(node.input(0).shape, problem_of_conv3d_ndhwc(node)))};
}

void reference_conv3d_ndhwc(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& y = c.outputs[0].real();
  for_each_product(problem_of_conv3d_ndhwc(c.node),
                   [&](size_t ix, size_t iw, size_t iy) { y[iy] += x[ix] * weights[iw]; });
}

void gradient_conv3d_ndhwc(GradientContext& c) {
  const auto options = convolution3d_options(c.view());
  const Shape x = c.type(c.input(0)).shape, weights = c.type(c.input(1)).shape;
  c.set_d_input(0, conv3d_ndhwc_d_input(c.graph(), c.d_output(), c.input(1), {x[1].value(), x[2].value(), x[3].value()},
                                        options));
  c.set_d_input(1, conv3d_ndhwc_d_weights(c.graph(), c.input(0), c.d_output(),
                                          {weights[0].value(), weights[1].value(), weights[2].value()}, options));
}

Result<Kernel> lower_conv3d_ndhwc(const NodeView& node, const Target& target) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  Graph body("conv3d_ndhwc");
  const Value x = body.add_input("x", node.input(0)), weights = body.add_input("weights", node.input(1));
  body.set_outputs({body.add1(node.op(), {x, weights}, node.attributes())});
  return program_kernel(body, node, target);
}

}  // namespace

const OpDef& conv3d_ndhwc_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv3d_ndhwc";
    d.doc =
        "Three-dimensional convolution of volumes whose channels are the last axis, as are the weights' output "
        "channels: "
        "y[n, o, i, j, k] = sum over t, r, s, c of x[n, o stride + t dilation - pad, ..., c] weights[t, r, s, c, k], c "
        "running over the channels of k's group. The batch may be symbolic.";
    d.inputs = {{"x", "[n, d, h, w, c]"}, {"weights", "[t, r, s, c/groups, k]"}};
    d.outputs = {{"y", "[n, od, oh, ow, k], extents as conv3d's"}};
    d.attributes = convolution3d_attributes();
    d.attributes.push_back(f32_result_attribute());
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution(w, true); };
    d.infer = infer_conv3d_ndhwc;
    d.reference = reference_conv3d_ndhwc;
    d.gradient = gradient_conv3d_ndhwc;
    d.lowerings = {{"tile program", lower_conv3d_ndhwc}};
    d.cost = [](const NodeView& node) { return convolution3d_cost(node, problem_of_conv3d_ndhwc(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents weights, const Conv3dOptions& options) {
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(weights), 2)}, to_attributes(options)};
      };
      return std::vector<Sample>{
          sample({1, 3, 3, 3, 1}, {2, 2, 2, 1, 1}, {}),
          sample({2, 3, 4, 3, 2}, {3, 2, 3, 2, 3}, {.pads = {1, 0, 1, 1, 1, 1}}),
          sample({1, 5, 4, 5, 8}, {2, 3, 2, 4, 2}, {.strides = {2, 1, 2}, .pads = {1, 1, 0, 0, 1, 1}, .groups = 2}),
          sample({1, 5, 6, 3, 2}, {2, 2, 1, 2, 2}, {.strides = {1, 2, 1}, .dilations = {3, 2, 1}}),
          sample({2, 2, 3, 2, 3}, {1, 1, 1, 3, 2}, {})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv3d_ndhwc(Graph& g, Value x, Value weights, const Conv3dOptions& options) {
  return g.add1(conv3d_ndhwc_op(), {x, weights}, to_attributes(options));
}

}  // namespace gregale::ops
