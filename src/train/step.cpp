// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/autodiff.hpp"
#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/train.hpp"

namespace gregale {
namespace {

constexpr const char* kStep = "step";

void check(const StepOptions& options) {
  const Optimizer& o = options.optimizer;
  const auto decay = [](double x) { return x >= 0 && x < 1; };
  GREGALE_CHECK(decay(o.beta1) && decay(o.beta2), invalid_argument,
                "[TrainingStep] beta1 {} and beta2 {} belong in [0, 1)", o.beta1, o.beta2);
  GREGALE_CHECK(decay(o.momentum), invalid_argument, "[TrainingStep] momentum {} is outside [0, 1)", o.momentum);
  GREGALE_CHECK(decay(options.ema), invalid_argument, "[TrainingStep] ema {} is outside [0, 1)", options.ema);
  GREGALE_CHECK(o.epsilon > 0, invalid_argument, "[TrainingStep] epsilon {} must be positive", o.epsilon);
  GREGALE_CHECK(o.learning_rate >= 0 && o.weight_decay >= 0 && options.clip >= 0, invalid_argument,
                "[TrainingStep] learning_rate {}, weight_decay {} and clip {} cannot be negative", o.learning_rate,
                o.weight_decay, options.clip);
}

/// Appends the update of every parameter to a graph that has loss and gradients.
class Updater {
 public:
  Updater(Graph& graph, const StepOptions& options, Value learning_rate)
      : g_(graph), options_(options), learning_rate_(learning_rate) {
    const int64_t variable = g_.add_variable(kStep, Type(DType::i64, Shape{}));
    const Value before = g_.read(variable);
    const Value after = ops::add(g_, before, g_.constant(Tensor::scalar(int64_t{1})));
    g_.write(variable, after);
    step_ = ops::cast(g_, after, DType::f32);
    if (options_.ema > 0) {
      // Early averages forget faster, so that where the parameters began does not linger: min(ema, (1 + t) / (10 + t))
      // with t updates made before this one.
      const Value t = ops::cast(g_, before, DType::f32);
      const Value warm = ops::div(g_, ops::add(g_, t, 1.0), ops::add(g_, t, 10.0));
      const Value decay = ops::minimum(g_, warm, scalar(options_.ema));
      renewal_ = ops::sub(g_, scalar(1), decay);
    }
  }

  /// The gradients' global norm; decides how much clipping scales them.
  Value measure(const std::vector<Value>& gradients) {
    Value total;
    for (Value d : gradients) {
      const Value squares = ops::sum(g_, ops::square(g_, d));
      total = total.valid() ? ops::add(g_, total, squares) : squares;
    }
    const Value norm = ops::sqrt(g_, total);
    if (options_.clip > 0)
      scale_ = ops::minimum(g_, scalar(1), ops::div(g_, scalar(options_.clip), ops::add(g_, norm, 1e-6)));
    return norm;
  }

  void update(const nn::Parameter& p, Value value, Value gradient) {
    const Value next =
        options_.optimizer.kind == Optimizer::Kind::sgd ? sgd(p, value, gradient) : adam(p, value, gradient);
    g_.write(p.variable, next);
    if (options_.ema == 0) return;
    const int64_t variable = g_.add_variable("ema/" + p.name, p.type);
    const Value average = g_.read(variable);
    g_.write(variable, ops::add(g_, average, ops::mul(g_, ops::sub(g_, next, average), renewal_)));
  }

 private:
  Value scalar(double value) { return ops::scalar(g_, DType::f32, value); }
  Value scaled(Value gradient) { return scale_.valid() ? ops::mul(g_, gradient, scale_) : gradient; }
  double decay_of(const nn::Parameter& p) const { return p.decay ? options_.optimizer.weight_decay : 0; }
  Value decayed(const nn::Parameter& p, Value value, Value gradient) {
    return decay_of(p) == 0 ? gradient : ops::add(g_, gradient, ops::mul(g_, value, decay_of(p)));
  }

  Value adam(const nn::Parameter& p, Value value, Value gradient) {
    const Optimizer& o = options_.optimizer;
    const int64_t m = g_.add_variable("adam/m/" + p.name, p.type), v = g_.add_variable("adam/v/" + p.name, p.type);
    ops::AdamOptions adam{o.beta1, o.beta2, o.epsilon, o.kind == Optimizer::Kind::adamw ? decay_of(p) : 0};
    Value scale = scale_.valid() ? scale_ : scalar(1);
    if (o.kind == Optimizer::Kind::adam && decay_of(p) > 0) {  // clipping comes before the decay joins the gradient
      gradient = decayed(p, value, scaled(gradient));
      scale = scalar(1);
    }
    const ops::AdamResult next =
        ops::adam_update(g_, value, g_.read(m), g_.read(v), gradient, learning_rate_, step_, scale, adam);
    g_.write(m, next.m);
    g_.write(v, next.v);
    return next.parameter;
  }

  /// v' = momentum v + d, p' = p - learning_rate v'.
  Value sgd(const nn::Parameter& p, Value value, Value gradient) {
    const int64_t variable = g_.add_variable("sgd/v/" + p.name, p.type);
    const Value kept = ops::mul(g_, g_.read(variable), options_.optimizer.momentum);
    const Value velocity = ops::add(g_, kept, decayed(p, value, scaled(gradient)));
    g_.write(variable, velocity);
    return ops::sub(g_, value, ops::mul(g_, velocity, learning_rate_));
  }

