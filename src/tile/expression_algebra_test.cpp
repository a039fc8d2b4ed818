// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Expressions rid of scales: what becomes of some, and that random ones keep every bit.
#include "tile/expression_algebra.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "gregale/random.hpp"

namespace gregale::tile {
namespace {

using kernels::Expression;
using kernels::ExprOp;
using Id = Expression::Id;

std::string simpler(const std::string& text) { return without_scales(Expression::parse(text).value()).to_string(); }

TEST(ExpressionAlgebra, ScalesWaitForTheEnd) {
  EXPECT_EQ(simpler("out0 = add(mul(sub(in0, in1), 2), negate(mul(sub(in2, in0), 2)))"),
            "out0 = mul(sub(sub(in0, in1), sub(in2, in0)), 2)");
  EXPECT_EQ(simpler("out0 = add(add(0, negate(in0)), 0)"), "out0 = negate(in0)");
  EXPECT_EQ(simpler("out0 = sub(negate(in0), in1)"), "out0 = negate(add(in0, in1))");
  EXPECT_EQ(simpler("out0 = add(in0, mul(in1, -4))"), "out0 = add(in0, mul(in1, -4))");
  EXPECT_EQ(simpler("out0 = mul(negate(in0), mul(0.5, in1))"), "out0 = mul(mul(in0, in1), -0.5)");
  EXPECT_EQ(simpler("out0 = square(mul(in0, -2))"), "out0 = mul(square(in0), 4)");
  EXPECT_EQ(simpler("out0 = exp(mul(in0, 2)); out1 = row_sum(negate(in0))"),
            "out0 = exp(mul(in0, 2)); out1 = row_sum(negate(in0))");
  // Three is no power of two: its product is rounded.
  EXPECT_EQ(simpler("out0 = add(mul(in0, 3), mul(in1, 3))"), "out0 = add(mul(in0, 3), mul(in1, 3))");
}

/// Columns of a row, computed from three operands.
std::vector<float> evaluate(const Expression& e, const std::vector<std::vector<float>>& operands) {
  kernels::ExpressionDesc desc;
  desc.expression = e;
  desc.inputs.resize(operands.size());
  desc.outputs.resize(1);
  const auto n = static_cast<int64_t>(operands[0].size());
  desc.m = 1;
  desc.n = n;
  for (auto* list : {&desc.inputs, &desc.outputs})
    for (kernels::ExpressionOperand& o : *list) o.leading = n;
  const auto kernel = kernels::ExpressionKernel::compile(Target(), desc);
  std::vector<std::byte> scratch(static_cast<size_t>(kernel->scratch_bytes(n)) + 64);
  const auto at = reinterpret_cast<uintptr_t>(scratch.data());
  std::vector<float> y(operands[0].size());
  std::vector<const void*> inputs;
  for (const auto& x : operands) inputs.push_back(x.data());
  void* output = y.data();
  kernels::ExpressionCall call;
  call.inputs = inputs.data();
  call.outputs = &output;
  call.scratch = scratch.data() + (64 - at % 64) % 64;
  (*kernel)(call);
  return y;
}

TEST(ExpressionAlgebra, KeepsEveryBit) {
  constexpr double kConstants[] = {0, 1, -1, 2, -0.5, 0.25, 3, -0.3};
  constexpr ExprOp kPairs[] = {ExprOp::add, ExprOp::sub, ExprOp::mul, ExprOp::add, ExprOp::sub, ExprOp::max};
  size_t fewer = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    uint64_t drawn = 0;
    const auto below = [&](uint64_t n) { return random_below({1, 5, seed}, drawn++, n); };
    std::vector<std::vector<float>> operands(3, std::vector<float>(40));
    for (auto& x : operands)
      for (float& v : x) v = static_cast<float>(2 * random_uniform(RandomKey{1, 6, seed}, drawn++) - 1);
    Expression e;
    std::vector<Id> ids{e.input(0), e.input(1), e.input(2)};
    for (const double c : kConstants) ids.push_back(e.constant(c));
    const auto any = [&] { return ids[below(ids.size())]; };
    for (int i = 0; i < 14; ++i) {
      const uint64_t kind = below(8);
      ids.push_back(kind == 6   ? e.apply(ExprOp::negate, any())
                    : kind == 7 ? e.apply(ExprOp::square, any())
                                : e.apply(kPairs[kind], any(), any()));
    }
    Id sum = ids[0];  // every operand is used
    for (const size_t i : {size_t{1}, size_t{2}, ids.size() - 1, ids.size() - 2, ids.size() - 3})
      sum = e.apply(ExprOp::add, sum, ids[i]);
    e.output(sum);
    const Expression simple = without_scales(e);
    const std::vector<float> expected = evaluate(e, operands), got = evaluate(simple, operands);
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(got[i], expected[i]) << "seed " << seed << ": " << e.to_string() << "\n" << simple.to_string();
    fewer += simple.nodes().size() < e.nodes().size() ? 1 : 0;
  }
  EXPECT_GT(fewer, 200u);
}

}  // namespace
}  // namespace gregale::tile
