// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "kernels/expression/expression_kernel.hpp"
#include "kernels/reduction/reduction.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_layer_norm(const NodeView& node) {
  const Type& x = node.input(0);
  check_real_float(node, 0);
  check_same_dtype(node, 0, 1);
  check_same_dtype(node, 0, 2);
  GREGALE_CHECK(x.rank() >= 1, shape, "[layer_norm] x is a scalar; it needs a last axis to normalise");
  const Shape last{x.shape[x.rank() - 1]};
  for (int64_t i : {1, 2})
    GREGALE_CHECK(node.input(i).shape == last, shape, "[layer_norm] {} is {}; the last extent of x is {}",
                  node.op().inputs[static_cast<size_t>(i)].name, to_string(node.input(i)), last[0].to_string());
  GREGALE_CHECK(node.real("epsilon") >= 0, invalid_argument, "[layer_norm] epsilon is {}; it must be at least 0",
                node.real("epsilon"));
  return {x};
}

void reference_layer_norm(ReferenceContext& c) {
  const auto &x = c.inputs[0].real(), &gamma = c.inputs[1].real(), &beta = c.inputs[2].real();
  auto& y = c.outputs[0].real();
  const double epsilon = c.node.real("epsilon");
  for_each_lane(c.inputs[0].extents, -1, [&](const Lane& lane) {
    const double n = static_cast<double>(lane.count);
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < lane.count; ++i) mean += x[lane.at(i)] / n;
    for (int64_t i = 0; i < lane.count; ++i) variance += (x[lane.at(i)] - mean) * (x[lane.at(i)] - mean) / n;
    const double scale = 1 / std::sqrt(variance + epsilon);
    for (int64_t i = 0; i < lane.count; ++i)
      y[lane.at(i)] = (x[lane.at(i)] - mean) * scale * gamma[static_cast<size_t>(i)] + beta[static_cast<size_t>(i)];
  });
}

Result<Kernel> lower_layer_norm(const NodeView& node, const Target& target) {
  if (node.input(0).dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  Kernel kernel;
  kernel.run = [s = axis_split(node.input(0), -1), epsilon = node.real("epsilon"), isa = target.isa](const Launch& l) {
    kernels::layer_norm_f32(isa, l.team, s.outer, s.count, epsilon, static_cast<const float*>(l.inputs[0]),
                            static_cast<const float*>(l.inputs[1]), static_cast<const float*>(l.inputs[2]),
                            static_cast<float*>(l.outputs[0]));
  };
  kernel.in_place = {{0, 0}};
  return kernel;
}

}  // namespace

const OpDef& layer_norm_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "layer_norm";
    d.doc =
        "(x - mean) / sqrt(variance + epsilon) * gamma + beta along the last axis, with the mean and the (biased) "
        "variance of that axis: Ba, Kiros and Hinton, \"Layer normalization\", 2016.";
    d.inputs = {{"x", "real float [..., n]"}, {"gamma", "[n]"}, {"beta", "[n]"}};
    d.outputs = {{"y", "of x's dtype and shape"}};
    d.attributes = {{"epsilon", AttributeKind::real, "added to the variance", 1e-5}};
    d.to_onnx = [](OnnxWriter& w) {
      w.same("LayerNormalization", {{"axis", int64_t{-1}}, {"epsilon", w.view().real("epsilon")}});
    };
    d.infer = infer_layer_norm;
    d.reference = reference_layer_norm;
    d.gradient = [](GradientContext& c) {
      const LayerNormGradient g =
          layer_norm_gradient(c.graph(), c.input(0), c.input(1), c.d_output(), c.view().real("epsilon"));
      c.set_d_input(0, g.d_x);
      c.set_d_input(1, g.d_gamma);
      c.set_d_input(2, g.d_beta);
    };
    d.expand = [](ExpandContext& c) {
      Graph& g = c.graph;
      const Value centred = sub(g, c.inputs[0], mean(g, c.inputs[0], {-1}, true));
      const Value variance = mean(g, square(g, centred), {-1}, true);
      const Value normal = mul(g, centred, rsqrt(g, add(g, variance, c.node.real("epsilon"))));
      return std::vector<Value>{add(g, mul(g, normal, c.inputs[1]), c.inputs[2])};
    };
    d.express = [](kernels::Expression& e, const NodeView& node, const std::vector<int32_t>& in) {
      using kernels::ExprOp;
      const Type& x = node.input(0);
      const auto share = e.constant(1 / static_cast<double>(x.shape[x.rank() - 1].value()));
      const auto mean = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum, in[0]), share);
      const auto centred = e.apply(ExprOp::sub, in[0], mean);
      const auto variance = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum_squares, centred), share);
      const auto scale =
          e.apply(ExprOp::reciprocal_sqrt, e.apply(ExprOp::add, variance, e.constant(node.real("epsilon"))));
      return e.apply(ExprOp::multiply_add, e.apply(ExprOp::mul, centred, scale), in[1], in[2]);
    };
    d.lowerings = {{"f32", lower_layer_norm}};
    d.cost = [](const NodeView& node) { return default_cost(node, 8); };
    d.samples = [] {
      const auto sample = [](Extents extents, uint32_t stream) {
        const int64_t n = extents.back();
        return Sample{.inputs = {sample_uniform(std::move(extents), stream), sample_uniform({n}, stream + 10, 0.5, 1.5),
                                 sample_uniform({n}, stream + 20)},
                      .attributes = {{"epsilon", 1e-3}}};
      };
      return std::vector<Sample>{sample({6}, 1), sample({3, 21}, 2), sample({2, 3, 4}, 3)};
    };
    return d;
  }();
  return op;
}

Value layer_norm(Graph& g, Value x, Value gamma, Value beta, double epsilon) {
  return g.add1(layer_norm_op(), {x, gamma, beta}, {{"epsilon", epsilon}});
}

}  // namespace gregale::ops
