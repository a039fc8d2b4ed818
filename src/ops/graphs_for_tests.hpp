// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "ir/inference.hpp"
#include "ops/common.hpp"

/// What the tests of single operators share.
namespace gregale::ops {

using Build = std::function<Value(Graph&, const std::vector<Value>&)>;

/// What the references make of a graph of one result.
inline Tensor evaluate(const std::vector<Tensor>& inputs, const Build& build) {
  Graph g;
  std::vector<Value> values;
  for (const Tensor& t : inputs) values.push_back(g.add_input(fmt::format("x{}", values.size()), t.type()));
  g.set_outputs({build(g, values)});
  verify(g);
  return interpret(g, inputs)[0];
}

/// The cotangent of input `i` of the node that makes y, as its operator's gradient gives it.
inline Value pull_back(Graph& g, Value y, Value d_y, int64_t i) {
  const Node node = g.nodes()[static_cast<size_t>(g.producer(y))];
  const NodeView view = view_of(g, node);
  GradientContext context(g, node, {d_y});
  context.set_view(&view);
  node.op->gradient(context);
  return context.d_inputs().at(static_cast<size_t>(i));
}

/// sum of re re + im im: the inner product for which cotangents of complex numbers are d/d(re) + i d/d(im).
inline double dot(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(to_string(a.type()), to_string(b.type()));
  double sum = 0;
  if (is_complex(a.dtype())) {
    const auto x = a.as<std::complex<double>>(), y = b.as<std::complex<double>>();
    for (size_t i = 0; i < x.size(); ++i) sum += (std::conj(x[i]) * y[i]).real();
  } else {
    const auto x = a.as<double>(), y = b.as<double>();
    for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  }
  return sum;
}

inline Tensor sample_like(const Tensor& t, uint32_t stream) {
  return is_complex(t.dtype()) ? sample_complex(t.extents(), stream) : sample_uniform(t.extents(), stream);
}

/// An operator that is affine in input `i`: <d, f(x) - f(0)> = <gradient, x> whatever x and d are, without differences.
/// `may_vanish`: the result may not depend on the input at all.
inline void expect_adjoint(const std::vector<Tensor>& inputs, size_t i, const Build& build, bool may_vanish = false) {
  std::vector<Tensor> without = inputs;
  without[i] = Tensor(inputs[i].dtype(), inputs[i].extents());
  const Tensor y = evaluate(inputs, build), y0 = evaluate(without, build);
  const Tensor d = sample_like(y, 77);
  std::vector<Tensor> with_d = inputs;
  with_d.push_back(d);
  const Tensor d_x = evaluate(with_d, [&](Graph& g, const std::vector<Value>& v) {
    const Value result = build(g, {v.begin(), v.end() - 1});
    return pull_back(g, result, v.back(), static_cast<int64_t>(i));
  });
  const double expected = dot(d, y) - dot(d, y0), given = dot(d_x, inputs[i]);
  EXPECT_NEAR(given, expected, 1e-12 * (1 + static_cast<double>(y.size() + inputs[i].size())));
  EXPECT_TRUE(may_vanish || y.size() == 0 || inputs[i].size() == 0 || expected != 0) << "a test that proves nothing";
}

template <class T>
std::vector<T> values_of(const Tensor& t) {
  const auto v = t.as<T>();
  return {v.begin(), v.end()};
}

/// The statement throws Error with this message.
#define EXPECT_ERROR(statement, text)                                     \
  do {                                                                    \
    try {                                                                 \
      (void)(statement);                                                  \
      ADD_FAILURE() << "no error; expected: " << (text);                  \
    } catch (const ::gregale::Error& error) {                             \
      EXPECT_THAT(std::string(error.what()), ::testing::HasSubstr(text)); \
    }                                                                     \
  } while (false)

}  // namespace gregale::ops
