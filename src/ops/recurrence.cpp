// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/recurrence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "ops/common.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

using kernels::Activation;
using kernels::RecurrentCell;

struct NamedActivation {
  const char* name;
  Activation kind;
  double alpha, beta;  ///< defaults
};
constexpr NamedActivation kActivations[] = {
    {"tanh", Activation::tanh, 0, 0},
    {"sigmoid", Activation::sigmoid, 0, 0},
    {"relu", Activation::relu, 0, 0},
    {"affine", Activation::affine, 1, 0},
    {"leaky_relu", Activation::leaky_relu, 0.01, 0},
    {"thresholded_relu", Activation::thresholded_relu, 1, 0},
    {"scaled_tanh", Activation::scaled_tanh, 1, 1},
    {"hard_sigmoid", Activation::hard_sigmoid, 0.2, 0.5},
    {"elu", Activation::elu, 1, 0},
    {"softsign", Activation::softsign, 0, 0},
    {"softplus", Activation::softplus, 0, 0},
};

/// An activation in f64.
struct Curve {
  Activation kind = Activation::tanh;
  double alpha = 0, beta = 0;

  double operator()(double x) const {
    switch (kind) {
      case Activation::tanh:
        return std::tanh(x);
      case Activation::sigmoid:
        return 1 / (1 + std::exp(-x));
      case Activation::relu:
        return x < 0 ? 0 : x;
      case Activation::affine:
        return alpha * x + beta;
      case Activation::leaky_relu:
        return x < 0 ? alpha * x : x;
      case Activation::thresholded_relu:
        return x < alpha ? 0 : x;
      case Activation::scaled_tanh:
        return alpha * std::tanh(beta * x);
      case Activation::hard_sigmoid:
        return std::clamp(alpha * x + beta, 0.0, 1.0);
      case Activation::elu:
        return x < 0 ? alpha * std::expm1(x) : x;
      case Activation::softsign:
        return x / (1 + std::abs(x));
      case Activation::softplus:
        return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    }
    return x;
  }
};

int64_t functions_of(RecurrentCell cell) {
  return cell == RecurrentCell::rnn ? 1 : cell == RecurrentCell::lstm ? 3 : 2;
}

std::string default_activations(RecurrentCell cell) {
  return cell == RecurrentCell::rnn ? "tanh" : cell == RecurrentCell::lstm ? "sigmoid tanh tanh" : "sigmoid tanh";
}

struct Layer {
  RecurrentCell cell;
  bool reset_after = false, input_forget = false;
  int64_t directions = 1;
  bool reverse[2] = {false, true};
  Curve curves[2][3];
  double clip = 0;
};

Layer layer_of(const NodeView& node, RecurrentCell cell) {
  const std::string& who = node.op().name;
  Layer layer{cell};
  if (cell == RecurrentCell::gru) layer.reset_after = node.boolean("reset_after");
  if (cell == RecurrentCell::lstm) layer.input_forget = node.boolean("input_forget");
  const std::string& direction = node.string("direction");
  GREGALE_CHECK(direction == "forward" || direction == "reverse" || direction == "bidirectional", invalid_argument,
                "[{}] direction '{}' is none of forward, reverse, bidirectional", who, direction);
  layer.directions = direction == "bidirectional" ? 2 : 1;
  layer.reverse[0] = direction == "reverse";
  layer.clip = node.real("clip");
  GREGALE_CHECK(layer.clip >= 0, invalid_argument, "[{}] clip is {}; it must be at least 0", who, layer.clip);

  // Names separated by spaces.
  std::string text = node.string("activations");
  if (text.empty()) text = default_activations(cell);
  std::vector<Curve> curves;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string name = text.substr(at, end - at);
    at = end + 1;
    const auto* known =
        std::find_if(std::begin(kActivations), std::end(kActivations), [&](const auto& a) { return name == a.name; });
    GREGALE_CHECK(known != std::end(kActivations), invalid_argument, "[{}] there is no activation '{}'", who, name);
    curves.push_back({known->kind, known->alpha, known->beta});
  }
  const auto functions = static_cast<size_t>(functions_of(cell)), directions = static_cast<size_t>(layer.directions);
  GREGALE_CHECK(curves.size() == functions || curves.size() == functions * directions, invalid_argument,
                "[{}] {} activations; {} are needed", who, curves.size(), functions * directions);
  for (const char* parameter : {"alpha", "beta"}) {
    const std::vector<double>& values = node.reals(parameter);
    GREGALE_CHECK(values.empty() || values.size() == curves.size(), invalid_argument,
                  "[{}] {} has {} numbers for {} activations", who, parameter, values.size(), curves.size());
    for (size_t i = 0; i < values.size(); ++i)
      (parameter == std::string("alpha") ? curves[i].alpha : curves[i].beta) = values[i];
  }
  for (size_t d = 0; d < directions; ++d)
    for (size_t i = 0; i < functions; ++i) layer.curves[d][i] = curves[(d * functions + i) % curves.size()];
  return layer;
}