  Graph& g_;
  const StepOptions& options_;
  Value learning_rate_, step_, renewal_, scale_;
};

}  // namespace

Graph training_graph(Graph graph, const nn::Scope& scope, Value loss, const StepOptions& options,
                     const std::vector<Value>& observed) {
  check(options);
  const std::vector<nn::Parameter>& parameters = scope.parameters();
  GREGALE_CHECK(!parameters.empty(), invalid_argument, "[TrainingStep] '{}' has no parameters to train", graph.name());
  for (const nn::Parameter& p : parameters)
    GREGALE_CHECK(p.type.dtype == DType::f32, dtype, "[TrainingStep] parameter '{}' is {}; only f32 is trained", p.name,
                  to_string(p.type));
  GREGALE_CHECK(!scope.key().valid() || (!graph.inputs().empty() && graph.inputs().back() == scope.key()),
                invalid_argument, "[TrainingStep] the scope's key must be the last input of '{}'", graph.name());

  const Value learning_rate = graph.add_input("learning_rate", Type(DType::f32, Shape{}));
  const std::vector<Value> d = gradients(graph, loss, scope.values());
  Updater updater(graph, options, learning_rate);
  std::vector<Value> outputs{loss, updater.measure(d)};
  std::vector<std::string> names{"loss", "gradient_norm"};
  for (size_t i = 0; i < parameters.size(); ++i) updater.update(parameters[i], scope.values()[i], d[i]);
  for (size_t i = 0; i < observed.size(); ++i) {
    outputs.push_back(observed[i]);
    names.push_back(fmt::format("observed{}", i));
  }
  graph.set_outputs(std::move(outputs), std::move(names));
  return graph;
}

VariableValues initial_state(const Graph& graph, const std::vector<nn::Parameter>& parameters, uint64_t seed) {
  VariableValues state;
  for (const nn::Parameter& p : parameters) state[p.name] = nn::initial_value(p, seed);
  for (const Variable& v : graph.variables()) {
    constexpr std::string_view kAverage = "ema/";
    if (state.contains(v.name)) continue;
    const bool average = v.name.starts_with(kAverage);
    state[v.name] =
        average ? state.at(v.name.substr(kAverage.size())).clone() : Tensor(v.type.dtype, v.type.shape.extents());
  }
  return state;
}

TrainingStep::TrainingStep(Graph graph, const nn::Scope& scope, Value loss, StepOptions options,
                           std::vector<Value> observed)
    : parameters_(scope.parameters()), options_(std::move(options)), has_key_(scope.key().valid()) {
  graph = training_graph(std::move(graph), scope, loss, options_, observed);
  options_.compile.loss = 0;
  executable_ = std::make_unique<Executable>(compile(graph, options_.compile));

  // What run() fills, made once.
  inputs_.resize(graph.inputs().size());
  if (has_key_) inputs_[inputs_.size() - 2] = Tensor(DType::i64, {2});
  inputs_.back() = Tensor(DType::f32, {});
  outputs_ = executable_->make_outputs();
  observed_.assign(outputs_.begin() + 2, outputs_.end());
}

VariableValues TrainingStep::initial_state(uint64_t seed) const {
  return gregale::initial_state(executable_->graph(), parameters_, seed);
}

TrainingStep::Result TrainingStep::run(ExecutionContext& context, const std::vector<Tensor>& inputs,
                                       VariableValues& state, uint64_t seed, double learning_rate) {
  const size_t own = has_key_ ? 2 : 1;
  GREGALE_CHECK(inputs.size() + own == inputs_.size(), invalid_argument, "[TrainingStep] takes {} inputs, got {}",
                inputs_.size() - own, inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) inputs_[i] = inputs[i];
  if (has_key_) {
    const auto at = state.find(kStep);
    GREGALE_CHECK(at != state.end() && at->second.dtype() == DType::i64 && at->second.size() == 1, invalid_argument,
                  "[TrainingStep] the state has no 'step' of type i64[]");
    auto key = inputs_[inputs_.size() - 2].as<int64_t>();
    key[0] = static_cast<int64_t>(seed);
    key[1] = at->second.as<int64_t>()[0];
  }
  inputs_.back().as<float>()[0] =
      static_cast<float>(learning_rate < 0 ? options_.optimizer.learning_rate : learning_rate);
  executable_->run(context, inputs_, outputs_, &state);
  const auto number = [](const Tensor& t) {
    return t.dtype() == DType::f64 ? t.as<double>()[0] : static_cast<double>(t.as<float>()[0]);
  };
  return {number(outputs_[0]), number(outputs_[1])};
}

std::string TrainingStep::plan() const {
  double megabytes = 0;
  for (const nn::Parameter& p : parameters_) megabytes += static_cast<double>(p.type.bytes()) * 1e-6;
  const std::string gradients =
      options_.clip > 0 ? fmt::format("gradients of {:.1f} MB wait for their norm, which is limited to {:g}", megabytes,
                                      options_.clip)
                        : "each weight is updated as soon as its gradient is final";
  return fmt::format("{}; {}; {:.1f} MB for intermediate results", executable_->keep(), gradients,
                     static_cast<double>(executable_->arena_bytes()) * 1e-6);
}

VariableValues parameters_of(const VariableValues& state, const std::vector<nn::Parameter>& parameters, bool ema) {
  VariableValues values;
  for (const nn::Parameter& p : parameters) {
    auto at = ema ? state.find("ema/" + p.name) : state.end();
    if (at == state.end()) at = state.find(p.name);
    GREGALE_CHECK(at != state.end(), invalid_argument, "[parameters_of] the state has no '{}'", p.name);
    values[p.name] = at->second;
  }
  return values;
}

}  // namespace gregale
