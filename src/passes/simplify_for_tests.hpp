// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "gregale/error.hpp"
#include "gregale/random.hpp"
#include "ir/core_ops.hpp"
#include "passes/passes.hpp"
#include "passes/simplify.hpp"

/// One rule at a time: a small program, what becomes of it, and the interpreter before and after.
namespace gregale::passes {

using Operands = std::vector<Value>;

inline const Type kReal(DType::f64, Shape{4, 3}), kRow(DType::f64, Shape{3}), kComplex(DType::c128, Shape{4, 3}),
    kInteger(DType::i64, Shape{4, 3});

/// A program over operands of the given types; `build` gives its results.
inline Graph program(const std::vector<Type>& types, const std::function<Operands(Graph&, const Operands&)>& build) {
  Graph g;
  Operands operands;
  for (const Type& type : types) operands.push_back(g.add_input(fmt::format("x{}", operands.size()), type));
  g.set_outputs(build(g, operands));
  return g;
}

/// The operators of a graph in order, constants and reads left out: "matmul,neg".
inline std::string ops_of(const Graph& g) {
  std::string text;
  for (const Node& node : g.nodes())
    if (node.op->name != kConstantOp && node.op->name != kReadOp) text += (text.empty() ? "" : ",") + node.op->name;
  return text;
}

inline Tensor random_tensor(const Type& type, uint32_t stream) {
  if (type.dtype == DType::boolean || is_integer(type.dtype)) {
    Tensor t(DType::i64, type.shape.extents());
    for (uint64_t i = 0; int64_t & x : t.as<int64_t>())
      x = static_cast<int64_t>(random_below({7, 1, stream}, i++, 9)) - 4;
    return t.cast(type.dtype);
  }
  const DType real = is_complex(type.dtype) ? DType::c128 : DType::f64;
  Tensor t(real, type.shape.extents());
  const auto draw = [&](uint64_t i) { return 2.0 * random_uniform(RandomKey{7, 0, stream}, i) - 1.0; };
  if (real == DType::f64) {
    for (uint64_t i = 0; double& x : t.as<double>()) x = draw(i++);
  } else {
    for (uint64_t i = 0; std::complex<double> & z : t.as<std::complex<double>>()) {
      z = {draw(2 * i), draw(2 * i + 1)};
      ++i;
    }
  }
  return t.cast(type.dtype);
}

inline void expect_close(const Tensor& got, const Tensor& expected) {
  ASSERT_EQ(got.type(), expected.type());
  if (!is_differentiable(got.dtype())) {
    EXPECT_TRUE(got.identical(expected));
    return;
  }
  const double tolerance = got.dtype() == DType::f64 || got.dtype() == DType::c128 ? 1e-13 : 1e-5;
  const Tensor g = got.cast(DType::c128), e = expected.cast(DType::c128);
  const auto x = g.as<std::complex<double>>(), y = e.as<std::complex<double>>();
  double scale = 1;
  for (auto z : y) scale = std::max(scale, std::abs(z));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_LE(std::abs(x[i] - y[i]), tolerance * scale) << "element " << i;
}

/// What simplification makes of it, with the results checked and the burden not above what it was.
inline Graph simplified(const Graph& g) {
  SCOPED_TRACE(print(g));
  const Graph simple = simplify(g);
  SCOPED_TRACE(print(simple));
  verify(simple);
  const Burden was = burden_of(drop_dead_nodes(g)), is = burden_of(simple);
  EXPECT_FALSE(is_lower(was, is));
  bool constant = true;
  std::vector<Tensor> inputs;
  for (Value v : g.inputs()) constant = constant && g.type(v).shape.is_constant();
  if (!constant || !g.variables().empty()) return simple;
  for (Value v : g.inputs()) inputs.push_back(random_tensor(g.type(v), static_cast<uint32_t>(v.id)));
  const auto expected = interpret(g, inputs), got = interpret(simple, inputs);
  EXPECT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) expect_close(got[i], expected[i]);
  return simple;
}

using Build = std::function<Operands(Graph&, const Operands&)>;

inline void becomes(const std::string& ops, const std::vector<Type>& types, const Build& build) {
  EXPECT_EQ(ops_of(simplified(program(types, build))), ops);
}

/// Nothing is applied.
inline void stays(const std::vector<Type>& types, const Build& build) {
  const Graph g = program(types, build);
  RuleCounts counts;
  simplify(g, counts);
  for (const auto& [name, count] : counts) EXPECT_EQ(count.applied, 0) << name << "\n" << print(g);
}

}  // namespace gregale::passes