int64_t hidden_of(const NodeView& node) { return node.input(kWeights).shape[2].value(); }

std::vector<Type> infer_recurrence(const NodeView& node, RecurrentCell cell) {
  const std::string& who = node.op().name;
  const Layer layer = layer_of(node, cell);
  check_real_float(node, kGates);
  for (int64_t i = 1; i < node.input_count(); ++i)
    if (i == kLengths) {
      check_dtype(node, i, DType::i64);
    } else {
      check_same_dtype(node, kGates, i);
    }
  const Type &gates = node.input(kGates), &weights = node.input(kWeights);
  GREGALE_CHECK(gates.rank() == 3 && weights.rank() == 3 && weights.shape.is_constant(), shape,
                "[{}] gates are {} and weights {}; each needs three axes, those of the weights constant", who,
                to_string(gates), to_string(weights));
  const Dim steps = gates.shape[0], batch = gates.shape[1];
  const int64_t hidden = hidden_of(node), d = layer.directions;
  const auto expect = [&](int64_t i, const Shape& shape) {
    GREGALE_CHECK(node.input(i).shape == shape, shape, "[{}] {} is {}; its shape must be {}", who,
                  node.op().inputs[static_cast<size_t>(i)].name, to_string(node.input(i)), to_string(shape));
  };
  const Shape state{d, batch, hidden};
  expect(kWeights, Shape{d, kernels::gates_of(cell) * hidden, hidden});
  expect(kGates, Shape{steps, batch, d * kernels::gates_of(cell) * hidden});
  expect(kInitialH, state);
  expect(kLengths, Shape{batch});
  if (cell == RecurrentCell::lstm) {
    expect(kInitialC, state);
    expect(kPeepholes, Shape{d, 3 * hidden});
  } else if (cell == RecurrentCell::gru) {
    expect(kBias, Shape{d, hidden});
  }
  std::vector<Type> types{Type(gates.dtype, Shape{steps, d, batch, hidden}), Type(gates.dtype, state)};
  if (cell == RecurrentCell::lstm) types.emplace_back(gates.dtype, state);
  return types;
}

void check_length(const NodeView& node, int64_t length, int64_t steps) {
  GREGALE_CHECK(length >= 0 && length <= steps, invalid_argument, "[{}] a sequence has {} steps of {}", node.op().name,
                length, steps);
}

/// One sequence in one direction.
struct Sequence {
  const Layer& layer;
  int64_t hidden;
  const Curve* curves;
  const double *weights, *bias, *peepholes;
  std::vector<double> h, c;

