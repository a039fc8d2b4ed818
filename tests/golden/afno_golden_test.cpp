// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "data/safetensors.hpp"
#include "gregale/autodiff.hpp"
#include "gregale/exec.hpp"
#include "gregale/nn.hpp"

/// The AFNO filter against golden values that NumPy computed in f64 (afno_golden.py), and its gradient against
/// differences.
namespace gregale {
namespace {

struct Case {
  std::string name;
  int64_t blocks;
  double hidden_factor, threshold;
};

const Case kCases[] = {{"odd", 4, 1, 0.01}, {"even", 3, 2, 0.2}};
constexpr const char* kWeights[] = {"w1", "b1", "w2", "b2"};

class AfnoGolden : public testing::TestWithParam<Case> {
 protected:
  AfnoGolden() : file_(data::read_safetensors(GREGALE_GOLDEN)) {}

  const Tensor& golden(const std::string& what) const { return file_.tensors.at(GetParam().name + "/" + what); }
  nn::AfnoFilterOptions options() const {
    nn::AfnoFilterOptions o;
    o.blocks = GetParam().blocks;
    o.hidden_factor = GetParam().hidden_factor;
    o.sparsity_threshold = GetParam().threshold;
    return o;
  }
  VariableValues weights(DType dtype) const {
    VariableValues values;
    for (const char* w : kWeights) values[std::string("f/") + w] = golden(w).cast(dtype);
    return values;
  }

 private:
  data::Safetensors file_;
};

double greatest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.extents(), b.extents());
  const Tensor x = a.cast(DType::f64), y = b.cast(DType::f64);
  double greatest = 0;
  for (size_t i = 0; i < x.as<double>().size(); ++i) {
    const double d = std::fabs(x.as<double>()[i] - y.as<double>()[i]);
    greatest = d <= greatest ? greatest : d;  // NaN stays
  }
  return greatest;
}

/// The filter as a graph; with `symbolic` its batch has no extent yet.
Graph filter(const Tensor& x, DType dtype, const nn::AfnoFilterOptions& options, bool symbolic = false) {
  Graph g("filter");
  Shape shape(x.extents());
  if (symbolic) shape[0] = Dim::symbol("batch");
  const Value input = g.add_input("x", Type(dtype, shape));
  nn::Scope scope(g, {}, dtype);
  g.set_outputs({nn::afno_filter(scope, "f", input, options)}, {"y"});
  return g;
}

TEST_P(AfnoGolden, CompiledInF32) {
  const Executable program = compile(filter(golden("x"), DType::f32, options()));
  ExecutionContext context;
  VariableValues state = weights(DType::f32);
  const Tensor y = program.run(context, {golden("x").cast(DType::f32)}, &state)[0];
  EXPECT_LT(greatest_difference(y, golden("y")), 1e-5);
}

TEST_P(AfnoGolden, InterpretedInF64) {
  VariableValues state = weights(DType::f64);
  const Tensor y = interpret(filter(golden("x"), DType::f64, options()), {golden("x")}, &state)[0];
  EXPECT_LT(greatest_difference(y, golden("y")), 1e-10);
}

TEST_P(AfnoGolden, ASymbolicBatchGivesTheSame) {
  VariableValues state = weights(DType::f64);
  const Graph g = filter(golden("x"), DType::f64, options(), true);
  const Tensor y = interpret(bind_symbols(g, {{"batch", golden("x").extent(0)}}), {golden("x")}, &state)[0];
  EXPECT_LT(greatest_difference(y, golden("y")), 1e-10);
}

TEST_P(AfnoGolden, TheNonlinearitiesAreAtWork) {
  // Were the threshold of no consequence, or the filter linear, the values above would not tell.
  VariableValues state = weights(DType::f64);
  nn::AfnoFilterOptions other = options();
  other.sparsity_threshold *= 1.01;
  const Tensor y = interpret(filter(golden("x"), DType::f64, other), {golden("x")}, &state)[0];
  EXPECT_GT(greatest_difference(y, golden("y")), 1e-6);
  EXPECT_GT(greatest_difference(golden("x"), golden("y")), 0.1);
}

/// loss = sum(y * c) with fixed c; its gradients with respect to x and the weights against central differences.
TEST_P(AfnoGolden, GradientsAreDifferences) {
  Graph g("gradients");
  const Value x = g.add_input("x", golden("x").type());
  nn::Scope scope(g, {}, DType::f64);
  const Value y = nn::afno_filter(scope, "f", x, options());
  Tensor c(DType::f64, golden("y").extents());
  for (int64_t i = 0; i < c.size(); ++i)
    c.as<double>()[static_cast<size_t>(i)] = std::sin(1.7 * static_cast<double>(i) + 0.3);
  const Value loss = ops::sum(g, ops::mul(g, y, g.constant(c)));
  Graph forward = g;
  forward.set_outputs({loss});
  std::vector<Value> wrt{x};
  wrt.insert(wrt.end(), scope.values().begin(), scope.values().end());
  g.set_outputs(gradients(g, loss, wrt));

  const auto evaluate = [&](const Tensor& input, VariableValues state) {
    return interpret(forward, {input}, &state)[0].as<double>()[0];
  };
  VariableValues state = weights(DType::f64);
  const std::vector<Tensor> d = interpret(g, {golden("x")}, &state);
  for (size_t which = 0; which < d.size(); ++which) {
    const std::string name = which == 0 ? "x" : scope.parameters()[which - 1].name;
    const Tensor& at = which == 0 ? golden("x") : state.at(name);
    const auto gradient = d[which].as<double>();
    ASSERT_EQ(d[which].extents(), at.extents()) << name;
    const auto moved = [&](const std::function<double(size_t)>& direction, double step) {
      Tensor t = at.clone();
      for (size_t i = 0; i < gradient.size(); ++i) t.as<double>()[i] += step * direction(i);
      VariableValues other = state;
      if (which > 0) other[name] = t;
      return evaluate(which == 0 ? t : golden("x"), other);
    };
    const double h = 1e-6;
    const auto difference = [&](const std::function<double(size_t)>& direction) {
      return (moved(direction, h) - moved(direction, -h)) / (2 * h);
    };
    // Every element at once, along two directions, then some by themselves.
    for (double phase : {0.0, 1.0}) {
      const auto direction = [&](size_t i) { return std::cos(0.9 * static_cast<double>(i) + phase); };
      double along = 0, size = 0;
      for (size_t i = 0; i < gradient.size(); ++i) {
        along += gradient[i] * direction(i);
        size += std::fabs(gradient[i] * direction(i));
      }
      EXPECT_NEAR(along, difference(direction), 1e-6 * std::max(1.0, size)) << name;
    }
    const size_t stride = std::max<size_t>(1, gradient.size() / 8);
    for (size_t j = 0; j < gradient.size(); j += stride) {
      const double expected = difference([&](size_t i) { return i == j ? 1.0 : 0.0; });
      EXPECT_NEAR(gradient[j], expected, 1e-6 * std::max(1.0, std::fabs(expected))) << name << "[" << j << "]";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, AfnoGolden, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gregale
