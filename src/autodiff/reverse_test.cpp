// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Reverse mode over whole graphs; single operators are held to differences in tests/registry/gradient_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/expect_error_for_tests.hpp"
#include "gregale/autodiff.hpp"
#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "gregale/random.hpp"

namespace gregale {
namespace {

using Values = std::vector<Value>;
using Build = std::function<Value(Graph&, const Values&)>;

const Type kRow(DType::f64, Shape{3});

Tensor sample(const Extents& extents, uint32_t stream, DType dtype = DType::f64) {
  Tensor t(dtype, extents);
  auto* values = static_cast<double*>(t.data());
  for (int64_t i = 0; i < t.bytes() / 8; ++i)
    values[i] = 1.6 * random_uniform(RandomKey{9, 0, stream}, static_cast<uint64_t>(i)) - 0.8;
  return t;
}

Values inputs_of(Graph& g, const std::vector<Tensor>& inputs) {
  Values values;
  for (const Tensor& t : inputs) values.push_back(g.add_input("x" + std::to_string(values.size()), t.type()));
  return values;
}

/// The loss and its gradients with respect to every floating input.
std::vector<Tensor> loss_and_gradients(const std::vector<Tensor>& inputs, const Build& build) {
  Graph g;
  const Values x = inputs_of(g, inputs);
  const Value loss = build(g, x);
  Values wrt, results{loss};
  for (Value v : x)
    if (is_differentiable(g.type(v).dtype)) wrt.push_back(v);
  for (Value d : gradients(g, loss, wrt)) results.push_back(d);
  g.set_outputs(results);
  verify(g);
  return interpret(g, inputs);
}

double loss_at(const std::vector<Tensor>& inputs, const Build& build) {
  Graph g;
  g.set_outputs({build(g, inputs_of(g, inputs))});
  return interpret(g, inputs)[0].as<double>()[0];
}

/// Central differences, component by component: complex inputs are pairs (re, im), which is the convention.
void check_gradients(const std::vector<Tensor>& inputs, const Build& build, double tolerance = 1e-7) {
  const auto results = loss_and_gradients(inputs, build);
  size_t k = 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_differentiable(inputs[i].dtype())) continue;
    ASSERT_EQ(results[k].type(), inputs[i].type());
    const auto* d = static_cast<const double*>(results[k].data());
    ++k;
    for (int64_t j = 0; j < inputs[i].bytes() / 8; ++j) {
      constexpr double h = 1e-5;
      double sides[2];
      for (const int side : {0, 1}) {
        std::vector<Tensor> moved = inputs;
        moved[i] = inputs[i].clone();
        static_cast<double*>(moved[i].data())[j] += side ? h : -h;
        sides[side] = loss_at(moved, build);
      }
      EXPECT_NEAR(d[j], (sides[1] - sides[0]) / (2 * h), tolerance) << "input " << i << ", component " << j;
    }
  }
}

std::vector<double> elements(const Tensor& t) { return {t.as<double>().begin(), t.as<double>().end()}; }

TEST(Gradients, AddUpOverSharedSubexpressions) {
  check_gradients({sample({3}, 1), sample({3}, 2)}, [](Graph& g, const Values& x) {
    const Value shared = ops::tanh(g, ops::mul(g, x[0], x[1]));
    const Value twice = ops::mul(g, shared, ops::add(g, shared, x[0]));
    return ops::sum(g, ops::add(g, twice, ops::sin(g, shared)));
  });
}

TEST(Gradients, GoThroughRepeat) {
  Graph body("body");
  const Value x = body.add_input("x", kRow), y = body.add_input("y", kRow), a = body.add_input("a", kRow);
  body.set_outputs({ops::tanh(body, ops::add(body, ops::mul(body, x, a), y)), ops::mul(body, x, y)});
  for (const int64_t count : {0, 1, 4})
    check_gradients({sample({3}, 1), sample({3}, 2), sample({3}, 3)}, [&](Graph& g, const Values& in) {
      const Values out = ops::repeat(g, count, {in[0], in[1]}, {in[2]}, body);
      return ops::sum(g, ops::mul(g, out[0], ops::add(g, out[1], in[0])));
    });
}