  double activate(int function, double x) const {
    return curves[function](layer.clip > 0 ? std::clamp(x, -layer.clip, layer.clip) : x);
  }
  /// The product for one unit of one gate.
  double product(int64_t gate, int64_t unit, const std::vector<double>& state) const {
    const double* row = weights + (gate * hidden + unit) * hidden;
    double sum = 0;
    for (int64_t i = 0; i < hidden; ++i) sum += row[i] * state[static_cast<size_t>(i)];
    return sum;
  }
  void step(const double* gates) {
    std::vector<double> next(h.size()), reset(h.size());
    const auto gate = [&](int64_t g, int64_t unit, const std::vector<double>& state) {
      return gates[g * hidden + unit] + product(g, unit, state);
    };
    if (layer.cell == RecurrentCell::gru)
      for (int64_t u = 0; u < hidden; ++u) {
        const auto i = static_cast<size_t>(u);
        reset[i] = activate(0, gate(1, u, h)) * (layer.reset_after ? 1 : h[i]);
      }
    for (int64_t u = 0; u < hidden; ++u) {
      const auto i = static_cast<size_t>(u);
      if (layer.cell == RecurrentCell::rnn) {
        next[i] = activate(0, gate(0, u, h));
      } else if (layer.cell == RecurrentCell::lstm) {
        const double input = activate(0, gate(0, u, h) + peepholes[u] * c[i]);
        const double forget =
            layer.input_forget ? 1 - input : activate(0, gate(2, u, h) + peepholes[2 * hidden + u] * c[i]);
        c[i] = forget * c[i] + input * activate(1, gate(3, u, h));
        next[i] = activate(0, gate(1, u, h) + peepholes[hidden + u] * c[i]) * curves[2](c[i]);
      } else {
        const double update = activate(0, gate(0, u, h));
        const double sum = layer.reset_after ? reset[i] * (product(2, u, h) + bias[u]) : product(2, u, reset) + bias[u];
        next[i] = (1 - update) * activate(1, gates[2 * hidden + u] + sum) + update * h[i];
      }
    }
    h = std::move(next);
  }
};

void reference_recurrence(ReferenceContext& c, RecurrentCell cell) {
  const Layer layer = layer_of(c.node, cell);
  const Extents e = c.inputs[kGates].extents;
  const int64_t steps = e[0], batch = e[1], hidden = hidden_of(c.node), rows = kernels::gates_of(cell) * hidden;
  const auto &gates = c.inputs[kGates].real(), &initial_h = c.inputs[kInitialH].real();
  const auto& lengths = c.inputs[kLengths].integer();
  for (int64_t d = 0; d < layer.directions; ++d)
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t at = (d * batch + b) * hidden, length = lengths[static_cast<size_t>(b)];
      check_length(c.node, length, steps);
      Sequence s{layer, hidden, layer.curves[d], c.inputs[kWeights].real().data() + d * rows * hidden, {}, {}, {}, {}};
      s.h.assign(initial_h.begin() + at, initial_h.begin() + at + hidden);
      if (cell == RecurrentCell::gru) s.bias = c.inputs[kBias].real().data() + d * hidden;
      if (cell == RecurrentCell::lstm) {
        const auto& initial_c = c.inputs[kInitialC].real();
        s.c.assign(initial_c.begin() + at, initial_c.begin() + at + hidden);
        s.peepholes = c.inputs[kPeepholes].real().data() + d * 3 * hidden;
      }
      for (int64_t i = 0; i < length; ++i) {
        const int64_t time = layer.reverse[d] ? length - 1 - i : i;
        s.step(gates.data() + ((time * batch + b) * layer.directions + d) * rows);
        std::copy(s.h.begin(), s.h.end(),
                  c.outputs[0].real().begin() + ((time * layer.directions + d) * batch + b) * hidden);
      }
      std::copy(s.h.begin(), s.h.end(), c.outputs[1].real().begin() + at);
      if (cell == RecurrentCell::lstm) std::copy(s.c.begin(), s.c.end(), c.outputs[2].real().begin() + at);
    }
}

