// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/recurrence.hpp"

namespace gregale::ops {
namespace {

constexpr auto kRnn = kernels::RecurrentCell::rnn;

}  // namespace

const OpDef& rnn_scan_op() {
  static const OpDef op = [] {
    OpDef d = recurrent_op("rnn_scan", kRnn);
    d.doc =
        "The recurrence of a simple recurrent layer: h = f(gates + weights h), one step after another, f being tanh "
        "unless "
        "activations say otherwise, as in ONNX RNN.";
    return d;
  }();
  return op;
}

RecurrentResult rnn_scan(Graph& g, Value gates, Value weights, Value h, Value lengths,
                         const RecurrentOptions& options) {
  const std::vector<Value> r = g.add(rnn_scan_op(), {gates, weights, h, lengths}, to_attributes(options, kRnn));
  return {r[0], r[1], {}};
}

}  // namespace gregale::ops
