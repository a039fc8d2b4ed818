// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "gregale/autodiff.hpp"
#include "registry/one_op.hpp"

namespace gregale::registry {
namespace {

// Every operator's gradient against central differences in f64, by the interpreter; then the gradient's own gradient,
// with the first derivative as the function that is differentiated.

constexpr double kStep = 1e-5;
constexpr double kTolerance = 2e-6;   // relative to the largest derivative of the sample
constexpr size_t kMostElements = 24;  // checked per operand

Tensor weights_like(const Type& type, uint32_t stream) {
  Tensor t(type.dtype == DType::c128 ? DType::c128 : DType::f64, type.shape.extents());
  const RandomKey key{7, 0, stream};
  auto* values = static_cast<double*>(t.data());
  const int64_t count = t.bytes() / 8;
  for (int64_t i = 0; i < count; ++i) values[i] = random_uniform(key, static_cast<uint64_t>(i)) * 2 - 1;
  return t;
}

/// sum over Re(conj(w) * value): a real scalar whose cotangent at `value` is w.
Value weighted_sum(Graph& g, Value value, uint32_t stream) {
  const Type type = g.type(value);
  const Value w = g.constant(weights_like(type, stream));
  if (is_complex(type.dtype)) {
    const Value re = ops::mul(g, ops::real(g, value), ops::real(g, w));
    const Value im = ops::mul(g, ops::imag(g, value), ops::imag(g, w));
    return ops::sum(g, ops::add(g, re, im));
  }
  return ops::sum(g, ops::mul(g, value, w));
}

double evaluate(const Graph& g, const std::vector<Tensor>& inputs) { return interpret(g, inputs)[0].as<double>()[0]; }

/// Compares the gradients that `differentiated` returns after its first result with differences of that result.
void check(const Graph& differentiated, const std::vector<Tensor>& inputs, const std::vector<size_t>& wrt,
           const char* order) {
  const std::vector<Tensor> results = interpret(differentiated, inputs);
  for (size_t k = 0; k < wrt.size(); ++k) {
    const auto* analytic = static_cast<const double*>(results[k + 1].data());
    const auto count = static_cast<size_t>(results[k + 1].bytes() / 8);
    std::vector<size_t> elements;
    for (size_t i = 0; i < count; ++i) elements.push_back(i);
    if (count > kMostElements) {
      elements.clear();
      for (size_t i = 0; i < kMostElements; ++i) elements.push_back(random_below({3, 0, 1}, i, count));
    }
    double scale = 1;
    for (size_t i = 0; i < count; ++i) scale = std::max(scale, std::abs(analytic[i]));
    for (size_t e : elements) {
      auto shifted = [&](double by) {
        std::vector<Tensor> moved = inputs;
        moved[wrt[k]] = inputs[wrt[k]].clone();
        static_cast<double*>(moved[wrt[k]].data())[e] += by;
        return evaluate(differentiated, moved);
      };
      const double numeric = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
      EXPECT_NEAR(analytic[e], numeric, kTolerance * scale)
          << order << " derivative, operand " << wrt[k] << ", element " << e << "\n"
          << print(differentiated);
    }
  }
}

TEST_P(EveryOperator, FirstAndSecondDerivatives) {
  if (!op().gradient && !op().expand) return;
  for (const Sample& sample : samples()) {
    if (!sample.check_gradient) continue;
    Graph g = graph_of(op(), sample, false);
    const std::vector<Tensor> inputs = inputs_of(sample, false);
    std::vector<size_t> wrt;
    std::vector<Value> wrt_values;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (is_differentiable(inputs[i].dtype())) {
        wrt.push_back(i);
        wrt_values.push_back(g.inputs()[i]);
      }
    Value total;
    uint32_t stream = 1;
    for (Value v : std::vector<Value>(g.outputs())) {
      if (!is_differentiable(g.type(v).dtype)) continue;
      const Value part = weighted_sum(g, v, stream++);
      total = total.valid() ? ops::add(g, total, part) : part;
    }
    if (!total.valid() || wrt.empty()) continue;

    const std::vector<Value> first = gradients(g, total, wrt_values);
    Graph once = g;
    std::vector<Value> results = {total};
    results.insert(results.end(), first.begin(), first.end());
    once.set_outputs(results);
    verify(once);
    check(once, inputs, wrt, "first");

    Value slope;
    for (Value d : first) {
      const Value part = weighted_sum(g, d, stream++);
      slope = slope.valid() ? ops::add(g, slope, part) : part;
    }
    const std::vector<Value> second = gradients(g, slope, wrt_values);
    results = {slope};
    results.insert(results.end(), second.begin(), second.end());
    g.set_outputs(results);
    verify(g);
    check(g, inputs, wrt, "second");
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Gradients, EveryOperator, testing::ValuesIn(ops::standard_ops().all()), op_name);

}  // namespace
}  // namespace gregale::registry
