// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/expression/expression_kernel.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "kernels/expression/expression_test_support.hpp"

namespace gregale::kernels {
namespace {

using testing::check;
using testing::Draw;
using testing::Tolerance;

bool has_failure() { return ::testing::Test::HasFailure(); }

constexpr DType kFloats[] = {DType::f64, DType::f32, DType::bf16, DType::f16};
constexpr Broadcast kShapes[] = {Broadcast::none, Broadcast::row, Broadcast::column, Broadcast::scalar};

ExpressionOperand operand(DType dtype, Broadcast broadcast = Broadcast::none, int64_t leading = kAtCall) {
  ExpressionOperand result;
  result.dtype = dtype;
  result.broadcast = broadcast;
  result.leading = leading;
  return result;
}

bool gives_mask(ExprOp op) { return op >= ExprOp::greater && op <= ExprOp::not_equal; }

/// out = op(in0[, in1[, in2]]) with every operand of one dtype.
ExpressionDesc of_op(ExprOp op, DType compute, DType dtype) {
  ExpressionDesc desc;
  desc.compute = compute;
  Expression& e = desc.expression;
  Expression::Id ids[3] = {-1, -1, -1};
  const int count = expression::operand_count(op);
  for (int i = 0; i < count; ++i) {
    const bool mask =
        op == ExprOp::mask_and || op == ExprOp::mask_or || op == ExprOp::mask_not || (op == ExprOp::select && i == 0);
    desc.inputs.push_back(operand(mask ? DType::boolean : dtype));
    ids[i] = e.input(i);
  }
  e.output(e.apply(op, ids[0], ids[1], ids[2]));
  const bool mask = gives_mask(op) || op == ExprOp::mask_and || op == ExprOp::mask_or || op == ExprOp::mask_not;
  desc.outputs.push_back(operand(mask ? DType::boolean : dtype));
  return desc;
}

double tolerance_of(DType compute, ExprOp op) {
  if (compute == DType::f64) return 1e-15;
  return expression::is_transcendental(op) ? 2.4e-7 : 1.2e-7;
}

TEST(Expression, EveryOperationInEveryDtype) {
  for (const DType compute : {DType::f32, DType::f64}) {
    for (int number = static_cast<int>(ExprOp::negate); number <= static_cast<int>(ExprOp::mask_not); ++number) {
      const auto op = static_cast<ExprOp>(number);
      if (op == ExprOp::round_to) continue;
      for (const DType dtype : kFloats) {
        const ExpressionDesc desc = of_op(op, compute, dtype);
        Draw draw;
        draw.special = true;
        draw.low = op == ExprOp::sqrt || op == ExprOp::reciprocal_sqrt || op == ExprOp::log ? 0.01 : -3;
        draw.high = 3;
        Tolerance tolerance{tolerance_of(compute, op), 0};
        if (op == ExprOp::multiply_add || op == ExprOp::div)
          tolerance.absolute = compute == DType::f64 ? 1e-320 : 3e-45;
        const bool may_refuse = compute == DType::f64;
        for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 67}, {2, 203}, {5, 16}, {0, 9}, {4, 0}}) {
          check(desc, m, n, tolerance, static_cast<unsigned>(number), draw, may_refuse);
          if (has_failure()) return;
        }
      }
    }
  }
}

TEST(Expression, EveryBroadcast) {
  for (const ExprOp op : {ExprOp::sub, ExprOp::multiply_add, ExprOp::max, ExprOp::less, ExprOp::select}) {
    for (const DType compute : {DType::f32, DType::f64}) {
      for (const Broadcast first : kShapes) {
        for (const Broadcast second : kShapes) {
          for (const DType dtype : kFloats) {
            ExpressionDesc desc = of_op(op, compute, dtype);
            desc.inputs[0].broadcast = first;
            desc.inputs[1].broadcast = second;
            if (op == ExprOp::select) desc.inputs[2].dtype = DType::f32;
            Tolerance tolerance{tolerance_of(compute, op), compute == DType::f64 ? 1e-300 : 1e-38};
            check(desc, 3, 37, tolerance, 5, {}, compute == DType::f64);
            check(desc, 2, 130, tolerance, 6, {}, compute == DType::f64, 0);
            if (has_failure()) return;
          }
        }
      }
    }
  }
}

