// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <functional>

#include "gregale/ops.hpp"
#include "onnx/operators.hpp"
#include "onnx/quantized.hpp"

namespace gregale::onnx {
namespace {

/// The operands of a node, by what they are; an invalid Value where it is absent.
struct RecurrentOperands {
  Value x, w, r, b, lengths, h, c, p;
};
/// The product of x [steps, batch, input] by w, [steps, batch, directions * gates * hidden].
using InputProduct = std::function<Value(Graph& g, Value x, Value w)>;

/// Names of the format in ours, and which numbers of the lists of parameters they take.
struct KnownActivation {
  const char *onnx, *name;
  double alpha, beta;
  bool has_alpha, has_beta;
};
constexpr KnownActivation kActivations[] = {
    {"tanh", "tanh", 0, 0, false, false},
    {"sigmoid", "sigmoid", 0, 0, false, false},
    {"relu", "relu", 0, 0, false, false},
    {"affine", "affine", 1, 0, true, true},
    {"leakyrelu", "leaky_relu", 0.01, 0, true, false},
    {"thresholdedrelu", "thresholded_relu", 1, 0, true, false},
    {"scaledtanh", "scaled_tanh", 1, 1, true, true},
    {"hardsigmoid", "hard_sigmoid", 0.2, 0.5, true, true},
    {"elu", "elu", 1, 0, true, false},
    {"softsign", "softsign", 0, 0, false, false},
    {"softplus", "softplus", 0, 0, false, false},
};

void read_activations(const OnnxNode& n, ops::RecurrentOptions& options) {
  const std::vector<double> alphas = n.reals("activation_alpha", {}), betas = n.reals("activation_beta", {});
  size_t alpha = 0, beta = 0;  // lists hold numbers of those activations alone that take them
  for (std::string name : n.strings("activations", {})) {
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto* known =
        std::find_if(std::begin(kActivations), std::end(kActivations), [&](const auto& a) { return name == a.onnx; });
    if (known == std::end(kActivations)) n.fail(fmt::format("there is no activation '{}'", name));
    options.activations.emplace_back(known->name);
    options.alpha.push_back(known->has_alpha && alpha < alphas.size() ? alphas[alpha++] : known->alpha);
    options.beta.push_back(known->has_beta && beta < betas.size() ? betas[beta++] : known->beta);
  }
}

/// The layer of `gates` gates: steps first, or the batch first (attribute `layout`).
std::vector<Value> recurrent(OnnxNode& n, int64_t gates, RecurrentOperands o, const InputProduct& product) {
  Graph& g = n.graph();
  ops::RecurrentOptions options;
  options.direction = n.string("direction", "forward");
  for (char& c : options.direction) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  read_activations(n, options);
  options.clip = n.real("clip", 0);
  options.input_forget = gates == 4 && n.integer("input_forget", 0) != 0;
  options.reset_after = gates == 3 && n.integer("linear_before_reset", 0) != 0;
  const bool batch_first = n.integer("layout", 0) != 0;

  const Type x_type = g.type(o.x), w_type = g.type(o.w), r_type = g.type(o.r);
  if (x_type.rank() != 3 || w_type.rank() != 3 || r_type.rank() != 3)
    n.fail(fmt::format("X is {}, W {} and R {}; each needs three axes", to_string(x_type), to_string(w_type),
                       to_string(r_type)));
  const Extents x = x_type.shape.extents(), w = w_type.shape.extents(), r = r_type.shape.extents();
  const int64_t steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1], d = r[0], hidden = r[2];
  if (d != (options.direction == "bidirectional" ? 2 : 1))
    n.fail(fmt::format("R is {} for direction {}", to_string(r_type), options.direction));
  if (r[1] / gates != hidden || r[1] % gates != 0 || w != Extents{d, r[1], x[2]})
    n.fail(fmt::format("X is {}, W {} and R {}: they do not fit", to_string(x_type), to_string(w_type),
                       to_string(r_type)));
  if (n.integer("hidden_size", hidden) != hidden)
    n.fail(fmt::format("hidden_size is {}, and R {}", n.integer("hidden_size", hidden), to_string(r_type)));
  const DType dtype = x_type.dtype;
  const auto expect = [&](Value v, const Extents& e, const char* what) {
    if (g.type(v).shape != Shape(e))
      n.fail(fmt::format("{} is {}; its shape must be {}", what, to_string(g.type(v)), gregale::to_string(e)));
  };
  const auto zeros = [&](Extents e) { return g.constant(Tensor::full(dtype, std::move(e), 0)); };
  const Extents state{d, batch, hidden};
  const auto initial = [&](Value v, const char* what) {
    if (!v.valid()) return zeros(state);
    if (batch_first) {
      expect(v, {batch, d, hidden}, what);
      v = ops::transpose(g, v, {1, 0, 2});
    }
    expect(v, state, what);
    return v;
  };

