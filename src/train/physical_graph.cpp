// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/physical_graph.hpp"

#include "gregale/ops.hpp"
#include "train/emulator_state.hpp"

namespace gregale::train {

Graph normalised_graph(const Emulator::State& emulator) { return freeze(emulator.graph, emulator.parameters); }

Graph physical_graph(const Emulator::State& emulator) {
  const Problem& p = emulator.problem;
  const Reference reference = p.reference();
  const Graph step = normalised_graph(emulator);
  const int64_t window = p.window(), v = p.variable_count();
  const Shape records{Dim(1), Dim(window), Dim(v), Dim(p.rows()), Dim(p.columns())};
  const Shape field{Dim(1), Dim(v), Dim(p.rows()), Dim(p.columns())};
  const auto per_variable = [&](Graph& g, const Tensor& t) {
    return g.constant(t.cast(DType::f32).reshaped({v, 1, 1}));
  };

  Graph g(step.name());
  const Value fields = g.add_input("fields", {DType::f32, records});
  const Value scale = per_variable(g, p.scale);
  Value origins, origin;  // of the records, and of the forecast
  if (p.anomalies()) {
    const Value bins = g.add_input("bins", {DType::i64, {window + 1}});
    const Value all = ops::gather(g, g.constant(reference.climatology), bins, 0);
    origins = ops::reshape(g, ops::slice_axis(g, all, 0, 0, window), records);
    origin = ops::reshape(g, ops::slice_axis(g, all, 0, window, window + 1), field);
  } else {
    origins = origin = per_variable(g, p.center);
  }
  const Value n = ops::div(g, ops::sub(g, fields, origins), scale);
  const Value known = ops::select(g, ops::is_nan(g, n), ops::scalar(g, DType::f32, 0), n);
  std::vector<Value> arguments;
  for (Value input : step.inputs()) {
    const std::string& name = step.name_of(input);
    if (name == "stack")
      arguments.push_back(known);
    else if (name == "base_last")
      arguments.push_back(g.constant(reference.base_last.reshaped(field.extents())));
    else if (name == "base_mean")
      arguments.push_back(g.constant(reference.base_mean.reshaped(field.extents())));
    else
      arguments.push_back(g.add_input(name, step.type(input)));
  }
  const Value prediction = inline_graph(g, step, arguments)[0];
  g.set_outputs({ops::add(g, ops::mul(g, prediction, scale), origin)}, {"prediction"});
  return g;
}

}  // namespace gregale::train
