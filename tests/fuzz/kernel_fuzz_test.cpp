// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Random descriptors of tile primitives, each run on every instruction set of this machine beside the plain reference.
// A family is a function from a number to a check; case `number` is the same in every run and on every machine.
// GREGALE_FUZZ_CASES=100000 in the environment looks further than the plain test does; what it finds goes into
// kernel_seeds.hpp.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "fuzz/kernel_seeds.hpp"
#include "gregale/random.hpp"
#include "kernels/contraction/contraction_test_support.hpp"
#include "kernels/expression/expression_test_support.hpp"
#include "kernels/layout/layout_test_support.hpp"
#include "kernels/testing/amx_emulator_for_tests.hpp"

namespace gregale::kernels {
namespace {

using testing::check_layout;
using testing::LayoutCase;

/// Draws of one case.
class Draws {
 public:
  Draws(uint32_t family, uint64_t number) : key_{.seed = number, .step = 0, .stream = family} {}
  int64_t below(int64_t n) { return static_cast<int64_t>(random_below(key_, next_++, static_cast<uint64_t>(n))); }
  bool one_in(int64_t n) { return below(n) == 0; }
  /// Mostly small, often at or next to what vectors and blocks are multiples of, sometimes several blocks long.
  int64_t extent() {
    switch (below(4)) {
      case 0:
        return below(5);
      case 1:
        return 8 * below(17);
      case 2:
        return std::max<int64_t>(0, 16 * below(9) + below(3) - 1);
      default:
        return below(160);
    }
  }
  /// Any bits, near the ends of the range more often.
  uint64_t word() {
    const uint64_t bits = random_below(key_, next_++, ~uint64_t{0});
    switch (below(3)) {
      case 0:
        return bits % 64;
      case 1:
        return ~(bits % 256);
      default:
        return bits;
    }
  }
  template <class T, size_t kCount>
  T one_of(const T (&values)[kCount]) {
    return values[below(kCount)];
  }