TEST(Expression, ConvertsBetweenAllDtypes) {
  for (const DType compute : {DType::f32, DType::f64}) {
    for (const DType from : kFloats) {
      for (const DType to : kFloats) {
        for (const DType through : kFloats) {
          ExpressionDesc desc;
          desc.compute = compute;
          desc.inputs = {operand(from)};
          desc.outputs = {operand(to)};
          Expression& e = desc.expression;
          e.output(e.round_to(through, e.input(0)));
          Draw draw;
          draw.special = true;
          double absolute = through == DType::bf16 ? 1.2e-38 : 0;
          for (int64_t n : {1, 5, 16, 49, 200}) check(desc, 3, n, {1e-16, absolute}, 3, draw);
          if (has_failure()) return;
        }
      }
    }
  }
}

TEST(Expression, EveryReduction) {
  for (const DType compute : {DType::f32, DType::f64}) {
    for (int number = static_cast<int>(ExprOp::row_sum); number <= static_cast<int>(ExprOp::all_sum_squares);
         ++number) {
      const auto op = static_cast<ExprOp>(number);
      for (const DType dtype : kFloats) {
        for (const bool special : {false, true}) {
          for (const Broadcast from : {Broadcast::none, Broadcast::row, Broadcast::column}) {
            ExpressionDesc desc = of_op(op, compute, dtype);
            desc.inputs[0].broadcast = from;
            desc.outputs[0].broadcast = expression::is_row_reduction(op)      ? Broadcast::column
                                        : expression::is_column_reduction(op) ? Broadcast::row
                                                                              : Broadcast::scalar;
            desc.outputs[0].dtype = special ? dtype : compute;
            Draw draw;
            // Where numbers cancel nothing but the order of summation would be tested.
            draw.low = 0.5;
            draw.special = special && expression::fold_of(op) != expression::Fold::sum &&
                           expression::fold_of(op) != expression::Fold::sum_squares;
            const Tolerance tolerance{compute == DType::f64 ? 1e-13 : 4e-6, 1e-38};
            for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {7, 67}, {4, 16}, {2, 300}, {0, 9}, {4, 0}}) {
              check(desc, m, n, tolerance, 9, draw);
              if (has_failure()) return;
            }
          }
        }
      }
    }
  }
}

ExpressionDesc softmax(DType in, DType out) {
  ExpressionDesc desc;
  desc.inputs = {operand(in)};
  desc.outputs = {operand(out)};
  Expression& e = desc.expression;
  const auto x = e.input(0);
  const auto grown = e.apply(ExprOp::exp, e.apply(ExprOp::sub, x, e.apply(ExprOp::row_max, x)));
  e.output(e.apply(ExprOp::mul, grown, e.apply(ExprOp::reciprocal, e.apply(ExprOp::row_sum, grown))));
  return desc;
}

ExpressionDesc layer_norm(DType in, DType out, int64_t n) {
  ExpressionDesc desc;
  desc.inputs = {operand(in), operand(DType::f32, Broadcast::row), operand(DType::f32, Broadcast::row)};
  desc.outputs = {operand(out), operand(DType::f32, Broadcast::column), operand(DType::f32, Broadcast::column)};
  Expression& e = desc.expression;
  const auto x = e.input(0);
  const auto share = e.constant(1.0 / static_cast<double>(n));
  const auto mean = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum, x), share);
  const auto centred = e.apply(ExprOp::sub, x, mean);
  const auto variance = e.apply(ExprOp::mul, e.apply(ExprOp::row_sum_squares, centred), share);
  const auto scale = e.apply(ExprOp::reciprocal_sqrt, e.apply(ExprOp::add, variance, e.constant(1e-5)));
  e.output(e.apply(ExprOp::multiply_add, e.apply(ExprOp::mul, centred, scale), e.input(1), e.input(2)));
  e.output(mean);
  e.output(scale);
  return desc;
}

