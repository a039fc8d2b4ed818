// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "kernels/random/random.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/random.hpp"

namespace gregale::ops {
namespace {

std::vector<Type> infer_dropout(const NodeView& node) {
  check_real_float(node, 0);
  check_key(node, 1);
  const double rate = node.real("rate");
  GREGALE_CHECK(rate >= 0 && rate < 1, invalid_argument, "[dropout] rate {} is outside [0, 1)", rate);
  return {node.input(0)};
}

void reference_dropout(ReferenceContext& c) {
  const RandomKey key = random_key(c.node, c.inputs[1].integer().data());
  const double rate = c.node.real("rate");
  const auto& x = c.inputs[0].real();
  auto& y = c.outputs[0].real();
  for (size_t i = 0; i < x.size(); ++i) y[i] = gregale::random_uniform(key, i) >= rate ? x[i] / (1 - rate) : 0;
}

Result<Kernel> make_dropout(const NodeView& node, const Target&) {
  if (!is_static(node)) return refuse(node, "shape is symbolic");
  if (node.input(0).dtype != DType::f32)
    return refuse(node, fmt::format("f32 needed, not {}", name_of(node.input(0).dtype)));
  Kernel k;
  k.in_place = {{0, 0}};
  k.run = [count = node.input(0).shape.elements(), rate = node.real("rate"),
           stream = static_cast<uint32_t>(node.integer("stream"))](const Launch& l) {
    const auto* key = static_cast<const int64_t*>(l.inputs[1]);
    kernels::dropout_f32(l.team, {static_cast<uint64_t>(key[0]), static_cast<uint32_t>(key[1]), stream}, rate, count,
                         static_cast<const float*>(l.inputs[0]), static_cast<float*>(l.outputs[0]));
  };
  return k;
}

}  // namespace

const OpDef& dropout_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "dropout";
    d.doc =
        "x with elements zeroed with probability `rate` and the others divided by 1 - rate (Srivastava et al., JMLR "
        "15, "
        "2014). Element i is kept where draw i of random_uniform with this key and stream is at least rate: the same "
        "elements in the forward pass and in its gradient, without a stored mask.";
    d.inputs = {{"x", "real floats"}, key_operand()};
    d.outputs = {{"y", "shape of x"}};
    d.attributes = {{"rate", AttributeKind::real, "probability of a zero, in [0, 1)", {}}, stream_attribute()};
    d.infer = infer_dropout;
    d.reference = reference_dropout;
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, dropout(c.graph(), c.d_output(), c.input(1), c.view().real("rate"), c.view().integer("stream")));
    };
    d.lowerings = {{"counter", make_dropout}};
    d.cost = [](const NodeView& node) { return default_cost(node, 12); };
    d.samples = [] {
      const auto sample = [](Extents extents, std::vector<int64_t> key, double rate, int64_t stream) {
        return Sample{{sample_uniform(std::move(extents), 1), Tensor::from(key, {2})},
                      {{"rate", rate}, {"stream", stream}}};
      };
      return std::vector<Sample>{sample({11}, {1, 2}, 0.3, 0), sample({3, 4}, {-7, 1}, 0.5, 4000000000),
                                 sample({2, 3}, {0, 0}, 0.0, 5), sample({0}, {0, 0}, 0.9, 1)};
    };
    return d;
  }();
  return op;
}

Value dropout(Graph& g, Value x, Value key, double rate, int64_t stream) {
  return g.add1(dropout_op(), {x, key}, {{"rate", rate}, {"stream", stream}});
}

}  // namespace gregale::ops
