// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "exec/plan.hpp"
#include "gregale/exec.hpp"
#include "ir/inference.hpp"
#include "registry/one_op.hpp"

namespace gregale::registry {
namespace {

class EveryLowering : public EveryOperator {};

double largest(const RefArray& a) {
  double m = 0;
  if (is_real_float(a.type.dtype))
    for (double v : a.real()) m = std::isfinite(v) ? std::max(m, std::abs(v)) : m;
  if (is_complex(a.type.dtype))
    for (const auto& v : a.complex()) m = std::max(m, std::abs(v));
  return m;
}

void expect_close(const Tensor& got, const Tensor& expected, double tolerance_eps, const std::string& what) {
  ASSERT_EQ(got.type(), expected.type()) << what;
  const RefArray a = RefArray::from(got), b = RefArray::from(expected);
  const double tolerance = tolerance_eps * 1.2e-7 * std::max(largest(b), 1e-30);
  for (int64_t i = 0; i < b.size(); ++i) {
    const auto k = static_cast<size_t>(i);
    if (is_real_float(b.type.dtype)) {
      if (std::isnan(b.real()[k]))
        EXPECT_TRUE(std::isnan(a.real()[k])) << what << " element " << i;
      else if (std::isinf(b.real()[k]))
        EXPECT_EQ(a.real()[k], b.real()[k]) << what << " element " << i;
      else
        EXPECT_NEAR(a.real()[k], b.real()[k], tolerance) << what << " element " << i;
    } else if (is_complex(b.type.dtype)) {
      EXPECT_LE(std::abs(a.complex()[k] - b.complex()[k]), tolerance) << what << " element " << i;
    } else {
      EXPECT_EQ(a.integer()[k], b.integer()[k]) << what << " element " << i;
    }
  }
}

TEST_P(EveryLowering, AgreesWithTheReference) {
  const Target machine = Target::detect();
  for (const Sample& sample : samples()) {
    const Graph g = graph_of(op(), sample, true);
    const auto inputs = inputs_of(sample, true);
    const auto expected = interpret(g, inputs);
    for (const Isa isa : {Isa::reference, Isa::avx2, Isa::avx512}) {
      if (isa > machine.isa) continue;
      const Target target = machine.capped(isa);
      ExecutionContext context(make_thread_team(2));
      const Executable executable = compile(g, {target, false});
      const auto got = executable.run(context, inputs);
      for (size_t i = 0; i < got.size(); ++i)
        expect_close(got[i], expected[i], op().tolerance_eps,
                     to_string(isa) + std::string("\n") + print(g) + executable.describe());
    }
  }
}

// A lowering may only claim to be in place when running on one buffer gives what running on two does.
TEST_P(EveryLowering, IsInPlaceWhereItSaysSo) {
  const Target target = Target::detect();
  ExecutionContext context(make_thread_team(1));
  for (const Sample& sample : samples()) {
    const Graph g = graph_of(op(), sample, true);
    const NodeView view = view_of(g, g.nodes().back());
    const Choice choice = choose_kernel(view, target);
    if (choice.reference) continue;
    std::vector<Tensor> expected = interpret(g, inputs_of(sample, true));
    for (const auto& [output, input] : choice.kernel.in_place) {
      if (view.outputs()[static_cast<size_t>(output)].bytes() > view.inputs()[static_cast<size_t>(input)].bytes())
        continue;
      std::vector<Tensor> inputs, outputs;
      for (const Tensor& t : inputs_of(sample, true)) inputs.push_back(t.clone());
      std::vector<const void*> in;
      std::vector<void*> out;
      for (const Tensor& t : inputs) in.push_back(t.data());
      for (const Type& t : view.outputs()) {
        outputs.emplace_back(t.dtype, t.shape.extents());
        out.push_back(outputs.back().data());
      }
      out[static_cast<size_t>(output)] = const_cast<void*>(in[static_cast<size_t>(input)]);
      Tensor scratch(DType::u8, {choice.kernel.scratch_bytes});
      Tensor thread_scratch(DType::u8, {choice.kernel.thread_scratch_bytes * context.team().size()});
      choice.kernel.run({in.data(), out.data(), static_cast<std::byte*>(scratch.data()), context.team(),
                         static_cast<std::byte*>(thread_scratch.data())});
      const Type& type = view.outputs()[static_cast<size_t>(output)];
      expect_close(Tensor::borrow(out[static_cast<size_t>(output)], type.dtype, type.shape.extents()),
                   expected[static_cast<size_t>(output)], op().tolerance_eps, choice.name + " in place\n" + print(g));
    }
  }
}

TEST_P(EveryLowering, GivesTheSameBitsForAnyNumberOfThreads) {
  const Target target = Target::detect();
  for (const Sample& sample : samples()) {
    const Graph g = graph_of(op(), sample, true);
    const Executable executable = compile(g, {target, false});
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 3}) {
      ExecutionContext context(make_thread_team(threads, TeamKind::std_thread));
      const auto got = executable.run(context, inputs_of(sample, true));
      if (first.empty()) first = got;
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_TRUE(got[i].identical(first[i])) << threads << " threads\n" << print(g);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Lowering, EveryLowering, testing::ValuesIn(ops::standard_ops().all()), op_name);

}  // namespace
}  // namespace gregale::registry