ExpressionDesc gelu_bias_residual(DType dtype) {
  ExpressionDesc desc;
  desc.inputs = {operand(dtype), operand(DType::f32, Broadcast::row), operand(dtype)};
  desc.outputs = {operand(dtype)};
  Expression& e = desc.expression;
  e.output(e.apply(ExprOp::add, e.gelu(e.apply(ExprOp::add, e.input(0), e.input(1))), e.input(2)));
  return desc;
}

/// parameters: learning rate, beta1, 1 - beta1, beta2, 1 - beta2, epsilon; moments and weights in place.
ExpressionDesc adam() {
  ExpressionDesc desc;
  desc.inputs.assign(4, operand(DType::f32));
  desc.outputs.assign(3, operand(DType::f32));
  Expression& e = desc.expression;
  const auto w = e.input(0), g = e.input(1), m = e.input(2), v = e.input(3);
  const auto new_m = e.apply(ExprOp::multiply_add, m, e.parameter(1), e.apply(ExprOp::mul, g, e.parameter(2)));
  const auto new_v = e.apply(ExprOp::multiply_add, v, e.parameter(3),
                             e.apply(ExprOp::mul, e.apply(ExprOp::square, g), e.parameter(4)));
  const auto root = e.apply(ExprOp::add, e.apply(ExprOp::sqrt, new_v), e.parameter(5));
  e.output(e.apply(ExprOp::sub, w, e.apply(ExprOp::mul, e.parameter(0), e.apply(ExprOp::div, new_m, root))));
  e.output(new_m);
  e.output(new_v);
  return desc;
}

TEST(Expression, Softmax) {
  for (const DType in : kFloats) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 50}, {5, 257}, {2, 768}, {3, 0}}) {
      check(softmax(in, DType::f32), m, n, {2e-6, 1e-38}, 11, {-5, 5});
      check(softmax(in, in), m, n, {2e-6, 1e-38}, 11, {-5, 5});
    }
    Draw special;
    special.special = true;
    check(softmax(in, DType::f32), 7, 33, {2e-6, 1e-38}, 12, special);
  }
}

TEST(Expression, LayerNorm) {
  for (const DType in : kFloats) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 2}, {3, 50}, {5, 257}, {2, 768}}) {
      check(layer_norm(in, DType::f32, n), m, n, {4e-6, 4e-6}, 13, {-5, 15});
      check(layer_norm(in, in, n), m, n, {4e-6, 4e-6}, 13, {-5, 15});
    }
  }
}

TEST(Expression, GeluBiasResidual) {
  for (const DType dtype : kFloats) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 50}, {5, 257}}) {
      check(gelu_bias_residual(dtype), m, n, {4e-7, 1e-6}, 14, {-5, 5});
    }
  }
}

TEST(Expression, Adam) {
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 50}, {5, 256}}) {
    for (int64_t padding : {0, 5}) check(adam(), m, n, {1e-6, 1e-6}, 15, {0.01, 1}, false, padding);
  }
}

TEST(Expression, CompositesAndTheirDerivatives) {
  for (int which = 0; which < 10; ++which) {
    ExpressionDesc desc;
    desc.inputs = {operand(DType::f32)};
    desc.outputs = {operand(DType::f32)};
    Expression& e = desc.expression;
    const auto x = e.input(0);
    const Expression::Id all[] = {e.gelu(x),   e.gelu_tanh(x), e.silu(x),      e.d_gelu(x),           e.d_gelu_tanh(x),
                                  e.d_silu(x), e.d_tanh(x),    e.d_sigmoid(x), e.leaky_relu(x, 0.01), e.elu(x, 1.5)};
    e.output(all[which]);
    check(desc, 3, 95, {1e-6, 1e-6}, 16, {-8, 8});
    if (which < 3) {  // derivatives against differences of the reference in f64
      const Expression::Id derivative[] = {e.d_gelu(x), e.d_gelu_tanh(x), e.d_silu(x)};
      ExpressionDesc both = desc;
      both.compute = DType::f64;
      both.inputs[0].dtype = DType::f64;
      both.outputs.assign(2, operand(DType::f64));
      both.expression.output(derivative[which]);
      auto operands = testing::make_operands(both, 1, 64, 0, 17, {-4, 4});
      auto moved = operands;
      const double step = 1e-5;
      auto* values = reinterpret_cast<double*>(moved.inputs[0].data());
      for (int i = 0; i < 64; ++i) values[i] += step;
      const auto kernel = testing::compiled(Isa::reference, both);
      testing::call(*kernel, both, &operands);
      testing::call(*kernel, both, &moved);
      for (int i = 0; i < 64; ++i) {
        const double rise = load_element(DType::f64, moved.outputs[0].data(), i) -
                            load_element(DType::f64, operands.outputs[0].data(), i);
        const double slope = (load_element(DType::f64, moved.outputs[1].data(), i) +
                              load_element(DType::f64, operands.outputs[1].data(), i)) /
                             2;
        EXPECT_NEAR(rise / step, slope, 1e-8) << which;
      }
    }
  }
}