Result<Kernel> lower_recurrence(const NodeView& node, const Target& target, RecurrentCell cell) {
  if (node.input(kGates).dtype != DType::f32) return refuse(node, "f32 needed");
  if (!is_static(node)) return refuse(node, "the shape is symbolic");
  const Layer layer = layer_of(node, cell);
  kernels::Recurrence r;
  r.cell = layer.reset_after ? RecurrentCell::gru_reset_after : cell;
  r.steps = node.input(kGates).shape[0].value();
  r.batch = node.input(kGates).shape[1].value();
  r.directions = layer.directions;
  r.hidden = hidden_of(node);
  r.clip = static_cast<float>(layer.clip);
  r.input_forget = layer.input_forget;
  for (int64_t d = 0; d < layer.directions; ++d) {
    r.reverse[d] = layer.reverse[d];
    for (int i = 0; i < 3; ++i) {
      const Curve& curve = layer.curves[d][i];
      r.activations[d][i] = {curve.kind, static_cast<float>(curve.alpha), static_cast<float>(curve.beta)};
    }
  }
  if (const Tensor* weights = node.constant(kWeights); weights != nullptr && kernels::takes_bytes(target, r.cell))
    if (auto scales = kernels::byte_scales(weights->as<float>(), r.hidden)) r.byte_scales = std::move(*scales);
  Kernel k;
  const int64_t packed_bytes = kernels::recurrent_weights_bytes(target.isa, r);
  const bool prepared = node.is_constant(kWeights) && packed_bytes > 0;
  k.scratch_bytes = kernels::recurrence_scratch_bytes(target.isa, r) + (prepared ? 0 : packed_bytes);
  if (prepared)
    k.prepared.push_back({kWeights, packed_bytes, [r, isa = target.isa](ThreadTeam& team, const void* src, void* dst) {
                            kernels::pack_recurrent_weights(isa, team, r, static_cast<const float*>(src),
                                                            static_cast<float*>(dst));
                          }});
  k.run = [r, prepared, packed_bytes, name = node.op().name, isa = target.isa](const Launch& l) {
    const auto operand = [&](int64_t i) { return static_cast<const float*>(l.inputs[i]); };
    const auto result = [&](int64_t i) { return static_cast<float*>(l.outputs[i]); };
    kernels::RecurrenceOperands o;
    o.lengths = static_cast<const int64_t*>(l.inputs[kLengths]);
    for (int64_t b = 0; b < r.batch; ++b)
      GREGALE_CHECK(o.lengths[b] >= 0 && o.lengths[b] <= r.steps, invalid_argument,
                    "[{}] a sequence has {} steps of {}", name, o.lengths[b], r.steps);
    std::byte* scratch = l.scratch;
    o.weights = operand(kWeights);
    if (!prepared) {
      auto* packed = reinterpret_cast<float*>(scratch);
      scratch += packed_bytes;
      kernels::pack_recurrent_weights(isa, l.team, r, o.weights, packed);
      o.weights = packed;
    }
    o.gates = operand(kGates);
    o.initial_h = operand(kInitialH);
    o.y = result(0);
    o.last_h = result(1);
    if (r.cell == RecurrentCell::lstm) {
      o.initial_c = operand(kInitialC);
      o.peepholes = operand(kPeepholes);
      o.last_c = result(2);
    } else if (r.cell != RecurrentCell::rnn) {
      o.bias = operand(kBias);
    }
    kernels::recurrence_f32(isa, l.team, r, o, scratch);
  };
  return k;
}

