// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "kernels/reduction/reduction.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_layer_norm_gradient(const NodeView& node) {
  const Type &x = node.input(0), &gamma = node.input(1);
  check_real_float(node, 0);
  check_same_dtype(node, 0, 1);
  check_same_type(node, 0, 2);
  GREGALE_CHECK(x.rank() >= 1 && gamma.shape == Shape{x.shape[x.rank() - 1]}, shape,
                "[layer_norm_gradient] gamma is {}; x is {}", to_string(gamma), to_string(x));
  return {x, gamma, gamma};
}

void reference_layer_norm_gradient(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &gamma = c.inputs[1].real(), &d_y = c.inputs[2].real();
  auto &d_x = c.outputs[0].real(), &d_gamma = c.outputs[1].real(), &d_beta = c.outputs[2].real();
  const double epsilon = c.node.real("epsilon");
  for_each_lane(c.inputs[0].extents, -1, [&](const Lane& lane) {
    const double n = static_cast<double>(lane.count);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < lane.count; ++i) mean += x[lane.at(i)] / n;
    for (int64_t i = 0; i < lane.count; ++i) variance += (x[lane.at(i)] - mean) * (x[lane.at(i)] - mean) / n;
    const double scale = 1 / std::sqrt(variance + epsilon);
    double g_mean = 0, gx_mean = 0;
    for (int64_t i = 0; i < lane.count; ++i) {
      const size_t at = lane.at(i), column = static_cast<size_t>(i);
      const double normal = (x[at] - mean) * scale, g = d_y[at] * gamma[column];
      g_mean += g / n;
      gx_mean += g * normal / n;
      d_gamma[column] += d_y[at] * normal;
      d_beta[column] += d_y[at];
    }
    for (int64_t i = 0; i < lane.count; ++i) {
      const size_t at = lane.at(i);
      const double normal = (x[at] - mean) * scale, g = d_y[at] * gamma[static_cast<size_t>(i)];
      d_x[at] = scale * (g - g_mean - normal * gx_mean);
    }
  });
}

std::vector<Value> expand_layer_norm_gradient(ExpandContext& c) {
  Graph& g = c.graph;
  const Value x = c.inputs[0], gamma = c.inputs[1], d_y = c.inputs[2];
  const Value centred = sub(g, x, mean(g, x, {-1}, true));
  const Value scale = rsqrt(g, add(g, mean(g, square(g, centred), {-1}, true), c.node.real("epsilon")));
  const Value normal = mul(g, centred, scale);
  const Value d_normal = mul(g, d_y, gamma);
  const Value along = mul(g, normal, mean(g, mul(g, d_normal, normal), {-1}, true));
  const Value d_x = mul(g, scale, sub(g, sub(g, d_normal, mean(g, d_normal, {-1}, true)), along));
  return {d_x, sum_to_like(g, mul(g, d_y, normal), gamma), sum_to_like(g, d_y, gamma)};
}

Result<Kernel> lower_layer_norm_gradient(const NodeView& node, const Target& target) {
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const AxisView s = axis_split(node.input(0), -1);
  Kernel kernel;
  kernel.scratch_bytes = kernels::layer_norm_backward_scratch_bytes(s.outer, s.count);
  kernel.run = [s, epsilon = node.real("epsilon"), isa = target.isa](const Launch& l) {
    kernels::layer_norm_backward_f32(isa, l.team, s.outer, s.count, epsilon, static_cast<const float*>(l.inputs[0]),
                                     static_cast<const float*>(l.inputs[1]), static_cast<const float*>(l.inputs[2]),
                                     static_cast<float*>(l.outputs[0]), static_cast<float*>(l.outputs[1]),
                                     static_cast<float*>(l.outputs[2]), l.scratch);
  };
  return kernel;
}

}  // namespace

const OpDef& layer_norm_gradient_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "layer_norm_gradient";
    d.doc =
        "The cotangents of layer_norm's three operands from x, gamma and the cotangent d_y of the result. The "
        "statistics are computed again: reading x once more costs no more than reading kept statistics and x both.";
    d.inputs = {{"x", "layer_norm's operand [..., n]"}, {"gamma", "[n]"}, {"d_y", "of x's type"}};
    d.outputs = {{"d_x", "of x's type"}, {"d_gamma", "[n]"}, {"d_beta", "[n]"}};
    d.attributes = {{"epsilon", AttributeKind::real, "layer_norm's", 1e-5}};
    d.infer = infer_layer_norm_gradient;
    d.reference = reference_layer_norm_gradient;
    d.expand = expand_layer_norm_gradient;
    d.lowerings = {{"f32", lower_layer_norm_gradient}};
    d.cost = [](const NodeView& node) {
      Cost cost = default_cost(node, 0);
      cost.flops = 16 * static_cast<double>(node.input(0).shape.elements());
      return cost;
    };
    d.samples = [] {
      const auto sample = [](const Extents& extents, uint32_t stream) {
        return Sample{
            .inputs = {sample_uniform(extents, stream), sample_uniform({extents.back()}, stream + 10, 0.5, 1.5),
                       sample_uniform(extents, stream + 20)},
            .attributes = {{"epsilon", 1e-3}}};
      };
      return std::vector<Sample>{sample({6}, 1), sample({3, 21}, 2), sample({2, 3, 4}, 3)};
    };
    d.tolerance_eps = 32;  // differences of sums of n products
    return d;
  }();
  return op;
}

LayerNormGradient layer_norm_gradient(Graph& g, Value x, Value gamma, Value d_y, double epsilon) {
  const std::vector<Value> d = g.add(layer_norm_gradient_op(), {x, gamma, d_y}, {{"epsilon", epsilon}});
  return {d[0], d[1], d[2]};
}

}  // namespace gregale::ops
