// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/train.hpp"

namespace gregale {
namespace {

using Floats = std::vector<float>;

Tensor vector_of(const Floats& values) { return Tensor::from(values, {static_cast<int64_t>(values.size())}); }

/// loss = sum(a * w) + sum(w^2) / 2 for two weights: the gradient is a + w.
struct Quadratic {
  explicit Quadratic(StepOptions options, bool decay = true) {
    Graph g("quadratic");
    const Value a = g.add_input("a", Type(DType::f32, {2}));
    nn::Scope scope(g);
    const Value w = scope.parameter("w", {2}, nn::Initialiser::normal(1), decay);
    const Value loss = ops::add(g, ops::sum(g, ops::mul(g, a, w)), ops::mul(g, ops::sum(g, ops::square(g, w)), 0.5));
    step = std::make_unique<TrainingStep>(std::move(g), scope, loss, options, std::vector<Value>{w});
    state = step->initial_state(0);
    state["w"] = vector_of({1, -2});
  }
  TrainingStep::Result run(double learning_rate = -1) {
    return step->run(context, {vector_of({2, 3})}, state, 0, learning_rate);
  }
  double w(size_t i) const { return static_cast<double>(state.at("w").as<float>()[i]); }

  ExecutionContext context;
  std::unique_ptr<TrainingStep> step;
  VariableValues state;
};

StepOptions with(Optimizer::Kind kind, double learning_rate, double weight_decay = 0) {
  StepOptions o;
  o.optimizer.kind = kind;
  o.optimizer.learning_rate = learning_rate;
  o.optimizer.weight_decay = weight_decay;
  return o;
}

TEST(TrainingStep, SgdWithMomentumByHand) {
  for (const bool decayed : {true, false}) {
    StepOptions options = with(Optimizer::Kind::sgd, 0.1, 0.5);
    options.optimizer.momentum = 0.8;
    Quadratic q(options, decayed);
    double w[2] = {1, -2}, v[2] = {0, 0};
    const double a[2] = {2, 3};
    for (int t = 0; t < 3; ++t) {
      const double loss = a[0] * w[0] + a[1] * w[1] + (w[0] * w[0] + w[1] * w[1]) / 2;
      const double norm = std::hypot(a[0] + w[0], a[1] + w[1]);
      const TrainingStep::Result result = q.run();
      EXPECT_NEAR(result.loss, loss, 1e-5);
      EXPECT_NEAR(result.gradient_norm, norm, 1e-5);
      EXPECT_NEAR(q.step->observed()[0].as<float>()[0], w[0], 1e-6) << "what was observed is from before the update";
      for (size_t i = 0; i < 2; ++i) {
        v[i] = 0.8 * v[i] + a[i] + w[i] + (decayed ? 0.5 * w[i] : 0);
        w[i] -= 0.1 * v[i];
        EXPECT_NEAR(q.w(i), w[i], 1e-6) << t;
        EXPECT_NEAR(q.state.at("sgd/v/w").as<float>()[i], v[i], 1e-5) << t;
      }
      EXPECT_EQ(q.state.at("step").as<int64_t>()[0], t + 1);
    }
  }
}

TEST(TrainingStep, AdamByHand) {
  for (const auto kind : {Optimizer::Kind::adam, Optimizer::Kind::adamw})
    for (const bool decayed : {true, false}) {
      Quadratic q(with(kind, 0.1, 0.3), decayed);
      const double decay = decayed ? 0.3 : 0, coupled = kind == Optimizer::Kind::adam ? decay : 0;
      double w[2] = {1, -2}, m[2] = {0, 0}, v[2] = {0, 0};
      const double a[2] = {2, 3};
      for (int t = 1; t <= 3; ++t) {
        const double rate = t == 2 ? 0.05 : 0.1;  // the second step is told its own
        q.run(t == 2 ? 0.05 : -1);
        for (size_t i = 0; i < 2; ++i) {
          const double d = a[i] + w[i] + coupled * w[i];
          m[i] = 0.9 * m[i] + 0.1 * d;
          v[i] = 0.999 * v[i] + 0.001 * d * d;
          const double ratio = m[i] / (1 - std::pow(0.9, t)) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
          w[i] -= rate * (ratio + (kind == Optimizer::Kind::adamw ? decay * w[i] : 0));
          EXPECT_NEAR(q.w(i), w[i], 2e-6) << t;
          EXPECT_NEAR(q.state.at("adam/m/w").as<float>()[i], m[i], 1e-6);
          EXPECT_NEAR(q.state.at("adam/v/w").as<float>()[i], v[i], 1e-6);
        }
      }
    }
}

TEST(TrainingStep, ClipsTheGlobalNorm) {
  StepOptions options = with(Optimizer::Kind::sgd, 1);
  options.optimizer.momentum = 0;
  options.clip = 0.5;
  Quadratic q(options);
  const double norm = std::hypot(3.0, 1.0);
  EXPECT_NEAR(q.run().gradient_norm, norm, 1e-6) << "before clipping";
  EXPECT_NEAR(q.w(0), 1 - 3 * 0.5 / norm, 1e-6);
  EXPECT_NEAR(q.w(1), -2 - 1 * 0.5 / norm, 1e-6);

  options.clip = 100;  // far above: no change
  Quadratic wide(options);
  wide.run();
  EXPECT_NEAR(wide.w(0), -2, 1e-6);
  EXPECT_NEAR(wide.w(1), -3, 1e-6);
}

TEST(TrainingStep, KeepsAMovingAverage) {
  StepOptions options = with(Optimizer::Kind::sgd, 0.1);
  options.ema = 0.15;
  Quadratic q(options);
  q.state["ema/w"] = q.state["w"].clone();
  double average = 1;
  for (int t = 0; t < 4; ++t) {
    q.run();
    const double decay = std::min(0.15, (1.0 + t) / (10.0 + t));  // 0.1, then 0.15
    average = decay * average + (1 - decay) * q.w(0);
    EXPECT_NEAR(q.state.at("ema/w").as<float>()[0], average, 1e-6) << t;
  }
  const auto mean = parameters_of(q.state, q.step->parameters(), true),
             last = parameters_of(q.state, q.step->parameters(), false);
  ASSERT_EQ(mean.size(), 1u);
  EXPECT_TRUE(mean.at("w").identical(q.state.at("ema/w")));
  EXPECT_TRUE(last.at("w").identical(q.state.at("w")));
}

TEST(TrainingStep, InitialStateIsDrawnOnce) {
  StepOptions options;
  options.ema = 0.9;
  const Quadratic q(options);
  const VariableValues a = q.step->initial_state(5), b = q.step->initial_state(5), c = q.step->initial_state(6);
  EXPECT_EQ(a.size(), 5u);
  EXPECT_TRUE(a.at("w").identical(b.at("w")));
  EXPECT_FALSE(a.at("w").identical(c.at("w")));
  EXPECT_TRUE(a.at("w").identical(a.at("ema/w")));
  EXPECT_NE(a.at("w").data(), a.at("ema/w").data());
  EXPECT_EQ(a.at("step").as<int64_t>()[0], 0);
  EXPECT_EQ(a.at("adam/v/w").as<float>()[1], 0);
}

TEST(TrainingStep, RefusesWhatIsWrong) {
  StepOptions options;
  options.ema = 1;
  EXPECT_THROW(Quadratic{options}, Error);
  options = {};
  options.clip = -1;
  EXPECT_THROW(Quadratic{options}, Error);
  Quadratic q({});
  EXPECT_THROW(q.step->run(q.context, {}, q.state), Error);
  VariableValues none;
  EXPECT_THROW(q.step->run(q.context, {vector_of({2, 3})}, none), Error);

  Graph g;
  const Value key = g.add_input("key", Type(DType::i64, {2})), x = g.add_input("x", Type(DType::f32, {4, 1}));
  nn::Scope scope(g, key);
  const Value loss = ops::mean(g, nn::linear(scope, "l", x, 1));
  EXPECT_THROW(TrainingStep(std::move(g), scope, loss, {}), Error) << "the key is not the last input";
}

/// y = sin(3 x) on [-1, 1].
struct Sine {
  Tensor x{DType::f32, {64, 1}}, y{DType::f32, {64, 1}};
  Sine() {
    for (size_t i = 0; i < 64; ++i) {
      x.as<float>()[i] = static_cast<float>(-1 + 2 * (static_cast<double>(i) + 0.5) / 64);
      y.as<float>()[i] = std::sin(3 * x.as<float>()[i]);
    }
  }
};

TEST(TrainingStep, AnMlpLearnsASine) {
  const Sine data;
  Graph g("sine");
  const Value x = g.add_input("x", data.x.type()), y = g.add_input("y", data.y.type());
  nn::Scope scope(g);
  const Value loss = nn::mse_loss(g, nn::mlp(scope, "net", x, {.width = 32, .depth = 2}), y);
  TrainingStep step(std::move(g), scope, loss, with(Optimizer::Kind::adamw, 5e-3, 1e-4));
  VariableValues state = step.initial_state(1);
  ExecutionContext context;
  const double first = step.run(context, {data.x, data.y}, state).loss;
  double last = first;
  for (int i = 0; i < 400; ++i) last = step.run(context, {data.x, data.y}, state).loss;
  EXPECT_GT(first, 0.1);
  EXPECT_LT(last, 1e-3);
}

struct AfnoStep {
  Tensor x{DType::f32, {2, 2, 8, 12}}, y{DType::f32, {2, 2, 8, 12}};
  std::unique_ptr<TrainingStep> step;
  VariableValues state;