/// ONNX's layer has the product of the inputs in it: here it is that of the gates by a matrix which picks each
/// direction's own.
void write_onnx(OnnxWriter& w, RecurrentCell cell) {
  const NodeView& node = w.view();
  const Extents weights = w.extents(kWeights), gates = w.extents(kGates);
  const int64_t directions = weights[0], rows = weights[1], all = gates[2];
  Tensor pick(DType::f32, {directions, rows, all});
  for (int64_t d = 0; d < directions; ++d)
    for (int64_t r = 0; r < rows; ++r) pick.as<float>()[static_cast<size_t>((d * rows + r) * all + d * rows + r)] = 1;
  const DType dtype = node.input(kGates).dtype;
  OnnxWriter::Names in = {w.input(kGates),
                          w.constant(pick.cast(dtype)),
                          w.input(kWeights),
                          "",
                          w.add1("Cast", {w.input(kLengths)}, {{"to", onnx_element_type(DType::i32)}}),
                          w.input(kInitialH)};
  OnnxWriter::OnnxAttributeList list = {{"hidden_size", weights[2]}, {"direction", node.string("direction")}};
  if (!node.string("activations").empty()) {
    std::vector<std::string> names;
    std::istringstream words(node.string("activations"));
    for (std::string name; words >> name;) {  // leaky_relu is LeakyRelu there
      std::string camel;
      for (size_t i = 0; i < name.size(); ++i)
        if (name[i] != '_') camel += i == 0 || name[i - 1] == '_' ? static_cast<char>(std::toupper(name[i])) : name[i];
      names.push_back(camel);
    }
    const size_t once = names.size();
    const size_t needed = static_cast<size_t>(directions) * (cell == RecurrentCell::rnn    ? 1
                                                             : cell == RecurrentCell::lstm ? 3
                                                                                           : 2);
    while (names.size() < needed) names.push_back(names[names.size() - once]);
    list.emplace_back("activations", names);
  }
  if (!node.reals("alpha").empty()) list.emplace_back("activation_alpha", node.reals("alpha"));
  if (!node.reals("beta").empty()) list.emplace_back("activation_beta", node.reals("beta"));
  if (node.real("clip") != 0) list.emplace_back("clip", node.real("clip"));
  std::string type = "RNN";
  int results = 2;
  if (cell == RecurrentCell::lstm) {
    type = "LSTM";
    results = 3;
    in.push_back(w.input(kInitialC));
    in.push_back(w.input(kPeepholes));
    list.emplace_back("input_forget", int64_t{node.boolean("input_forget")});
  } else if (cell == RecurrentCell::gru) {
    type = "GRU";
    list.emplace_back("linear_before_reset", int64_t{node.boolean("reset_after")});
    // The candidate's bias of the state, among those that are zero.
    const int64_t hidden = weights[2];
    const std::string before = w.constant(Tensor(dtype, {directions, rows + 2 * hidden}));
    in[3] = w.add1("Concat", {before, w.input(kBias)}, {{"axis", int64_t{1}}});
  }
  const OnnxWriter::Names out = w.add(type, in, list, results);
  for (int i = 0; i < results; ++i) w.set_output(i, out[static_cast<size_t>(i)]);
}

}  // namespace

OpDef recurrent_op(std::string name, RecurrentCell cell) {
  OpDef d;
  d.name = std::move(name);
  const std::string gates = std::to_string(kernels::gates_of(cell));
  d.inputs = {{"gates", "real float [steps, batch, directions * " + gates +
                            " * hidden]: products of the inputs by their weights, with all biases added"},
              {"weights", "[directions, " + gates + " * hidden, hidden], of the state"},
              {"initial_h", "[directions, batch, hidden]"},
              {"lengths", "i64 [batch]: steps of each sequence; what comes later is not read, and 0 in y"}};
  d.outputs = {{"y", "[steps, directions, batch, hidden]: the state after each step"},
               {"h", "[directions, batch, hidden]: the state after the last step of each sequence"}};
  if (cell == RecurrentCell::lstm) {
    d.inputs.push_back({"initial_c", "[directions, batch, hidden]"});
    d.inputs.push_back({"peepholes", "[directions, 3 * hidden], of the input, output and forget gates"});
    d.outputs.push_back({"c", "[directions, batch, hidden]: the cell after the last step"});
  } else if (cell == RecurrentCell::gru) {
    d.inputs.push_back({"bias", "[directions, hidden], added to the product of the state for the candidate"});
  }
  d.attributes = {
      {"direction", AttributeKind::string, "forward, reverse or bidirectional", std::string("forward")},
      {"activations", AttributeKind::string,
       "names with spaces between them, of one direction or of each; empty: " + default_activations(cell),
       std::string()},
      {"alpha", AttributeKind::reals, "a number for each activation; empty: as ONNX has it", std::vector<double>{}},
      {"beta", AttributeKind::reals, "the same", std::vector<double>{}},
      {"clip", AttributeKind::real,
       "sums of gates are kept in [-clip, clip] before their activations (an lstm's cell is not); 0: as they are",
       0.0}};
  if (cell == RecurrentCell::lstm)
    d.attributes.push_back(
        {"input_forget", AttributeKind::boolean, "the forget gate is 1 minus the input gate", false});
  if (cell == RecurrentCell::gru)
    d.attributes.push_back({"reset_after", AttributeKind::boolean,
                            "the reset gate multiplies the product of the state for the candidate, not the state",
                            false});
  d.to_onnx = [cell](OnnxWriter& w) { write_onnx(w, cell); };
  d.infer = [cell](const NodeView& node) { return infer_recurrence(node, cell); };
  d.reference = [cell](ReferenceContext& c) { reference_recurrence(c, cell); };
  d.no_gradient = "its steps are not kept; a loop of elementary operators has a gradient";
  d.lowerings = {
      {"f32", [cell](const NodeView& node, const Target& target) { return lower_recurrence(node, target, cell); }}};
  d.cost = [](const NodeView& node) {
    Cost cost = default_cost(node, 0);
    cost.flops = static_cast<double>(node.input(kGates).shape.elements()) *
                 (2 * static_cast<double>(node.input(kWeights).shape[2].value()) + 16);
    return cost;
  };
  d.samples = [cell] { return recurrent_samples(cell); };
  d.tolerance_eps = 32;
  return d;
}

