// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Accuracy of the elementary functions against f64.
#include <bit>
#include <cmath>
#include <cstdlib>

#include "kernels/expression/expression_test_support.hpp"

namespace gregale::kernels {
namespace {

struct Function {
  ExprOp op;
  double (*exact)(double);
};
double sigmoid(double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
const Function kFunctions[] = {
    {ExprOp::exp, std::exp},
    {ExprOp::log, std::log},
    {ExprOp::tanh, std::tanh},
    {ExprOp::erf, std::erf},
    {ExprOp::sigmoid, sigmoid},
    {ExprOp::sin, std::sin},
    {ExprOp::cos, std::cos},
    {ExprOp::sqrt, std::sqrt},
    {ExprOp::reciprocal, [](double x) { return 1 / x; }},
    {ExprOp::reciprocal_sqrt, [](double x) { return 1 / std::sqrt(x); }},
};

std::shared_ptr<const ExpressionKernel> kernel_of(Isa isa, ExprOp op) {
  ExpressionDesc desc;
  desc.inputs.resize(1);
  desc.outputs.resize(1);
  desc.expression.output(desc.expression.apply(op, desc.expression.input(0)));
  return testing::compiled(isa, desc);
}

std::vector<float> evaluate(const ExpressionKernel& kernel, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  const void* in = x.data();
  void* out = y.data();
  ExpressionCall call;
  call.m = 1;
  call.n = static_cast<int64_t>(x.size());
  call.inputs = &in;
  call.outputs = &out;
  call.input_leading = call.output_leading = &call.n;
  kernel(call);
  return y;
}

/// The greatest distance in ulp over `x`, and where.
std::pair<double, float> worst(const Function& function, const std::vector<float>& x, const std::vector<float>& y) {
  std::pair<double, float> result{0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    const double distance = testing::ulps(y[i], function.exact(static_cast<double>(x[i])));
    if (distance > result.first) result = {distance, x[i]};
  }
  return result;
}

TEST(ExpressionMath, WithinTwoUlpOverAllNumbers) {
  // Every 6151st of the 2^32 bit patterns: all signs, exponents, infinities and NaN. GREGALE_ULP_STEP=13 in the
  // environment looks closer.
  const char* closer = std::getenv("GREGALE_ULP_STEP");
  const uint64_t step = closer != nullptr ? std::strtoull(closer, nullptr, 10) : 6151;
  ASSERT_GE(step, 1u);
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += step) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (const Isa isa : testing::isas()) {
    if (isa == Isa::reference) continue;
    for (const Function& function : kFunctions) {
      const auto kernel = kernel_of(isa, function.op);
      ASSERT_EQ(kernel->info().isa, isa);
      const auto [distance, where] = worst(function, x, evaluate(*kernel, x));
      EXPECT_LE(distance, 2) << to_string(isa) << " " << expression::name_of(function.op) << " at " << where;
    }
  }
}

TEST(ExpressionMath, AtTheEdges) {
  std::vector<float> x;
  const float edges[] = {0.0f,
                         1e-45f,
                         1.17549421e-38f,
                         1.17549435e-38f,
                         0.0625f,
                         0.1328125f,
                         0.55f,
                         0.6f,
                         0.70710678f,
                         0.75f,
                         1.0f,
                         1.41421356f,
                         1.57079633f,
                         3.14159265f,
                         3.9f,
                         4.0f,
                         4.1f,
                         9.0f,
                         9.02f,
                         17.3f,
                         87.33f,
                         88.0f,
                         88.72f,
                         88.73f,
                         89.0f,
                         103.9f,
                         104.0f,
                         110.0f,
                         9999.9f,
                         1e4f,
                         102943.7f,
                         3.4e38f,
                         INFINITY,
                         NAN};
  for (float edge : edges) {
    uint32_t bits = std::bit_cast<uint32_t>(edge);
    for (int offset = -40; offset <= 40; ++offset) {
      const float value = std::bit_cast<float>((bits + static_cast<uint32_t>(offset)) & 0x7fffffffu);
      x.push_back(value);
      x.push_back(-value);
    }
  }
  for (int i = 0; i < 6400; ++i) x.push_back(static_cast<float>(i * 1.57079632679489661923));  // multiples of pi / 2
  for (const Isa isa : testing::isas()) {
    if (isa == Isa::reference) continue;
    for (const Function& function : kFunctions) {
      const auto kernel = kernel_of(isa, function.op);
      const auto [distance, where] = worst(function, x, evaluate(*kernel, x));
      EXPECT_LE(distance, 2) << to_string(isa) << " " << expression::name_of(function.op) << " at " << where;
    }
  }
}

/// Division by a constant, which is not the instruction's, rounds as it does.
TEST(ExpressionMath, DividesByConstants) {
  std::vector<float> x{0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e38f, -1e38f, 3e-38f, 1e-30f};
  for (uint32_t i = 0; i < 200000; ++i) {  // of every size, and small whole numbers and their halves
    x.push_back(std::bit_cast<float>(0x10000000u + i * 2654435761u % 0x60000000u));
    x.push_back(static_cast<float>(static_cast<int>(i % 4000) - 2000) / 2);
  }
  for (const Isa isa : testing::isas()) {
    if (isa == Isa::reference) continue;  // it wants scratch
    for (const float divisor :
         {3.0f, -7.0f, 0.1f, 255.0f, 1.0f / 3, 0.017453292f, 1.9999999f, -1e-9f, 1e9f, 8.0f, 1e-20f}) {
      ExpressionDesc desc;
      desc.inputs.resize(1);
      desc.outputs.resize(1);
      Expression& e = desc.expression;
      e.output(e.apply(ExprOp::div, e.input(0), e.constant(divisor)));
      const std::vector<float> y = evaluate(*testing::compiled(isa, desc), x);
      for (size_t i = 0; i < x.size(); ++i) {
        const float expected = x[i] / divisor;
        if (std::isnan(expected)) {
          EXPECT_TRUE(std::isnan(y[i])) << x[i] << " / " << divisor;
        } else if (expected == 0 || (std::abs(x[i]) > 1e-30f && std::abs(expected) > 1.2e-37f)) {
          ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(expected)) << x[i] << " / " << divisor;
        } else {
          ASSERT_NEAR(y[i], expected, std::abs(expected) * 1.2e-7f + 3e-45f)
              << x[i] << " / " << divisor;  // what is left over underflows
        }
      }
    }
  }
}

TEST(ExpressionMath, SpecialValuesAreExact) {
  struct Expected {
    ExprOp op;
    float x, y;
  };
  const Expected expected[] = {
      {ExprOp::exp, 0, 1},
      {ExprOp::exp, -INFINITY, 0},
      {ExprOp::exp, INFINITY, INFINITY},
      {ExprOp::log, 1, 0},
      {ExprOp::log, 0, -INFINITY},
      {ExprOp::log, INFINITY, INFINITY},
      {ExprOp::log, -1, NAN},
      {ExprOp::tanh, INFINITY, 1},
      {ExprOp::tanh, -INFINITY, -1},
      {ExprOp::tanh, -0.0f, -0.0f},
      {ExprOp::erf, INFINITY, 1},
      {ExprOp::erf, -INFINITY, -1},
      {ExprOp::erf, -0.0f, -0.0f},
      {ExprOp::sigmoid, INFINITY, 1},
      {ExprOp::sigmoid, -INFINITY, 0},
      {ExprOp::sigmoid, 0, 0.5f},
      {ExprOp::sin, -0.0f, -0.0f},
      {ExprOp::sin, INFINITY, NAN},
      {ExprOp::cos, 0, 1},
      {ExprOp::cos, -INFINITY, NAN},
      {ExprOp::relu, NAN, NAN},
      {ExprOp::relu, -INFINITY, 0},
      {ExprOp::sign, NAN, NAN},
      {ExprOp::sign, -0.0f, -0.0f},
      {ExprOp::sign, -1e-45f, -1},
      {ExprOp::round, 2.5f, 2},
      {ExprOp::round, 3.5f, 4},
      {ExprOp::round, -0.25f, -0.0f},
      {ExprOp::round, 8388609, 8388609},
      {ExprOp::floor, -0.25f, -1},
      {ExprOp::floor, -INFINITY, -INFINITY},
      {ExprOp::ceil, -0.25f, -0.0f},
      {ExprOp::ceil, 1e-30f, 1},
      {ExprOp::ceil, NAN, NAN},
      {ExprOp::reciprocal, -0.0f, -INFINITY},
      {ExprOp::reciprocal_sqrt, 0, INFINITY},
  };
  for (const Isa isa : testing::isas()) {
    for (const Expected& e : expected) {
      const auto kernel = kernel_of(isa, e.op);
      std::vector<float> y(3);
      const std::vector<float> x(3, e.x);
      testing::Scratch scratch(kernel->scratch_bytes(3));
      const void* in = x.data();
      void* out = y.data();
      ExpressionCall call;
      call.m = 1;
      call.n = 3;
      call.inputs = &in;
      call.outputs = &out;
      call.input_leading = call.output_leading = &call.n;
      call.scratch = scratch.get();
      (*kernel)(call);
      const bool same = std::isnan(e.y) ? std::isnan(y[2]) : y[2] == e.y && std::signbit(y[2]) == std::signbit(e.y);
      EXPECT_TRUE(same) << to_string(isa) << " " << expression::name_of(e.op) << "(" << e.x << ") = " << y[2];
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