/// Runs with outputs on top of inputs; the bits must be those of separate memory.
void check_in_place(const ExpressionDesc& desc, const std::vector<int>& shared, int64_t m, int64_t n, int64_t padding) {
  for (const Isa isa : testing::isas()) {
    const auto kernel = testing::compiled(isa, desc);
    auto apart = testing::make_operands(desc, m, n, padding, 21, {0.01, 1});
    auto together = apart;
    testing::call(*kernel, desc, &apart);
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    for (auto& memory : together.inputs) inputs.push_back(memory.data());
    for (size_t i = 0; i < desc.outputs.size(); ++i) {
      outputs.push_back(shared[i] < 0 ? together.outputs[i].data()
                                      : together.inputs[static_cast<size_t>(shared[i])].data());
    }
    testing::Scratch scratch(kernel->scratch_bytes(n));
    ExpressionCall call;
    call.m = m;
    call.n = n;
    call.inputs = inputs.data();
    call.outputs = outputs.data();
    call.input_leading = together.input_leading.data();
    call.output_leading = together.output_leading.data();
    call.parameters = together.parameters.data();
    call.scratch = scratch.get();
    (*kernel)(call);
    for (size_t i = 0; i < desc.outputs.size(); ++i) {
      testing::each_element(desc.outputs[i], m, n, apart.output_leading[i], [&](int64_t index) {
        const double a = load_element(desc.outputs[i].dtype, apart.outputs[i].data(), index);
        const double b = load_element(desc.outputs[i].dtype, outputs[i], index);
        EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b)))
            << to_string(isa) << " " << to_string(desc) << " output " << i << " element " << index;
      });
      if (has_failure()) return;
    }
  }
}

TEST(Expression, InPlace) {
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {3, 50}, {2, 300}}) {
    for (int64_t padding : {0, 3}) {
      check_in_place(adam(), {0, 2, 3}, m, n, padding);
      check_in_place(adam(), {3, 0, 1}, m, n, padding);
      check_in_place(softmax(DType::f32, DType::f32), {0}, m, n, padding);
      check_in_place(softmax(DType::bf16, DType::bf16), {0}, m, n, padding);
      check_in_place(layer_norm(DType::f32, DType::f32, n), {0, -1, -1}, m, n, padding);
      check_in_place(gelu_bias_residual(DType::f16), {2}, m, n, padding);
    }
  }
}

TEST(Expression, MasksInEveryBroadcast) {
  for (const Broadcast shape : kShapes) {
    ExpressionDesc desc;
    desc.inputs = {operand(DType::boolean, shape), operand(DType::f32), operand(DType::boolean)};
    desc.outputs = {operand(DType::boolean), operand(DType::bf16)};
    Expression& e = desc.expression;
    const auto mask =
        e.apply(ExprOp::mask_or, e.apply(ExprOp::mask_not, e.input(0)),
                e.apply(ExprOp::mask_and, e.input(2), e.apply(ExprOp::greater, e.input(1), e.constant(0))));
    e.output(mask);
    e.output(e.apply(ExprOp::select, e.input(0), e.input(1), e.apply(ExprOp::negate, e.input(1))));
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {9, 50}, {17, 7}, {3, 304}, {2, 24}}) {
      check(desc, m, n, {}, 23);
      check(desc, m, n, {}, 24, {}, false, 0);
    }
  }
}