Attributes to_attributes(const RecurrentOptions& options, RecurrentCell cell) {
  std::string names;
  for (const std::string& name : options.activations) names += (names.empty() ? "" : " ") + name;
  Attributes a{{"direction", options.direction},
               {"activations", names},
               {"alpha", options.alpha},
               {"beta", options.beta},
               {"clip", options.clip}};
  if (cell == RecurrentCell::lstm) a["input_forget"] = options.input_forget;
  if (cell == RecurrentCell::gru) a["reset_after"] = options.reset_after;
  return a;
}

Sample recurrent_sample(RecurrentCell cell, int64_t steps, int64_t batch, int64_t hidden, uint32_t stream,
                        const RecurrentOptions& options) {
  const int64_t d = options.direction == "bidirectional" ? 2 : 1, gates = kernels::gates_of(cell);
  // Below what would make each step amplify the rounding of the one before.
  const double bound = std::min(0.5, 1.5 / std::sqrt(static_cast<double>(hidden)));
  std::vector<int64_t> lengths;
  for (int64_t b = 0; b < batch; ++b) lengths.push_back(std::max<int64_t>(0, steps - b));
  std::vector<Tensor> inputs{sample_uniform({steps, batch, d * gates * hidden}, stream),
                             sample_uniform({d, gates * hidden, hidden}, stream + 1, -bound, bound),
                             sample_uniform({d, batch, hidden}, stream + 2), Tensor::from(lengths, {batch})};
  if (cell == RecurrentCell::lstm) {
    inputs.push_back(sample_uniform({d, batch, hidden}, stream + 3));
    inputs.push_back(sample_uniform({d, 3 * hidden}, stream + 4));
  } else if (cell == RecurrentCell::gru) {
    inputs.push_back(sample_uniform({d, hidden}, stream + 3));
  }
  return {.inputs = std::move(inputs), .attributes = to_attributes(options, cell), .check_gradient = false};
}

std::vector<Sample> recurrent_samples(RecurrentCell cell) {
  // So many units that threads share a step.
  const int64_t wide = cell == RecurrentCell::rnn ? 364 : 212;
  std::vector<Sample> all{recurrent_sample(cell, 3, 1, 4, 1, {}),
                          recurrent_sample(cell, 4, 3, 5, 11, {.direction = "reverse"}),
                          recurrent_sample(cell, 2, 6, 37, 21, {.direction = "bidirectional", .clip = 0.5}),
                          recurrent_sample(cell, 3, 1, wide, 31, {}), recurrent_sample(cell, 0, 2, 3, 41, {})};
  uint32_t stream = 50;
  for (const NamedActivation& a : kActivations) {
    const auto functions = static_cast<size_t>(functions_of(cell));
    // Two activations that bound what follows, after the one that is looked at.
    std::vector<std::string> names(functions, "tanh");
    names[0] = a.name;
    all.push_back(recurrent_sample(cell, 2, 1, 3, stream += 10,
                                   {.activations = names,
                                    .alpha = std::vector<double>(functions, 0.3),
                                    .beta = std::vector<double>(functions, 0.7)}));
  }
  return all;
}

}  // namespace gregale::ops