  explicit AfnoStep(double dropout = 0) {
    for (size_t i = 0; i < x.as<float>().size(); ++i) {
      x.as<float>()[i] = std::sin(0.37f * static_cast<float>(i));
      y.as<float>()[i] = std::cos(0.11f * static_cast<float>(i * i % 97));
    }
    Graph g("afno");
    const Value in = g.add_input("x", x.type()), out = g.add_input("y", y.type());
    const Value key = dropout > 0 ? g.add_input("key", Type(DType::i64, {2})) : Value{};
    nn::Scope scope(g, key);
    nn::AfnoOptions options{.patch = 2, .width = 32, .depth = 2, .blocks = 4};
    options.dropout = dropout;
    options.out = 2;
    const Value loss = nn::relative_l2_loss(g, nn::afno(scope, "net", in, options), out);
    StepOptions how = with(Optimizer::Kind::adamw, 3e-3);
    how.clip = 5;
    how.ema = 0.99;
    step = std::make_unique<TrainingStep>(std::move(g), scope, loss, how);
    state = step->initial_state(2);
  }
  double run(ExecutionContext& context, uint64_t seed = 0) { return step->run(context, {x, y}, state, seed).loss; }
};

TEST(TrainingStep, AnAfnoLearnsTwoSamplesByHeart) {
  AfnoStep afno;
  EXPECT_EQ(afno.step->executable().reference_steps(), 0) << afno.step->executable().describe();
  ExecutionContext context;
  const double first = afno.run(context);
  EXPECT_NEAR(first, 1, 0.3);
  for (int i = 0; i < 150; ++i) afno.run(context);
  EXPECT_LT(afno.run(context), 0.1 * first);
}

TEST(TrainingStep, DropoutIsAFunctionOfSeedAndStep) {
  ExecutionContext context;
  const auto losses = [&](uint64_t seed, bool standing) {
    AfnoStep afno(0.3);
    std::vector<double> all;
    for (int i = 0; i < 3; ++i)  // without a step taken, only the mask can change the loss
      all.push_back(afno.step->run(context, {afno.x, afno.y}, afno.state, seed, standing ? 0.0 : -1).loss);
    return all;
  };
  const std::vector<double> standing = losses(7, true);
  EXPECT_NE(standing[0], standing[1]);
  EXPECT_NE(standing[1], standing[2]);
  EXPECT_NE(losses(8, true)[0], standing[0]);
  EXPECT_EQ(losses(7, true), standing);
  EXPECT_EQ(losses(7, false), losses(7, false));
  EXPECT_NE(losses(7, false)[2], standing[2]);
}

TEST(TrainingStep, BitsDoNotDependOnThreads) {
  const auto trained = [](int threads) {
    AfnoStep afno(0.1);
    ExecutionContext context(make_thread_team(threads));
    for (int i = 0; i < 3; ++i) afno.run(context);
    return afno.state;
  };
  const VariableValues one = trained(1), two = trained(2), three = trained(3);
  for (const auto& [name, tensor] : one) {
    EXPECT_TRUE(tensor.identical(two.at(name))) << name;
    EXPECT_TRUE(tensor.identical(three.at(name))) << name;
  }
}

TEST(TrainingStep, TheStepEqualsItsInterpretation) {
  AfnoStep afno;
  VariableValues expected;
  for (const auto& [name, tensor] : afno.state) expected[name] = tensor.clone();
  const auto reference = interpret(afno.step->executable().graph(), {afno.x, afno.y, Tensor::scalar(3e-3f)}, &expected);
  ExecutionContext context;
  const TrainingStep::Result result = afno.step->run(context, {afno.x, afno.y}, afno.state);
  EXPECT_NEAR(result.loss, reference[0].as<float>()[0], 1e-5);
  EXPECT_NEAR(result.gradient_norm, reference[1].as<float>()[0], 1e-4 * result.gradient_norm);
  for (const auto& [name, tensor] : expected) {
    if (name.rfind("adam/m/", 0) != 0) continue;  // proportional to the gradient, where signs of nothing do not matter
    const std::span<const float> a = tensor.as<float>(), b = afno.state.at(name).as<float>();
    float size = 0, difference = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      size = std::max(size, std::fabs(a[i]));
      difference = std::max(difference, std::fabs(a[i] - b[i]));
    }
    EXPECT_LE(difference, 2e-4f * size + 1e-9f) << name;
  }
}

}  // namespace
}  // namespace gregale