 private:
  RandomKey key_;
  uint64_t next_ = 0;
};

LayoutCase layout_case(Draws& draws) {
  LayoutCase c;
  LayoutDesc& d = c.desc;
  d.op = static_cast<LayoutOp>(draws.below(static_cast<int64_t>(LayoutOp::dropout_backward) + 1));
  c.m = draws.extent();
  c.n = draws.extent();
  c.src_slack = draws.one_in(2) ? 0 : draws.below(20);
  c.dst_slack = draws.one_in(2) ? 0 : draws.below(20);
  c.seed = static_cast<unsigned>(draws.below(int64_t{1} << 32));
  c.wild = draws.one_in(3);
  d.stream = draws.one_in(3);
  d.index = draws.one_in(2) ? DType::i32 : DType::i64;
  switch (d.op) {
    case LayoutOp::pad:
      c.dst_m = c.m + draws.below(20);
      c.dst_n = c.n + draws.below(40);
      [[fallthrough]];
    case LayoutOp::copy:
    case LayoutOp::zero:
    case LayoutOp::transpose:
    case LayoutOp::gather_rows:
      d.src = d.dst = static_cast<DType>(draws.below(kDTypeCount));
      c.rows_of_source = 1 + draws.below(60);
      break;
    case LayoutOp::vnni2:
      d.trans = draws.one_in(2);
      [[fallthrough]];
    case LayoutOp::vnni2_back:
      d.src = d.dst = DType::bf16;
      break;
    case LayoutOp::panels16:
      d.trans = draws.one_in(2);
      d.src = draws.one_in(2) ? DType::bf16 : DType::f32;
      d.dst = DType::bf16;
      break;
    case LayoutOp::panels16x3:
      d.trans = draws.one_in(2);
      d.dst = DType::bf16;
      break;
    case LayoutOp::column_panels:
      d.trans = draws.one_in(2);
      d.src = d.dst = draws.one_in(2) ? DType::f64 : DType::f32;
      d.width = 1 + draws.below(64);
      break;
    case LayoutOp::split:
      d.parts = 2 + static_cast<int>(draws.below(2));
      d.dst = DType::bf16;
      break;
    case LayoutOp::join:
      d.parts = 2 + static_cast<int>(draws.below(2));
      d.src = DType::bf16;
      c.wild = false;  // the sign of a NaN that comes of opposite infinities is the processor's affair
      break;
    case LayoutOp::gather_reduce: {
      constexpr DType kSources[] = {DType::f32, DType::f64, DType::bf16};
      d.src = draws.one_of(kSources);
      d.dst = d.src == DType::f64 ? DType::f64 : DType::f32;
      d.pooling = static_cast<Pooling>(draws.below(3));
      d.accumulate = draws.one_in(2);
      c.wild = c.wild && d.pooling != Pooling::sum;
      c.rows_of_source = 1 + draws.below(60);
      break;
    }
    case LayoutOp::dropout:
    case LayoutOp::dropout_backward: {
      constexpr DType kSources[] = {DType::f32, DType::f64, DType::bf16};
      constexpr double kRates[] = {0, 0.1, 0.5, 0x1p-24, 1 - 0x1p-25, 1};
      d.src = d.dst = draws.one_of(kSources);
      c.rate = draws.one_of(kRates);
      c.wild = c.wild && c.rate < 1;  // nothing is kept of an infinite scale
      if (d.op == LayoutOp::dropout_backward) c.rate = std::min(c.rate, 0.5);
      c.offset = draws.word();
      c.row_stride = draws.word();
      c.mask = draws.one_in(2);
      break;
    }
  }
  return c;
}

/// One field wrong or merely unusual: refused with invalid_argument or compiled, nothing else.
void compile_mutated(LayoutDesc d, Draws& draws) {
  constexpr int64_t kOdd[] = {-2, 0, 1, 3, int64_t{1} << 41, INT64_MAX, INT64_MIN};
  const int64_t odd = draws.one_of(kOdd);
  switch (draws.below(13)) {
    case 0:
      d.op = static_cast<LayoutOp>(draws.below(256));
      break;
    case 1:
      d.m = odd;
      break;
    case 2:
      d.n = odd;
      break;
    case 3:
      d.src_leading = odd;
      break;
    case 4:
      d.dst_leading = odd;
      break;
    case 5:
      d.src = static_cast<DType>(draws.below(256));
      break;
    case 6:
      d.dst = static_cast<DType>(draws.below(256));
      break;
    case 7:
      d.trans = !d.trans;
      break;
    case 8:
      d.width = odd;
      break;
    case 9:
      d.parts = static_cast<int>(draws.below(6)) - 1;
      break;
    case 10:
      d.index = static_cast<DType>(draws.below(256));
      break;
    case 11:
      d.pooling = static_cast<Pooling>(draws.below(256));
      break;
    default:
      d.dst_m = odd;
      d.part = odd;
      break;
  }
  try {
    EXPECT_NE(LayoutKernel::compile(Target::detect(), d), nullptr);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
  }
}

void layout(uint64_t number) {
  Draws draws(101, number);
  const LayoutCase c = layout_case(draws);
  check_layout(c, static_cast<unsigned>(draws.below(64)));
  compile_mutated(testing::with_fixed(c, static_cast<unsigned>(draws.below(64))), draws);
}

/// Any contraction, on every instruction set and, where it can be emulated, on tiles; some extents given at the call.
void contraction(uint64_t number) {
  Draws draws(102, number);
  const testing::Dtypes dtypes = draws.one_of(testing::kDtypes);
  ContractionDesc d = testing::desc_of(draws.extent(), draws.extent(), draws.extent(), dtypes);
  if (d.b == DType::bf16 && d.a == DType::bf16 && draws.one_in(2))
    d.b_packing = draws.one_in(2) ? Packing::panels16 : Packing::vnni2;
  d.trans_a = draws.one_in(4);
  d.trans_b = d.b_packing == Packing::plain && draws.one_in(4);
  d.accumulate = d.c != DType::bf16 && draws.one_in(3);
  d.own_chain = d.accumulate && draws.one_in(2);
  if (draws.one_in(3)) {
    d.addressing = static_cast<ContractionDesc::Batch>(1 + draws.below(3));
    d.batch = draws.below(4);
  }
  const testing::Problem problem(d, static_cast<unsigned>(number), draws.below(4), draws.one_in(2));
  const auto open = static_cast<unsigned>(draws.below(512));
  std::vector<Target> targets = testing::contraction_targets();
  const testing::AmxEmulator emulator;
  if (testing::amx_untestable() == nullptr) targets.push_back(testing::amx_target());
  for (const Target& target : targets) {
    testing::check(target, problem);
    const auto kernel = ContractionKernel::compile(target, testing::opened(problem.desc, open));
    problem.expect(problem.run(*kernel, problem.call()), to_string(kernel->info()));
  }
}

/// A DAG of operations that are exact or lose a little, over operands of any dtype and broadcast.
void expression(uint64_t number) {
  Draws draws(103, number);
  ExpressionDesc d;
  Expression& e = d.expression;
  constexpr DType kDtypes[] = {DType::f32, DType::f32, DType::bf16, DType::f16, DType::f64};
  std::vector<Expression::Id> numbers, masks;
  const int64_t inputs = 1 + draws.below(5);
  for (int64_t i = 0; i < inputs; ++i) {
    ExpressionOperand operand{.dtype = draws.one_of(kDtypes), .broadcast = static_cast<Broadcast>(draws.below(4))};
    if (i == 0) operand.broadcast = Broadcast::none;
    d.inputs.push_back(operand);
    numbers.push_back(e.input(static_cast<int>(i)));
  }
  const auto any = [&](const std::vector<Expression::Id>& of) {
    return of[static_cast<size_t>(draws.below(static_cast<int64_t>(of.size())))];
  };
  Expression::Id last = numbers[0];
  // Comparisons look at operands alone: rounding must not decide them.
  const std::vector<Expression::Id> operands = numbers;
  for (int64_t i = draws.below(12); i >= 0; --i) {
    constexpr ExprOp kBinary[] = {ExprOp::add, ExprOp::sub, ExprOp::mul, ExprOp::max, ExprOp::min};
    constexpr ExprOp kUnary[] = {ExprOp::negate,  ExprOp::abs, ExprOp::relu, ExprOp::tanh,
                                 ExprOp::sigmoid, ExprOp::erf, ExprOp::sin,  ExprOp::cos};
    constexpr ExprOp kCompare[] = {ExprOp::greater,    ExprOp::greater_equal, ExprOp::less,
                                   ExprOp::less_equal, ExprOp::equal,         ExprOp::not_equal};
    switch (draws.below(4)) {
      case 0:
        last = e.apply(draws.one_of(kUnary), last);
        break;
      case 1:
        masks.push_back(e.apply(draws.one_of(kCompare), any(operands), any(operands)));
        last = e.apply(ExprOp::select, masks.back(), last, any(numbers));
        break;
      case 2:
        // Kept within bounds, so that errors are as well.
        last = e.apply(ExprOp::tanh, e.apply(ExprOp::multiply_add, last, any(numbers), any(numbers)));
        break;
      default:
        last = e.apply(draws.one_of(kBinary), last, any(operands));
        last = e.apply(ExprOp::tanh, last);
    }
    numbers.push_back(last);
  }
  // Whatever the DAG became, the output is a full tile.
  e.output(e.apply(ExprOp::add, last, e.input(0)));
  d.outputs.push_back({.dtype = draws.one_of(kDtypes)});
  testing::check(d, draws.extent() % 20, draws.extent(), {.relative = 1e-4, .absolute = 1e-4},
                 static_cast<unsigned>(number), {}, true, draws.below(4));
}

struct Family {
  const char* name;
  void (*check)(uint64_t number);
  uint64_t cases;  ///< of the plain test
};
constexpr Family kFamilies[] = {
    {"layout", layout, 2500}, {"contraction", contraction, 300}, {"expression", expression, 500}};

TEST(KernelFuzz, Seeds) {
  for (const fuzz::KernelSeed& seed : fuzz::kKernelSeeds) {
    bool known = false;
    for (const Family& family : kFamilies) {
      if (std::string(family.name) != seed.family) continue;
      known = true;
      SCOPED_TRACE(std::string(seed.family) + " case " + std::to_string(seed.number));
      family.check(seed.number);
    }
    EXPECT_TRUE(known) << "there is no family " << seed.family;
  }
}

TEST(KernelFuzz, Descriptors) {
  const char* more = std::getenv("GREGALE_FUZZ_CASES");
  for (const Family& family : kFamilies) {
    const uint64_t cases = more != nullptr ? std::strtoull(more, nullptr, 10) : family.cases;
    for (uint64_t number = 0; number < cases; ++number) {
      SCOPED_TRACE(std::string(family.name) + " case " + std::to_string(number));
      family.check(number);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace gregale::kernels
