// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/exec.hpp"
#include "gregale/nn.hpp"

namespace gregale {

struct Optimizer {
  enum class Kind : uint8_t { adamw, adam, sgd } kind = Kind::adamw;
  double learning_rate = 1e-3;  ///< when run() is given none
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;  ///< adamw: decoupled; sgd and adam: added to the gradient
  double momentum = 0.9;    ///< sgd
};

struct StepOptions {
  Optimizer optimizer;
  double clip = 0;  ///< greatest global norm of the gradient; 0: none
  double ema = 0;   ///< decay of the moving average of the parameters, kept as variables "ema/NAME"; 0: none
  CompileOptions compile;
};

/// What a training step is compiled from: `graph`, which holds the loss (a scalar) and the scope's parameters, with the
/// backward pass and the update of every parameter. Its last input is the learning rate, f32[]; results are the loss,
/// the gradients' global norm and the observed values. Moments, moving averages and the step are variables.
Graph training_graph(Graph graph, const nn::Scope& scope, Value loss, const StepOptions& options,
                     const std::vector<Value>& observed = {});

/// State for a training graph: parameters freshly drawn, moments zero, step 0, moving averages equal to the parameters.
VariableValues initial_state(const Graph& graph, const std::vector<nn::Parameter>& parameters, uint64_t seed);

/// One training step as one executable: forward, backward and the update of every parameter in place, nothing allocated
/// after the first run.
///
///   Graph g("fit");
///   Value x = g.add_input("x", {DType::f32, {64, 2}}), y = g.add_input("y", {DType::f32, {64, 1}});
///   nn::Scope scope(g);
///   Value loss = nn::mse_loss(g, nn::mlp(scope, "net", x, {.width = 32}), y);
///   TrainingStep step(std::move(g), scope, loss, {});
///   VariableValues state = step.initial_state(/*seed=*/0);
///   ExecutionContext context;
///   for (...) step.run(context, {x_batch, y_batch}, state);
class TrainingStep {
 public:
  /// `graph` holds the loss (a scalar) and the scope's parameters; the scope's key, where it has one, must be the
  /// graph's last input and is fed by run(). `observed`: further values to bring out of each step.
  TrainingStep(Graph graph, const nn::Scope& scope, Value loss, StepOptions options, std::vector<Value> observed = {});

  /// Parameters freshly drawn, moments zero, step 0, moving average equal to the parameters.
  VariableValues initial_state(uint64_t seed) const;

  struct Result {
    double loss = 0;
    double gradient_norm = 0;  ///< before clipping
  };
  /// One update. `inputs`: those of the graph, without the key. The state's "step" (i64[]) counts the updates made.
  /// learning_rate < 0 takes the optimizer's.
  Result run(ExecutionContext& context, const std::vector<Tensor>& inputs, VariableValues& state, uint64_t seed = 0,
             double learning_rate = -1);
  /// The observed values of the last run.
  const std::vector<Tensor>& observed() const { return observed_; }

  const Executable& executable() const { return *executable_; }
  /// What the step keeps in memory, in words.
  std::string plan() const;
  const std::vector<nn::Parameter>& parameters() const { return parameters_; }

 private:
  std::vector<nn::Parameter> parameters_;
  StepOptions options_;
  bool has_key_ = false;
  std::unique_ptr<Executable> executable_;
  std::vector<Tensor> inputs_, outputs_, observed_;
};

/// The parameters of a training state under their own names: the moving averages where `ema` and there are some.
VariableValues parameters_of(const VariableValues& state, const std::vector<nn::Parameter>& parameters, bool ema);

}  // namespace gregale