TEST(Expression, ManyValuesAtOnceAreSpilled) {
  // All of 48 sums are needed at the end, in the opposite order.
  ExpressionDesc desc;
  desc.inputs.assign(3, operand(DType::f32));
  desc.outputs = {operand(DType::f32), operand(DType::boolean)};
  Expression& e = desc.expression;
  std::vector<Expression::Id> sums, masks;
  for (int i = 0; i < 48; ++i) {
    sums.push_back(e.apply(ExprOp::multiply_add, e.input(i % 3), e.constant(i + 1), e.input((i + 1) % 3)));
    masks.push_back(e.apply(ExprOp::less, sums.back(), e.constant(20)));
  }
  Expression::Id total = e.apply(ExprOp::sin, sums.back()), mask = masks.back();
  for (int i = 46; i >= 0; --i) {
    total = e.apply(ExprOp::multiply_add, total, e.constant(0.5), sums[static_cast<size_t>(i)]);
    mask = e.apply(ExprOp::mask_or, e.apply(ExprOp::mask_not, mask), masks[static_cast<size_t>(i)]);
  }
  e.output(total);
  e.output(mask);
  check(desc, 3, 131, {1e-5, 1e-4}, 25);
}

TEST(Expression, ManyOperandsAndReductions) {
  ExpressionDesc desc;
  Expression& e = desc.expression;
  Expression::Id sum = e.constant(1);
  for (int i = 0; i < 14; ++i) {
    const DType dtypes[] = {DType::f32, DType::bf16, DType::f64, DType::f16};
    desc.inputs.push_back(operand(dtypes[i % 4], i % 5 == 4 ? Broadcast::row : Broadcast::none));
    sum = e.apply(ExprOp::multiply_add, e.input(i), e.constant(0.25 * i), sum);
  }
  for (int i = 0; i < 3; ++i) {
    desc.outputs.push_back(operand(i == 1 ? DType::bf16 : DType::f32));
    e.output(e.apply(ExprOp::add, sum, e.constant(i)));
  }
  for (int number = static_cast<int>(ExprOp::row_sum); number <= static_cast<int>(ExprOp::all_sum_squares); ++number) {
    const auto op = static_cast<ExprOp>(number);
    e.output(e.apply(op, sum));
    desc.outputs.push_back(operand(DType::f32, expression::is_row_reduction(op)      ? Broadcast::column
                                               : expression::is_column_reduction(op) ? Broadcast::row
                                                                                     : Broadcast::scalar));
  }
  // A row of results that no reduction made, and a column used after its reduction.
  desc.inputs.push_back(operand(DType::f32, Broadcast::row));
  e.output(e.apply(ExprOp::exp, e.input(14)));
  desc.outputs.push_back(operand(DType::bf16, Broadcast::row));
  e.output(e.apply(ExprOp::sub, sum, e.apply(ExprOp::row_max, sum)));
  desc.outputs.push_back(operand(DType::f64));
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {5, 50}, {3, 200}}) {
    check(desc, m, n, {2e-5, 2e-5}, 27, {0.1, 1});
  }
}

TEST(Expression, ColumnReductionsBesideFullOutputs) {
  // The gradient of GELU and of its bias in one kernel.
  ExpressionDesc desc;
  desc.inputs = {operand(DType::bf16), operand(DType::f32), operand(DType::f32, Broadcast::column)};
  desc.outputs = {operand(DType::bf16), operand(DType::f32, Broadcast::row), operand(DType::f32, Broadcast::scalar),
                  operand(DType::f64, Broadcast::column)};
  Expression& e = desc.expression;
  const auto d = e.apply(ExprOp::mul, e.d_gelu(e.input(0)), e.apply(ExprOp::add, e.input(1), e.input(2)));
  e.output(d);
  e.output(e.apply(ExprOp::column_sum, d));
  e.output(e.apply(ExprOp::all_absmax, d));
  e.output(e.apply(ExprOp::square, e.input(2)));
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {5, 50}, {33, 200}, {0, 5}, {5, 0}}) {
    check(desc, m, n, {4e-6, 1e-5}, 29, {0.1, 1});
  }
}

