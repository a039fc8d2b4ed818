// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Contractions with prologues and epilogues.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/contraction/contraction_test_support.hpp"

namespace gregale::kernels {
namespace {

using namespace testing;
using Batch = ContractionDesc::Batch;

/// max(0, sums * parameter + bias[n] + scale[m]) + residual[m, n]
Expression bias_relu_residual() {
  Expression e;
  const auto scaled = e.apply(ExprOp::mul, e.input(0), e.parameter(0));
  const auto biased = e.apply(ExprOp::add, scaled, e.input(1));
  const auto shifted = e.apply(ExprOp::add, biased, e.input(2));
  e.output(e.apply(ExprOp::add, e.apply(ExprOp::relu, shifted), e.input(3)));
  return e;
}

/// sums - max of their row
Expression less_row_maximum() {
  Expression e;
  const auto x = e.input(0);
  e.output(e.apply(ExprOp::sub, x, e.apply(ExprOp::row_max, x)));
  return e;
}

Expression squared() {
  Expression e;
  e.output(e.apply(ExprOp::square, e.input(0)));
  return e;
}

Expression relu() {
  Expression e;
  e.output(e.apply(ExprOp::relu, e.input(0)));
  return e;
}

/// The operands of bias_relu_residual.
struct Inputs {
  std::vector<float> bias, shift, residual;
  std::vector<bf16> narrow;
  int64_t leading[3];
  std::vector<const void*> data;

  Inputs(ContractionDesc& desc, bool leading_at_call) {
    const int64_t columns = desc.n + 5;
    bias = randoms(desc.n, 21);
    shift = randoms(desc.m, 22);
    residual = randoms(desc.m * columns, 23);
    for (float x : residual) narrow.push_back(to_bf16(x));
    leading[0] = leading[1] = 0;
    leading[2] = columns;
    data = {bias.data(), shift.data(), narrow.data()};
    desc.epilogue_inputs = {{DType::f32, Broadcast::row, kAtCall},
                            {DType::f32, Broadcast::column, kAtCall},
                            {DType::bf16, Broadcast::none, leading_at_call ? kAtCall : columns}};
  }
};

constexpr double kParameters[] = {0.75};

std::vector<char> run(const Problem& problem, const ContractionKernel& kernel, const Inputs* inputs) {
  ContractionCall call = problem.call();
  if (inputs != nullptr) {
    call.epilogue_inputs = inputs->data.data();
    call.epilogue_leading = inputs->leading;
    call.epilogue_parameters = kParameters;
  }
  return problem.run(kernel, call);
}

/// Within what rounding of sums and results allows.
void expect_near(const Problem& problem, const std::vector<char>& got, const std::vector<char>& expected,
                 const std::string& what) {
  const ContractionDesc& d = problem.desc;
  const double unit = d.compute == Compute::f64 ? 0x1p-52 : 0x1p-23;
  const double absolute = unit * 8 * std::sqrt(static_cast<double>(1 + d.k * d.batch));
  const double relative = d.c == DType::bf16 ? 0x1p-7 : 4 * unit;
  int bad = 0;
  for (int64_t row = 0; row < d.m; ++row) {
    for (int64_t column = 0; column < d.n; ++column) {
      const double x = load_element(d.c, got.data(), row * d.ldc + column);
      const double y = load_element(d.c, expected.data(), row * d.ldc + column);
      if (!(std::fabs(x - y) <= absolute + relative * std::fabs(y)) && ++bad <= 3) {
        ADD_FAILURE() << what << ": c(" << row << ", " << column << ") is " << x << ", not " << y;
      }
    }
  }
  ASSERT_EQ(bad, 0) << what;
}

constexpr Dtypes kExpressionDtypes[] = {
    {DType::f32, DType::f32, DType::f32, Compute::f32},    {DType::f64, DType::f64, DType::f64, Compute::f64},
    {DType::bf16, DType::bf16, DType::bf16, Compute::f32}, {DType::f32, DType::f32, DType::bf16, Compute::f32},
    {DType::bf16, DType::bf16, DType::f32, Compute::bf16},
};

struct Extents {
  int64_t m, n, k, batch;
};
constexpr Extents kExtents[] = {{1, 1, 1, 1},   {5, 18, 9, 1},    {37, 70, 21, 2},  {150, 65, 40, 1},
                                {3, 300, 7, 3}, {200, 129, 5, 1}, {19, 33, 140, 1}, {70, 64, 0, 1}};

TEST(ContractionExpressions, Epilogue) {
  const Target reference = Target::detect().capped(Isa::reference);
  unsigned count = 0;
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kExpressionDtypes) {
      for (const Extents& s : kExtents) {
        ++count;
        ContractionDesc desc = desc_of(s.m, s.n, s.k, dtypes);
        desc.batch = s.batch;
        if (s.batch > 1) desc.addressing = static_cast<Batch>(1 + count % 3);
        desc.accumulate = desc.c != DType::bf16 && count % 2 == 0;
        desc.trans_a = count % 5 == 0;
        desc.trans_b = count % 4 == 0;
        desc.epilogue = bias_relu_residual();
        const Inputs inputs(desc, count % 3 == 0);
        const Problem problem(desc, count, static_cast<int64_t>(count % 2) * 3);
        const auto kernel = ContractionKernel::compile(target, problem.desc);
        const auto plain = ContractionKernel::compile(reference, problem.desc);
        const auto got = run(problem, *kernel, &inputs);
        expect_near(problem, got, run(problem, *plain, &inputs), to_string(kernel->info()));
        if (HasFatalFailure()) return;
        if (target.isa == Isa::reference) continue;
        EXPECT_NE(kernel->info().isa, Isa::reference) << to_string(kernel->info());
        const auto open = ContractionKernel::compile(target, opened(problem.desc, ~0u));
        EXPECT_EQ(run(problem, *open, &inputs), got) << to_string(open->info());
      }
    }
  }
}