TEST(Gradients, GoThroughNestedRepeat) {
  Graph inner("inner");
  const Value i = inner.add_input("x", kRow);
  inner.set_outputs({ops::sin(inner, ops::mul(inner, i, 1.5))});
  Graph body("body");
  const Value x = body.add_input("x", kRow);
  body.set_outputs(ops::repeat(body, 2, {ops::add(body, x, x)}, {}, inner));
  check_gradients(
      {sample({3}, 1)},
      [&](Graph& g, const Values& in) { return ops::sum(g, ops::repeat(g, 2, {in[0]}, {}, body)[0]); }, 1e-5);
}

TEST(Gradients, AreZeroWhereTheLossDoesNotDepend) {
  Graph g;
  const Value x = g.add_input("x", kRow), unused = g.add_input("u", Type(DType::c128, Shape{2, 2}));
  const Value index = g.add_input("i", Type(DType::i64, Shape{2})), constant = ops::scalar(g, DType::f64, 2);
  const Value aside = ops::exp(g, x);  // depends on x, and the loss not on it
  const Value loss = ops::sum(g, ops::mul(g, x, constant));
  const Values d = gradients(g, loss, {x, unused, index, aside, x, loss});
  g.set_outputs(d);
  verify(g);
  const auto results = interpret(g, {sample({3}, 1), Tensor(DType::c128, {2, 2}), Tensor(DType::i64, {2})});
  EXPECT_EQ(elements(results[0]), (std::vector<double>{2, 2, 2}));
  EXPECT_TRUE(results[1].identical(Tensor(DType::c128, {2, 2})));
  EXPECT_TRUE(results[2].identical(Tensor(DType::i64, {2})));
  EXPECT_TRUE(results[3].identical(Tensor(DType::f64, {3})));
  EXPECT_TRUE(results[4].identical(results[0]));
  EXPECT_EQ(elements(results[5]), std::vector<double>{1});
}

TEST(Gradients, StopWhereTold) {
  const auto results = loss_and_gradients({sample({3}, 1)}, [](Graph& g, const Values& x) {
    return ops::sum(g, ops::mul(g, ops::stop_gradient(g, ops::exp(g, x[0])), x[0]));
  });
  const Tensor x = sample({3}, 1);
  for (size_t i = 0; i < 3; ++i) EXPECT_DOUBLE_EQ(results[1].as<double>()[i], std::exp(x.as<double>()[i]));
}

TEST(Gradients, WithRespectToValuesInTheMiddle) {
  Graph g;
  const Value x = g.add_input("x", kRow), middle = ops::square(g, x);
  const Value loss = ops::sum(g, ops::mul(g, middle, ops::add(g, middle, x)));  // d/d middle = 2 middle + x, x held
  const Values d = gradients(g, loss, {middle});
  g.set_outputs(d);
  const Tensor in = sample({3}, 1);
  const auto results = interpret(g, {in});
  for (size_t i = 0; i < 3; ++i) {
    const double v = in.as<double>()[i];
    EXPECT_NEAR(results[0].as<double>()[i], 2 * v * v + v, 1e-14);
  }
}

TEST(Gradients, TakeASeed) {
  Graph g;
  const Value x = g.add_input("x", kRow), seed = g.add_input("seed", kRow);
  g.set_outputs(gradients(g, ops::square(g, x), {x}, seed));
  const Tensor in = Tensor::from<double>({1, 2, 3}, {3});
  EXPECT_EQ(elements(interpret(g, {in, Tensor::from<double>({10, 0, -1}, {3})})[0]), (std::vector<double>{20, 0, -6}));
}

TEST(Gradients, RefuseWhatIsNoLoss) {
  Graph g;
  const Value x = g.add_input("x", kRow), z = g.add_input("z", Type(DType::c128, Shape{}));
  expect_error(ErrorCode::invalid_argument, "a loss is a real scalar, got f64[3]", [&] { gradients(g, x, {x}); });
  expect_error(ErrorCode::invalid_argument, "a loss is a real scalar, got c128[]", [&] { gradients(g, z, {z}); });
  expect_error(ErrorCode::invalid_argument, "the loss is f64[3], its cotangent c128[]",
               [&] { gradients(g, x, {x}, z); });
  expect_error(ErrorCode::invalid_argument, "does not belong", [&] { gradients(g, Value{77}, {x}); });
}

