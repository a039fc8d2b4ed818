// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "kernels/elementwise/elementwise.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

enum Operand { kParameter, kM, kV, kGradient, kLearningRate, kStep, kScale };

std::vector<Type> infer_adam_update(const NodeView& node) {
  check_real_float(node, kParameter);
  for (int64_t i : {kM, kV, kGradient}) check_same_type(node, kParameter, i);
  const Type& parameter = node.input(kParameter);
  for (int64_t i : {kLearningRate, kStep, kScale}) {
    const Type& t = node.input(i);
    GREGALE_CHECK(t.rank() == 0 && (t.dtype == DType::f32 || t.dtype == parameter.dtype), shape,
                  "[adam_update] {} is {}; expected a scalar of f32 or of the parameter's dtype",
                  node.op().inputs[static_cast<size_t>(i)].name, to_string(t));
  }
  for (const char* name : {"beta1", "beta2"})
    GREGALE_CHECK(node.real(name) >= 0 && node.real(name) < 1, invalid_argument,
                  "[adam_update] {} is {}; expected [0, 1)", name, node.real(name));
  for (const char* name : {"epsilon", "weight_decay"})
    GREGALE_CHECK(node.real(name) >= 0, invalid_argument, "[adam_update] {} is {}; it must be at least 0", name,
                  node.real(name));
  return {parameter, parameter, parameter};
}

void reference_adam_update(ReferenceContext& c) {
  const auto operand = [&](Operand i) -> const std::vector<double>& { return c.inputs[i].real(); };
  const double beta1 = c.node.real("beta1"), beta2 = c.node.real("beta2"), epsilon = c.node.real("epsilon"),
               decay = c.node.real("weight_decay");
  const double rate = operand(kLearningRate)[0], step = operand(kStep)[0], scale = operand(kScale)[0];
  const double bias1 = 1 - std::pow(beta1, step), bias2 = 1 - std::pow(beta2, step);
  const auto& p = operand(kParameter);
  for (size_t i = 0; i < p.size(); ++i) {
    const double gradient = scale * operand(kGradient)[i];
    const double m = beta1 * operand(kM)[i] + (1 - beta1) * gradient;
    const double v = beta2 * operand(kV)[i] + (1 - beta2) * gradient * gradient;
    c.outputs[0].real()[i] = p[i] - rate * (m / bias1 / (std::sqrt(v / bias2) + epsilon) + decay * p[i]);
    c.outputs[1].real()[i] = m;
    c.outputs[2].real()[i] = v;
  }
}

Result<Kernel> lower_adam_update(const NodeView& node, const Target& target) {
  for (const Type& t : node.inputs())
    if (t.dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  kernels::AdamStep fixed;
  fixed.beta1 = node.real("beta1");
  fixed.beta2 = node.real("beta2");
  fixed.epsilon = node.real("epsilon");
  fixed.weight_decay = node.real("weight_decay");
  Kernel kernel;
  kernel.run = [fixed, count = node.input(0).shape.elements(), isa = target.isa](const Launch& l) {
    const auto in = [&](Operand i) { return static_cast<const float*>(l.inputs[i]); };
    const auto out = [&](int i) { return static_cast<float*>(l.outputs[i]); };
    kernels::AdamStep step = fixed;
    step.learning_rate = *in(kLearningRate);
    step.step = *in(kStep);
    step.scale = *in(kScale);
    kernels::adam_update_f32(isa, l.team, step, count, in(kParameter), in(kM), in(kV), in(kGradient), out(0), out(1),
                             out(2));
  };
  kernel.in_place = {{0, kParameter}, {1, kM}, {2, kV}};
  return kernel;
}

std::vector<Sample> samples_adam_update() {
  std::vector<Sample> all;
  uint32_t stream = 0;
  const auto add = [&](const Extents& e, double step, double scale, double decay) {
    stream += 4;
    all.push_back(
        {.inputs = {sample_uniform(e, stream), sample_uniform(e, stream + 1), sample_uniform(e, stream + 2, 0.1, 1),
                    sample_uniform(e, stream + 3), Tensor::scalar(0.01), Tensor::scalar(step), Tensor::scalar(scale)},
         .attributes = {{"beta1", 0.9}, {"beta2", 0.99}, {"epsilon", 1e-8}, {"weight_decay", decay}},
         .check_gradient = false});
  };
  add({}, 1, 1, 0);
  add({3, 7}, 1, 0.5, 0);
  add({37}, 20, 1, 0.1);
  return all;
}

}  // namespace

const OpDef& adam_update_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "adam_update";
    d.doc =
        "One step of Adam with decoupled weight decay. With g = scale d_parameter: m' = beta1 m + (1 - beta1) g, v' = "
        "beta2 "
        "v + (1 - beta2) g^2, parameter' = parameter - learning_rate (m' / (1 - beta1^step) / (sqrt(v' / (1 - "
        "beta2^step)) "
        "+ epsilon) + weight_decay parameter). Loshchilov and Hutter, \"Decoupled weight decay regularization\", ICLR "
        "2019; Kingma and Ba, \"Adam\", ICLR 2015, where weight_decay is 0.";
    d.inputs = {{"parameter", "real float"},
                {"m", "first moment, of the parameter's type"},
                {"v", "second moment, of the parameter's type"},
                {"d_parameter", "gradient, of the parameter's type"},
                {"learning_rate", "scalar"},
                {"step", "scalar: 1 for the first step"},
                {"scale", "scalar: multiplies the gradient (clipping)"}};
    d.outputs = {{"parameter", "updated"}, {"m", "updated"}, {"v", "updated"}};
    d.attributes = {{"beta1", AttributeKind::real, "decay of the first moment", 0.9},
                    {"beta2", AttributeKind::real, "decay of the second moment", 0.999},
                    {"epsilon", AttributeKind::real, "added to the root of the second moment", 1e-8},
                    {"weight_decay", AttributeKind::real, "decoupled; 0 gives Adam", 0.0}};
    d.infer = infer_adam_update;
    d.reference = reference_adam_update;
    d.no_gradient = "an optimiser's step is not differentiated";
    d.lowerings = {{"f32", lower_adam_update}};
    d.cost = [](const NodeView& node) {
      Cost cost = default_cost(node, 0);
      cost.flops = 16 * static_cast<double>(node.input(0).shape.elements());
      return cost;
    };
    d.samples = samples_adam_update;
    return d;
  }();
  return op;
}

AdamResult adam_update(Graph& g, Value parameter, Value m, Value v, Value d_parameter, Value learning_rate, Value step,
                       Value scale, const AdamOptions& options) {
  const std::vector<Value> next = g.add(adam_update_op(), {parameter, m, v, d_parameter, learning_rate, step, scale},
                                        {{"beta1", options.beta1},
                                         {"beta2", options.beta2},
                                         {"epsilon", options.epsilon},
                                         {"weight_decay", options.weight_decay}});
  return {next[0], next[1], next[2]};
}

}  // namespace gregale::ops