/// A sum's bits depend on the row alone, whatever is computed beside it and whether its length is known beforehand.
TEST(Expression, SumsDoNotDependOnTheirCompany) {
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (Target::detect().isa < isa) continue;
    const Target target = Target::detect().capped(isa);
    for (const int64_t n : {1, 7, 8, 17, 31, 32, 33, 100, 257}) {
      std::vector<float> x(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(i)] = 1.0f / static_cast<float>(3 + 7 * i % 23);
      std::vector<float> sums;
      for (const int company : {0, 1, 2, 3}) {
        for (const int64_t known : {n, kAtCall}) {
          ExpressionDesc desc;
          desc.n = known;
          Expression& e = desc.expression;
          const auto in = e.input(0);
          desc.inputs = {operand(DType::f32, Broadcast::none, n)};
          e.output(e.apply(ExprOp::row_sum, in));
          desc.outputs = {operand(DType::f32, Broadcast::column)};
          std::vector<std::vector<float>> others;
          if (company == 1) e.output(e.apply(ExprOp::tanh, in));
          if (company == 2) {
            // Many values at once.
            std::vector<Expression::Id> many;
            for (int i = 0; i < 12; ++i) many.push_back(e.apply(ExprOp::mul, in, e.constant(1.5 + i)));
            auto product = many[0];
            for (const auto id : many) product = e.apply(ExprOp::mul, product, id);
            for (const auto id : many) product = e.apply(ExprOp::add, product, id);
            e.output(product);
          }
          if (company == 3) e.output(e.apply(ExprOp::row_sum_squares, e.apply(ExprOp::sigmoid, in)));
          if (company > 0) {
            desc.outputs.push_back(company == 3 ? operand(DType::f32, Broadcast::column)
                                                : operand(DType::f32, Broadcast::none, n));
            others.emplace_back(static_cast<size_t>(n));
          }
          const auto kernel = ExpressionKernel::compile(target, desc);
          ASSERT_EQ(kernel->info().isa, isa);
          float sum = 0;
          const void* inputs[] = {x.data()};
          void* outputs[] = {&sum, others.empty() ? nullptr : others[0].data()};
          std::vector<std::byte> scratch(static_cast<size_t>(kernel->scratch_bytes(n)) + 64);
          ExpressionCall call;
          call.m = 1;
          call.n = n;
          call.inputs = inputs;
          call.outputs = outputs;
          call.scratch = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
          (*kernel)(call);
          sums.push_back(sum);
        }
      }
      for (const float sum : sums) EXPECT_EQ(sum, sums[0]) << n << " columns";
    }
  }
}

TEST(Expression, StreamsWhereAligned) {
  for (const DType dtype : kFloats) {
    ExpressionDesc desc;
    desc.stream = true;
    desc.inputs = {operand(dtype)};
    desc.outputs = {operand(dtype)};
    Expression& e = desc.expression;
    e.output(e.apply(ExprOp::mul, e.input(0), e.parameter(2)));
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{2, 256}, {3, 250}, {1, 4096}}) {
      check(desc, m, n, {}, 31, {}, false, 0);
    }
  }
}

TEST(Expression, SplitsOfInputsWithFixedLeading) {
  ExpressionDesc desc;
  desc.inputs = {operand(DType::f32, Broadcast::none, 40), operand(DType::bf16, Broadcast::none, 33)};
  desc.outputs = {operand(DType::f32, Broadcast::none, 35)};
  Expression& e = desc.expression;
  e.output(e.apply(ExprOp::max, e.input(0), e.input(1)));
  check(desc, 7, 33, {}, 33);
  desc.n = 33;
  check(desc, 7, 33, {}, 33);
}

