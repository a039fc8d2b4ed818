// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/convolution.hpp"
#include "ops/onnx_convolution.hpp"

namespace gregale::ops {
namespace {

tile::Conv2d problem_of_conv2d(const NodeView& node) {
  return convolution_problem(node, node.input(0).shape, node.input(1).shape);
}

std::vector<Type> infer_conv2d(const NodeView& node) {
  check_convolution_operands(node);
  const auto p = problem_of_conv2d(node);
  return {Type(node.input(0).dtype, Shape{node.input(0).shape[0], p.k, p.out_h(), p.out_w()})};
}

void reference_conv2d(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &weights = c.inputs[1].real();
  auto& y = c.outputs[0].real();
  for_each_product(problem_of_conv2d(c.node), [&](size_t ix, size_t iw, size_t iy) { y[iy] += x[ix] * weights[iw]; });
}

void gradient_conv2d(GradientContext& c) {
  const auto options = convolution_options(c.view());
  const Shape x = c.type(c.input(0)).shape, weights = c.type(c.input(1)).shape;
  c.set_d_input(0, conv2d_d_input(c.graph(), c.d_output(), c.input(1), x[2].value(), x[3].value(), options));
  c.set_d_input(1,
                conv2d_d_weights(c.graph(), c.input(0), c.d_output(), weights[2].value(), weights[3].value(), options));
}

Result<Kernel> make_conv2d(const NodeView& node, const Target& target) {
  if (auto error = refuse_convolution(node)) return *error;
  auto program = std::make_shared<const tile::Conv2dForward>(*kernel_cache(target), problem_of_conv2d(node));
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

const OpDef& conv2d_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "conv2d";
    d.doc =
        "Two-dimensional convolution as the field has it (cross-correlation; the kernel is not flipped), as ONNX Conv: "
        "y[n, k, i, j] = sum over c, r, s of x[n, c, i stride + r dilation - pad, ...] weights[k, c, r, s], c running "
        "over "
        "the channels of k's group. The batch may be symbolic.";
    d.inputs = {{"x", "[n, c, h, w]"}, {"weights", "[k, c/groups, r, s]"}};
    d.outputs = {{"y", "[n, k, oh, ow], oh = floor((h + top + bottom - dilation (r - 1) - 1) / stride) + 1"}};
    d.attributes = convolution_attributes();
    d.to_onnx = [](OnnxWriter& w) { write_onnx_convolution(w, false); };
    d.infer = infer_conv2d;
    d.reference = reference_conv2d;
    d.gradient = gradient_conv2d;
    d.lowerings = {{"taps", make_conv2d}};
    d.cost = [](const NodeView& node) { return convolution_cost(node, problem_of_conv2d(node)); };
    d.samples = [] {
      const auto sample = [](Extents x, Extents weights, const Conv2dOptions& options) {
        return Sample{{sample_uniform(std::move(x), 1), sample_uniform(std::move(weights), 2)}, to_attributes(options)};
      };
      return std::vector<Sample>{
          sample({1, 1, 3, 3}, {1, 1, 2, 2}, {}), sample({2, 2, 4, 5}, {3, 2, 3, 2}, {.pads = {1, 0, 1, 1}}),
          sample({1, 4, 5, 4}, {2, 2, 2, 3}, {.strides = {2, 1}, .pads = {0, 1, 1, 2}, .groups = 2}),
          sample({2, 2, 6, 5}, {2, 1, 2, 2}, {.strides = {2, 3}, .dilations = {2, 1}, .groups = 2}),
          sample({1, 3, 2, 2}, {2, 3, 1, 1}, {})};
    };
    d.tolerance_eps = 32;
    return d;
  }();
  return op;
}

Value conv2d(Graph& g, Value x, Value weights, const Conv2dOptions& options) {
  return g.add1(conv2d_op(), {x, weights}, to_attributes(options));
}

}  // namespace gregale::ops
