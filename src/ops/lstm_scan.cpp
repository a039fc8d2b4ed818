// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/recurrence.hpp"

namespace gregale::ops {
namespace {

constexpr auto kLstm = kernels::RecurrentCell::lstm;

}  // namespace

const OpDef& lstm_scan_op() {
  static const OpDef op = [] {
    OpDef d = recurrent_op("lstm_scan", kLstm);
    d.doc =
        "The recurrence of long short-term memory (Hochreiter and Schmidhuber, 1997; peepholes: Gers and Schmidhuber, "
        "2000) as "
        "in ONNX LSTM, gates in the order input, output, forget, cell: i = f(gates_i + weights_i h + p_i c), forget "
        "likewise, c = forget c + i g(gates_c + weights_c h), o = f(gates_o + weights_o h + p_o c), h = o h(c). f is "
        "sigmoid, g and h are tanh unless activations say otherwise.";
    d.samples = [] {
      std::vector<Sample> all = recurrent_samples(kLstm);
      all.push_back(recurrent_sample(kLstm, 4, 3, 21, 1, {.direction = "bidirectional", .input_forget = true}));
      return all;
    };
    return d;
  }();
  return op;
}

RecurrentResult lstm_scan(Graph& g, Value gates, Value weights, Value h, Value lengths, Value c, Value peepholes,
                          const RecurrentOptions& options) {
  const std::vector<Value> r =
      g.add(lstm_scan_op(), {gates, weights, h, lengths, c, peepholes}, to_attributes(options, kLstm));
  return {r[0], r[1], r[2]};
}

}  // namespace gregale::ops