TEST(Expression, SaysWhatIsWrong) {
  const auto message = [](const ExpressionDesc& desc) -> std::string {
    try {
      ExpressionKernel::compile(Target{}, desc);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return error.message();
    }
    return "";
  };
  using ::testing::HasSubstr;
  ExpressionDesc desc;
  EXPECT_THAT(message(desc), HasSubstr("no output"));
  Expression& e = desc.expression;
  const auto mask = e.apply(ExprOp::less, e.input(0), e.constant(1));
  e.output(mask);
  EXPECT_THAT(message(desc), HasSubstr("1 outputs, but 0 operands"));
  desc.outputs = {operand(DType::f32)};
  EXPECT_THAT(message(desc), HasSubstr("uses input 0, but 0 inputs"));
  desc.inputs = {operand(DType::f32)};
  EXPECT_THAT(message(desc), HasSubstr("output 0 is a mask"));
  desc.outputs = {operand(DType::boolean)};
  EXPECT_EQ(message(desc), "");
  desc.inputs.push_back(operand(DType::f32));
  EXPECT_THAT(message(desc), HasSubstr("input 1 is described, but not used"));
  desc.inputs.pop_back();
  desc.inputs[0].dtype = DType::i32;
  EXPECT_THAT(message(desc), HasSubstr("dtype i32"));
  desc.inputs[0].dtype = DType::f32;
  desc.n = 8;
  desc.inputs[0].leading = 7;
  EXPECT_THAT(message(desc), HasSubstr("leading dimension 7, less than its 8 columns"));
  desc.inputs[0].leading = kAtCall;
  desc.outputs[0].leading = 12;
  EXPECT_THAT(message(desc), HasSubstr("not a multiple of 8"));
  desc.outputs[0].leading = kAtCall;
  desc.compute = DType::bf16;
  EXPECT_THAT(message(desc), HasSubstr("computes in f32 or f64"));
  desc.compute = DType::f32;
  ExpressionDesc wrong = desc;
  wrong.expression.output(wrong.expression.apply(ExprOp::add, mask, wrong.expression.input(0)));
  wrong.outputs.push_back(operand(DType::f32));
  EXPECT_THAT(message(wrong), HasSubstr("operand 0 of add is a mask, but a number is needed"));
  wrong = desc;
  const auto total = wrong.expression.apply(ExprOp::column_sum, wrong.expression.input(0));
  wrong.expression.output(wrong.expression.apply(ExprOp::exp, total));
  wrong.outputs.push_back(operand(DType::f32, Broadcast::row));
  EXPECT_THAT(message(wrong), HasSubstr("result of column_sum in exp"));
  wrong = desc;
  wrong.outputs[0].broadcast = Broadcast::row;
  EXPECT_THAT(message(wrong), HasSubstr("output 0 is a full tile, but its operand is a row"));
  EXPECT_THROW(e.apply(ExprOp::add, 0), Error);
  EXPECT_THROW(e.apply(ExprOp::add, 0, 99), Error);
  EXPECT_THROW(e.round_to(DType::i8, 0), Error);
}

TEST(Expression, PrintsAndSharesEqualNodes) {
  Expression e;
  const auto x = e.input(0);
  EXPECT_EQ(e.apply(ExprOp::mul, x, e.constant(0.5)), e.apply(ExprOp::mul, x, e.constant(0.5)));
  EXPECT_NE(e.constant(0.0), e.constant(-0.0));
  Expression printed;
  printed.output(printed.apply(ExprOp::add, printed.input(0),
                               printed.apply(ExprOp::mul, printed.input(1), printed.constant(0.5))));
  EXPECT_EQ(printed.to_string(), "out0 = add(in0, mul(in1, 0.5))");
  const Expression same = printed;
  EXPECT_EQ(same, printed);
}

TEST(Expression, TellsWhatWasChosen) {
  ExpressionDesc desc = gelu_bias_residual(DType::f32);
  desc.m = 16;
  desc.n = 64;
  for (const Isa isa : testing::isas()) {
    const auto kernel = testing::compiled(isa, desc);
    EXPECT_EQ(kernel->info().isa, isa);
    EXPECT_EQ(kernel->info().implementation, to_string(isa));
    EXPECT_EQ(kernel->info().code_bytes > 0, isa != Isa::reference);
    EXPECT_GT(kernel->info().traffic.flops, 16 * 64 * 10);
    EXPECT_EQ(kernel->info().traffic.l2_bytes, 3 * 16 * 64 * 4 + 64 * 4);
    EXPECT_EQ(kernel->info().refusals.size(), isa == Isa::reference ? 2u : isa == Isa::avx2 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace gregale::kernels
