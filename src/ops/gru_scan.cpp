// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/recurrence.hpp"

namespace gregale::ops {
namespace {

constexpr auto kGru = kernels::RecurrentCell::gru;

}  // namespace

const OpDef& gru_scan_op() {
  static const OpDef op = [] {
    OpDef d = recurrent_op("gru_scan", kGru);
    d.doc =
        "The recurrence of gated units (Cho et al., \"Learning phrase representations using RNN encoder-decoder\", "
        "2014) as in "
        "ONNX GRU, gates in the order update, reset, candidate: z = f(gates_z + weights_z h), r likewise, "
        "c = g(gates_c + weights_c (r h) + bias) or, with reset_after, g(gates_c + r (weights_c h + bias)); then "
        "h = (1 - z) c + z h. f is sigmoid and g tanh unless activations say otherwise.";
    d.samples = [] {
      std::vector<Sample> all = recurrent_samples(kGru);
      all.push_back(recurrent_sample(kGru, 4, 3, 21, 1, {.direction = "bidirectional", .reset_after = true}));
      all.push_back(recurrent_sample(kGru, 3, 1, 70, 11, {.clip = 0.7, .reset_after = true}));
      return all;
    };
    return d;
  }();
  return op;
}

RecurrentResult gru_scan(Graph& g, Value gates, Value weights, Value h, Value lengths, Value bias,
                         const RecurrentOptions& options) {
  const std::vector<Value> r = g.add(gru_scan_op(), {gates, weights, h, lengths, bias}, to_attributes(options, kGru));
  return {r[0], r[1], {}};
}

}  // namespace gregale::ops