TEST(Gradients, SayWhyThereIsNone) {
  OpDef opaque;
  opaque.name = "opaque";
  opaque.inputs = {{"x", ""}};
  opaque.outputs = {{"y", ""}};
  opaque.infer = [](const NodeView& node) { return std::vector<Type>{node.input(0)}; };
  opaque.no_gradient = "nobody knows it";
  Graph g;
  const Value x = g.add_input("x", kRow), y = g.add_input("y", kRow);
  const Value loss = ops::sum(g, ops::add(g, g.add1(opaque, {x}), y));
  expect_error(ErrorCode::unsupported, "[gradients] 'opaque' has no gradient: nobody knows it",
               [&] { gradients(g, loss, {x}); });
  EXPECT_EQ(gradients(g, loss, {y}).size(), 1u) << "it does not stand between the loss and y";
}

TEST(Gradients, GoThroughComplexNumbers) {
  const auto filter = [](Graph& g, const Values& x) {
    const Value zero = ops::mul(g, x[0], 0.0);
    const Value spectrum = ops::fft(g, ops::complex(g, x[0], zero), {-1});
    const Value filtered = ops::real(g, ops::fft(g, ops::mul(g, spectrum, x[1]), {-1}, true));
    return ops::sum(g, ops::square(g, ops::sub(g, filtered, x[2])));
  };
  check_gradients({sample({2, 5}, 1), sample({2, 5}, 2, DType::c128), sample({2, 5}, 3)}, filter);

  const auto half = [](Graph& g, const Values& x) {
    const Value spectrum = ops::mul(g, ops::rfft(g, x[0], {0, 1}), x[1]);
    return ops::sum(g, ops::tanh(g, ops::irfft(g, spectrum, {0, 1}, 6)));
  };
  check_gradients({sample({4, 6}, 1), sample({4, 4}, 2, DType::c128)}, half);

  check_gradients({sample({4}, 1, DType::c128)}, [](Graph& g, const Values& z) {
    const Value w = ops::mul(g, z[0], ops::conj(g, ops::add(g, z[0], z[0])));
    return ops::sum(
        g, ops::add(g, ops::abs(g, z[0]), ops::add(g, ops::real(g, w), ops::imag(g, ops::mul(g, z[0], z[0])))));
  });
}

/// A loss over an MLP whose inputs are x and two layers of weights.
Value mlp(Graph& g, const Values& x) {
  const Value hidden = ops::gelu(g, ops::matmul(g, x[0], x[1]));
  return ops::mean(g, ops::square(g, ops::matmul(g, ops::tanh(g, hidden), x[2])));
}

TEST(Gradients, NestThemselves) {
  // The gradient of |d loss / d weights|^2, which takes second derivatives of every operator in between.
  check_gradients(
      {sample({2, 3}, 1), sample({3, 4}, 2), sample({4, 1}, 3)},
      [](Graph& g, const Values& x) {
        const Values d = gradients(g, mlp(g, x), {x[1], x[2]});
        return ops::add(g, ops::sum(g, ops::square(g, d[0])), ops::sum(g, ops::square(g, d[1])));
      },
      1e-6);
  // And once more: x^5 has third derivative 60 x^2.
  Graph g;
  const Value x = g.add_input("x", Type(DType::f64, Shape{}));
  Value y = ops::mul(g, x, ops::square(g, ops::square(g, x)));
  for (int i = 0; i < 3; ++i) y = gradients(g, y, {x})[0];
  g.set_outputs({y});
  EXPECT_NEAR(interpret(g, {Tensor::scalar(1.5)})[0].as<double>()[0], 60 * 1.5 * 1.5, 1e-11);
}

TEST(Gradients, DropTheSameElementsAsTheForwardPass) {
  const Build loss = [](Graph& g, const Values& x) {
    const Value kept = ops::dropout(g, ops::tanh(g, x[0]), x[1], 0.5, 3);
    return ops::sum(g, ops::mul(g, kept, ops::add(g, kept, x[0])));
  };
  const Tensor key = Tensor::from<int64_t>({11, 5}, {2});
  check_gradients({sample({24}, 1), key}, loss);
  // Where the draw dropped an element the loss does not depend on it, and so with about half of them.
  const auto results = loss_and_gradients({sample({24}, 1), key}, loss);
  const auto d = elements(results[1]);
  const auto dropped = std::count(d.begin(), d.end(), 0.0);
  EXPECT_GT(dropped, 4);
  EXPECT_LT(dropped, 20);
}

}  // namespace
}  // namespace gregale
