// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/emulator_graph.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "train/features.hpp"

namespace gregale::train {
namespace {

/// Values one forecast step is made from; invalid where the problem has no use for them.
struct StepInputs {
  Value stack, windows, forcing, base_last, base_mean, network_scale;
};

Value constant_like(Graph& g, const Tensor& per_variable) {
  // [variable] -> [variable, 1, 1], f32
  return g.constant(per_variable.cast(DType::f32).reshaped({per_variable.size(), 1, 1}));
}

Value broadcast_static(Graph& g, const Problem& p, int64_t batch) {
  const int64_t channels = p.static_channels.extent(0);
  return ops::broadcast_to(g, g.constant(p.static_channels), {batch, channels, p.rows(), p.columns()});
}

nn::SpherePadding padding_for(const Problem& p, int64_t patch, std::vector<double> signs) {
  nn::SpherePadding pad;
  const int64_t rows = (patch - p.rows() % patch) % patch;
  const int64_t columns = (patch - p.columns() % patch) % patch;
  pad.south = rows / 2;  // before row 0, whichever pole that is
  pad.north = rows - pad.south;
  pad.west = columns / 2;
  pad.east = columns - pad.west;
  pad.periodic = p.grid.periodic();
  pad.across_poles = p.grid.can_cross_pole(true) && p.grid.can_cross_pole(false);
  pad.pole_rows = p.grid.has_pole_row(true) && p.grid.has_pole_row(false);
  pad.signs = std::move(signs);
  return pad;
}

/// The last state and the means: what a gated head has coefficients for.
int64_t feature_count(const Problem& p) { return 1 + static_cast<int64_t>(p.means.size()); }

/// The network on its channels [batch, c, lat, lon]: padded to whole patches, run, cropped.
Value network(nn::Scope& scope, const Problem& p, const RunConfig::Model& model, Value channels,
              std::vector<double> signs) {
  Graph& g = scope.graph();
  const bool gated = model.head == "gated";
  const int64_t outputs = p.variable_count() * (gated ? 1 + feature_count(p) : 1);
  const bool correction = p.has_base() || gated;
  if (model.name == "mlp") {  // the same network at every grid point
    nn::MlpOptions options;
    options.width = model.width;
    options.depth = model.depth;
    options.out = outputs;
    options.dropout = model.dropout;
    options.zero_head = correction;
    const Value points = ops::transpose(g, channels, {0, 2, 3, 1});
    return ops::transpose(g, nn::mlp(scope, "net", points, options), {0, 3, 1, 2});
  }
  GREGALE_CHECK(model.name == "afno", usage, "model.name: no model is called '{}' (there are afno and mlp)",
                model.name);
  nn::AfnoOptions options;
  options.patch = model.patch;
  options.width = model.width;
  options.depth = model.depth;
  options.blocks = model.blocks;
  options.mlp_ratio = model.mlp_ratio;
  options.sparsity_threshold = model.sparsity_threshold;
  options.dropout = model.dropout;
  options.out = outputs;
  options.zero_head = correction;
  const nn::SpherePadding pad = padding_for(p, model.patch, std::move(signs));
  Value out = nn::afno(scope, "net", nn::pad_sphere(g, channels, pad), options);
  out = ops::slice_axis(g, out, 2, pad.south, pad.south + p.rows());
  return ops::slice_axis(g, out, 3, pad.west, pad.west + p.columns());
}

Value forecast_step(nn::Scope& scope, const Problem& p, const RunConfig::Model& model, const StepInputs& in) {
  Graph& g = scope.graph();
  const int64_t batch = g.type(in.stack).shape[0].value();
  const int64_t v = p.variable_count(), h = p.rows(), w = p.columns(), window = p.window();
  std::vector<double> component;  // how a channel of each variable changes beyond a pole
  for (const auto& variable : p.variables)
    component.push_back(variable.component == data::VectorComponent::none ? 1 : -1);

  std::vector<Value> channels, features;
  std::vector<double> signs;
  auto add_fields = [&](Value fields) {
    channels.push_back(model.input_scale == 1 ? fields : ops::mul(g, fields, model.input_scale));
    signs.insert(signs.end(), component.begin(), component.end());
  };
  auto state = [&](int64_t back) {
    const Value one = ops::slice_axis(g, in.stack, 1, window - 1 - back, window - back);
    return ops::reshape(g, one, {batch, v, h, w});
  };
  const Value last = state(0);
  add_fields(last);
  features.push_back(last);
  for (int64_t back = 1; back < p.history; ++back) add_fields(state(back));
  Value base_mean;
  if (in.windows.valid()) {
    const auto count = static_cast<int64_t>(p.mean_lengths().size());
    const Value flat = ops::reshape(g, in.stack, {batch, window, v * h * w});
    const Value means = ops::reshape(g, ops::matmul(g, in.windows, flat), {batch, count, v, h, w});
    auto mean = [&](int64_t i) { return ops::reshape(g, ops::slice_axis(g, means, 1, i, i + 1), {batch, v, h, w}); };
    for (int64_t i = 0; i < static_cast<int64_t>(p.means.size()); ++i) {
      features.push_back(mean(i));
      add_fields(features.back());
    }
    if (p.has_base_mean()) base_mean = mean(count - 1);
  }
  if (in.forcing.valid()) {
    channels.push_back(in.forcing);
    signs.insert(signs.end(), static_cast<size_t>(p.forcing_channels()), 1.0);
  }
  if (!p.static_channels.empty()) {
    channels.push_back(broadcast_static(g, p, batch));
    signs.insert(signs.end(), static_cast<size_t>(p.static_channels.extent(0)), 1.0);
  }

  const Value input = channels.size() == 1 ? channels[0] : ops::concat(g, channels, 1);
  Value out = network(scope, p, model, input, std::move(signs));
  Value gates;
  if (model.head == "gated") {
    const int64_t count = feature_count(p) * v;
    const Value maps = scope.parameter("maps", {count, h, w}, nn::Initialiser::zeros(), /*decay=*/false);
    gates = ops::mul(g, ops::add(g, ops::slice_axis(g, out, 1, v, v + count), maps), ops::concat(g, features, 1));
    gates = ops::sum(g, ops::reshape(g, gates, {batch, feature_count(p), v, h, w}), {1});
    out = ops::slice_axis(g, out, 1, 0, v);
  }
  out = ops::mul(g, out, constant_like(g, p.output_scale));
  if (gates.valid()) out = ops::add(g, out, gates);
  if (in.network_scale.valid()) out = ops::mul(g, out, in.network_scale);
  if (in.base_last.valid()) out = ops::add(g, out, ops::mul(g, in.base_last, last));
  if (in.base_mean.valid()) out = ops::add(g, out, ops::mul(g, in.base_mean, base_mean));
  return out;
}

Type field_type(const Problem& p, std::vector<Dim> leading, int64_t channels) {
  leading.insert(leading.end(), {Dim(channels), Dim(p.rows()), Dim(p.columns())});
  return {DType::f32, Shape(std::move(leading))};
}

/// Declares the inputs; `rollout` 0: one step, without that axis.
StepInputs declare_inputs(Graph& g, const Problem& p, int64_t batch, int64_t rollout) {
  const int64_t v = p.variable_count(), window = p.window();
  std::vector<Dim> steps{Dim(batch)};
  if (rollout > 0) steps.push_back(Dim(rollout));
  StepInputs in;
  in.stack = g.add_input("stack", field_type(p, {Dim(batch), Dim(window)}, v));
  if (!p.mean_lengths().empty()) {
    std::vector<Dim> dims = steps;
    dims.insert(dims.end(), {Dim(static_cast<int64_t>(p.mean_lengths().size())), Dim(window)});
    in.windows = g.add_input("windows", {DType::f32, Shape(std::move(dims))});
  }
  if (p.forcing_channels() > 0) in.forcing = g.add_input("forcing", field_type(p, steps, p.forcing_channels()));
  if (p.has_base()) in.base_last = g.add_input("base_last", field_type(p, {Dim(batch)}, v));
  if (p.has_base_mean()) in.base_mean = g.add_input("base_mean", field_type(p, {Dim(batch)}, v));
  return in;
}

/// Entry `r` of axis 1, that axis dropped.
Value step_of(Graph& g, Value v, int64_t r) {
  if (!v.valid()) return v;
  std::vector<Dim> dims = g.type(v).shape.dims();
  dims.erase(dims.begin() + 1);
  return ops::reshape(g, ops::slice_axis(g, v, 1, r, r + 1), Shape(std::move(dims)));
}

}  // namespace

Graph forecast_graph(const Problem& p, const RunConfig::Model& model, int64_t batch) {
  Graph g("forecast");
  StepInputs in = declare_inputs(g, p, batch, 0);
  in.network_scale = g.add_input("network_scale", {DType::f32, Shape{}});
  nn::Scope scope(g);
  const Value prediction = forecast_step(scope, p, model, in);
  g.set_outputs({prediction}, {"prediction"});
  return g;
}

std::vector<Type> forecast_graph_types(const Problem& p) {
  Graph g;
  declare_inputs(g, p, 1, 0);
  std::vector<Type> types;
  for (Value v : g.inputs()) types.push_back(g.type(v));
  types.emplace_back(DType::f32, Shape{});
  return types;
}

std::unique_ptr<LossGraph> loss_graph(const Problem& p, const RunConfig::Model& model, const std::string& loss_name,
                                      const Tensor& point_weights, int64_t batch, int64_t rollout, bool masked) {
  auto result = std::make_unique<LossGraph>();
  Graph& g = result->graph;
  const int64_t v = p.variable_count();
  StepInputs in = declare_inputs(g, p, batch, rollout);
  const Value truth = g.add_input("truth", field_type(p, {Dim(batch), Dim(rollout)}, v));
  Value mask;
  if (masked) mask = g.add_input("mask", field_type(p, {Dim(batch), Dim(rollout)}, v));
  const Value key = g.add_input("key", {DType::i64, {2}});
  result->scope = std::make_unique<nn::Scope>(g, key);

  const Value unmasked = g.constant(point_weights);

  Value total, stack = in.stack;
  for (int64_t r = 0; r < rollout; ++r) {
    StepInputs step = in;
    step.stack = stack;
    step.windows = step_of(g, in.windows, r);
    step.forcing = step_of(g, in.forcing, r);
    const Value prediction = forecast_step(*result->scope, p, model, step);
    const Value weights = masked ? ops::mul(g, unmasked, step_of(g, mask, r)) : unmasked;
    const Value part = nn::loss(g, loss_name, prediction, step_of(g, truth, r), weights);
    total = total.valid() ? ops::add(g, total, part) : part;
    if (r + 1 < rollout) {  // the forecast becomes the newest state
      const int64_t shift = rollout_shift(p);
      std::vector<Value> parts;
      if (shift < p.window()) parts.push_back(ops::slice_axis(g, stack, 1, shift, p.window()));
      if (shift > 1) parts.push_back(g.constant(Tensor(DType::f32, {batch, shift - 1, v, p.rows(), p.columns()})));
      parts.push_back(ops::reshape(g, prediction, {batch, 1, v, p.rows(), p.columns()}));
      stack = parts.size() == 1 ? parts[0] : ops::concat(g, parts, 1);
    }
  }
  result->loss = total;
  return result;
}

std::vector<Tensor> loss_inputs(const Problem& p, const Batch& batch, bool masked) {
  std::vector<Tensor> inputs{batch.stack};
  if (!p.mean_lengths().empty()) inputs.push_back(batch.windows);
  if (p.forcing_channels() > 0) inputs.push_back(batch.forcing);
  if (p.has_base()) inputs.push_back(batch.base_last);
  if (p.has_base_mean()) inputs.push_back(batch.base_mean);
  inputs.push_back(batch.truth);
  if (masked) inputs.push_back(batch.mask);
  return inputs;
}

}  // namespace gregale::train