  // One product for all steps.
  Value projected = batch_first ? ops::transpose(g, o.x, {1, 0, 2}) : o.x;
  projected = product(g, projected, o.w);
  Value candidate_bias;
  if (o.b.valid()) {
    expect(o.b, {d, 2 * r[1]}, "B");
    const Value of_x = ops::slice_axis(g, o.b, 1, 0, r[1]);
    Value of_h = ops::slice_axis(g, o.b, 1, r[1], 2 * r[1]);
    if (gates == 3) {
      candidate_bias = ops::slice_axis(g, of_h, 1, 2 * hidden, 3 * hidden);
      of_h = ops::concat(g, {ops::slice_axis(g, of_h, 1, 0, 2 * hidden), zeros({d, hidden})}, 1);
    }
    projected = ops::add(g, projected, ops::reshape(g, ops::add(g, of_x, of_h), Extents{d * r[1]}));
  }
  Value lengths;
  if (o.lengths.valid()) {
    expect(o.lengths, {batch}, "sequence_lens");
    lengths = g.type(o.lengths).dtype == DType::i64 ? o.lengths : ops::cast(g, o.lengths, DType::i64);
  } else {
    lengths = g.constant(Tensor::full(DType::i64, {batch}, static_cast<double>(steps)));
  }
  const Value h = initial(o.h, "initial_h");
  ops::RecurrentResult result;
  if (gates == 1) {
    result = ops::rnn_scan(g, projected, o.r, h, lengths, options);
  } else if (gates == 3) {
    if (!candidate_bias.valid()) candidate_bias = zeros({d, hidden});
    result = ops::gru_scan(g, projected, o.r, h, lengths, candidate_bias, options);
  } else {
    if (o.p.valid()) expect(o.p, {d, 3 * hidden}, "P");
    result = ops::lstm_scan(g, projected, o.r, h, lengths, initial(o.c, "initial_c"),
                            o.p.valid() ? o.p : zeros({d, 3 * hidden}), options);
  }
  std::vector<Value> results{result.y, result.h};
  if (gates == 4) results.push_back(result.c);
  if (batch_first) {
    results[0] = ops::transpose(g, results[0], {2, 0, 1, 3});
    for (size_t i = 1; i < results.size(); ++i) results[i] = ops::transpose(g, results[i], {1, 0, 2});
  }
  return results;
}

Value product_of_floats(Graph& g, Value x, Value w) {
  const Extents e = g.type(w).shape.extents();
  return ops::matmul(g, x, ops::reshape(g, w, Extents{e[0] * e[1], e[2]}), false, true);
}

RecurrentOperands operands_of(OnnxNode& n) {
  const auto optional = [&](int64_t i) { return n.has_input(i) ? n.input(i) : Value(); };
  return {n.input(0), n.input(1), n.input(2), optional(3), optional(4), optional(5), optional(6), optional(7)};
}

/// Weights of 8 bits, input `at` of a node, [direction, input, gate], as [direction, gate, input].
struct ByteWeights {
  Tensor integers;  ///< f32, less their zero point
  Tensor scale;     ///< f32 [direction, gate]
  /// What they stand for.
  Tensor reals() const {
    Tensor t = integers.clone();
    const int64_t inputs = t.extents()[2];
    for (int64_t i = 0; i < t.size(); ++i)
      t.as<float>()[static_cast<size_t>(i)] *= scale.as<float>()[static_cast<size_t>(i / inputs)];
    return t;
  }
};

ByteWeights byte_weights(OnnxNode& n, int64_t at, int64_t scale, int64_t zero_point) {
  const Extents e = n.extents(at);
  if (e.size() != 3 || (n.dtype(at) != DType::u8 && n.dtype(at) != DType::i8))
    n.fail(fmt::format("input {} is {}; it needs 8 bits and three axes", at, to_string(n.type(at))));
  const int64_t directions = e[0], inputs = e[1], gates = e[2];
  // One number for each direction, or for each of its gates.
  const auto numbers = [&](int64_t i) {
    std::vector<double> given = n.constant_reals(i), all;
    if (static_cast<int64_t>(given.size()) == directions * gates) return given;
    if (static_cast<int64_t>(given.size()) != directions)
      n.fail(fmt::format("input {} is {} for weights {}", i, to_string(n.type(i)), gregale::to_string(e)));
    for (const double x : given) all.insert(all.end(), static_cast<size_t>(gates), x);
    return all;
  };
  const std::vector<double> q = n.constant_reals(at), scales = numbers(scale);
  const std::vector<double> zeros = n.has_input(zero_point) ? numbers(zero_point) : std::vector<double>(scales.size());
  ByteWeights w{Tensor(DType::f32, {directions, gates, inputs}), Tensor(DType::f32, {directions, gates})};
  for (size_t row = 0; row < scales.size(); ++row) w.scale.as<float>()[row] = static_cast<float>(scales[row]);
  float* to = w.integers.as<float>().data();
  for (int64_t d = 0; d < directions; ++d)
    for (int64_t g = 0; g < gates; ++g)
      for (int64_t i = 0; i < inputs; ++i)
        *to++ = static_cast<float>(q[static_cast<size_t>((d * inputs + i) * gates + g)] -
                                   zeros[static_cast<size_t>(d * gates + g)]);
  return w;
}

/// com.microsoft: the layer's weights are bytes, and its input is quantised before its product; the state is not, so
/// that rounding errors do not add up over the steps.
std::vector<Value> lstm_of_bytes(OnnxNode& n) {
  Graph& graph = n.graph();
  const ByteWeights w = byte_weights(n, 1, 8, 9), r = byte_weights(n, 2, 10, 11);
  const auto optional = [&](int64_t i) { return n.has_input(i) ? n.input(i) : Value(); };
  const RecurrentOperands o{n.input(0),
                            graph.constant(w.integers),
                            graph.constant(r.reals()),
                            optional(3),
                            optional(4),
                            optional(5),
                            optional(6),
                            optional(7)};
  return recurrent(n, 4, o, [&](Graph& g, Value x, Value integers) {
    const DynamicallyQuantized q = dynamically_quantized(n, x);
    const Value a = ops::sub(g, ops::cast(g, q.integers, DType::f32), q.zero);
    const Value scale = g.constant(w.scale.reshaped({w.scale.size()}));
    return ops::mul(g, product_of_floats(g, a, integers), ops::mul(g, scale, q.scale));
  });
}

}  // namespace

std::vector<OnnxMapping> recurrent_mappings() {
  return {
      {"RNN", 1, [](OnnxNode& n) { return recurrent(n, 1, operands_of(n), product_of_floats); }},
      {"GRU", 1, [](OnnxNode& n) { return recurrent(n, 3, operands_of(n), product_of_floats); }},
      {"LSTM", 1, [](OnnxNode& n) { return recurrent(n, 4, operands_of(n), product_of_floats); }},
      {"DynamicQuantizeLSTM", 1, lstm_of_bytes, std::numeric_limits<int64_t>::max(), "com.microsoft"},
  };
}

}  // namespace gregale::onnx