TEST(ContractionExpressions, EpilogueThatReducesRows) {
  const Target reference = Target::detect().capped(Isa::reference);
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kExpressionDtypes) {
      for (const Extents& s : kExtents) {
        ContractionDesc desc = desc_of(s.m, s.n, s.k, dtypes);
        desc.epilogue = less_row_maximum();
        desc.trans_b = s.m % 2 != 0;
        const Problem problem(desc, 3);
        const auto kernel = ContractionKernel::compile(target, problem.desc);
        const auto plain = ContractionKernel::compile(reference, problem.desc);
        expect_near(problem, run(problem, *kernel, nullptr), run(problem, *plain, nullptr), to_string(kernel->info()));
        if (HasFatalFailure()) return;
        EXPECT_EQ(kernel->info().isa == Isa::reference, target.isa == Isa::reference);
        ContractionDesc open = problem.desc;
        open.n = kAtCall;  // only the reference takes rows of any length
        const auto any = ContractionKernel::compile(target, open);
        EXPECT_EQ(any->info().isa, Isa::reference);
        expect_near(problem, run(problem, *any, nullptr), run(problem, *plain, nullptr), to_string(any->info()));
      }
    }
  }
}

TEST(ContractionExpressions, Prologues) {
  const Target reference = Target::detect().capped(Isa::reference);
  unsigned count = 0;
  for (const Target& target : contraction_targets()) {
    for (const Dtypes& dtypes : kExpressionDtypes) {
      if (dtypes.compute == Compute::bf16) continue;
      for (const Extents& s : kExtents) {
        for (int which = 1; which < 4; ++which) {
          ++count;
          ContractionDesc desc = desc_of(s.m, s.n, s.k, dtypes);
          desc.batch = s.batch;
          if (s.batch > 1) desc.addressing = static_cast<Batch>(1 + count % 3);
          desc.accumulate = desc.c != DType::bf16 && count % 4 == 0;
          desc.trans_a = count % 5 < 2;
          desc.trans_b = count % 3 == 0;
          if (which & 1) desc.prologue_a = squared();
          if (which & 2) desc.prologue_b = relu();
          if (count % 7 == 0) desc.epilogue = less_row_maximum();
          const Problem problem(desc, count, static_cast<int64_t>(count % 3));
          const auto kernel = ContractionKernel::compile(target, problem.desc);
          const auto plain = ContractionKernel::compile(reference, problem.desc);
          const auto got = run(problem, *kernel, nullptr);
          expect_near(problem, got, run(problem, *plain, nullptr), to_string(kernel->info()));
          if (HasFatalFailure()) return;
          if (target.isa == Isa::reference || !desc.epilogue.empty()) continue;
          const auto open = ContractionKernel::compile(target, opened(problem.desc, ~0u));
          EXPECT_EQ(run(problem, *open, nullptr), got) << to_string(open->info());
        }
      }
    }
  }
}

TEST(ContractionExpressions, WhatIsImpossibleIsNamed) {
  ContractionDesc desc = desc_of(4, 4, 4);
  desc.lda = desc.ldb = desc.ldc = 4;
  desc.prologue_a = less_row_maximum();
  EXPECT_THROW(ContractionKernel::compile(Target::detect(), desc), Error);
  desc.prologue_a = Expression();
  desc.epilogue_inputs.resize(1);
  EXPECT_THROW(ContractionKernel::compile(Target::detect(), desc), Error);  // no epilogue
  desc.epilogue_inputs.clear();
  desc.prologue_b = squared();
  desc.compute = Compute::fp32x3;
  EXPECT_THROW(ContractionKernel::compile(Target::detect(), desc), Error);
}

}  // namespace
}  // namespace gregale::kernels
