// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <limits>

#include "gregale/error.hpp"
#include "kernels/element.hpp"
#include "kernels/expression/expression_analysis.hpp"
#include "kernels/kernels_test_support.hpp"
#include "kernels/testing/fenced_for_tests.hpp"

/// Runs a descriptor on every instruction set and holds it against the reference.
namespace gregale::kernels::testing {

inline int64_t bits_of(DType dtype) { return dtype == DType::boolean ? 1 : 8 * size_of(dtype); }

/// Extents and operands of one call.
struct Operands {
  int64_t m = 0, n = 0;
  std::vector<Fenced> inputs, outputs;
  std::vector<int64_t> input_leading, output_leading;
  std::vector<double> parameters;
};

inline int64_t leading_of(const ExpressionOperand& operand, int64_t n, int64_t padding) {
  if (operand.leading != kAtCall) return operand.leading;
  return operand.dtype == DType::boolean ? (n + padding + 7) / 8 * 8 : n + padding;
}
inline int64_t bytes_of(const ExpressionOperand& operand, int64_t m, int64_t n, int64_t leading) {
  int64_t elements = 1;
  if (operand.broadcast == Broadcast::none) elements = m * leading;
  if (operand.broadcast == Broadcast::row) elements = n;
  if (operand.broadcast == Broadcast::column) elements = m;
  return (elements * bits_of(operand.dtype) + 7) / 8;
}
/// Calls f(element number) for what belongs to the operand.
template <class F>
void each_element(const ExpressionOperand& operand, int64_t m, int64_t n, int64_t leading, F&& f) {
  const bool many_rows = operand.broadcast == Broadcast::none || operand.broadcast == Broadcast::column;
  const bool many_columns = operand.broadcast == Broadcast::none || operand.broadcast == Broadcast::row;
  for (int64_t i = 0; i < (many_rows ? m : 1); ++i) {
    for (int64_t j = 0; j < (many_columns ? n : 1); ++j) {
      f(operand.broadcast == Broadcast::none ? i * leading + j : many_columns ? j : i);
    }
  }
}

struct Draw {
  double low = -2, high = 2;
  bool special = false;  ///< now and then NaN, infinities, zeros, denormals
};

inline Operands make_operands(const ExpressionDesc& desc, int64_t m, int64_t n, int64_t padding, unsigned seed,
                              const Draw& draw = {}) {
  Operands operands;
  operands.m = m;
  operands.n = n;
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> real(draw.low, draw.high);
  const double specials[] = {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(),
                             0.0,
                             -0.0,
                             1e-40,
                             -3e-42,
                             1e-45,
                             3e38,
                             -3e38,
                             6e-8,
                             1.0};
  for (const ExpressionOperand& input : desc.inputs) {
    const int64_t leading = leading_of(input, n, padding);
    operands.input_leading.push_back(leading);
    operands.inputs.emplace_back(bytes_of(input, m, n, leading), 0xff);  // padding is NaN
    each_element(input, m, n, leading, [&](int64_t index) {
      double value = real(engine);
      if (draw.special && engine() % 4 == 0) value = specials[engine() % std::size(specials)];
      if (input.dtype == DType::boolean) value = engine() % 2;
      store_element(input.dtype, operands.inputs.back().data(), index, value);
    });
  }
  for (const ExpressionOperand& output : desc.outputs) {
    const int64_t leading = leading_of(output, n, padding);
    operands.output_leading.push_back(leading);
    operands.outputs.emplace_back(bytes_of(output, m, n, leading), 0xab);
  }
  for (int i = 0; i < 16; ++i) operands.parameters.push_back(real(engine));
  return operands;
}

/// Calls rows [begin, end) with outputs in place; `in_place[i]`, where not negative, is the input that output i shares.
inline void call(const ExpressionKernel& kernel, const ExpressionDesc& desc, Operands* operands, int64_t begin = 0,
                 int64_t end = -1) {
  if (end < 0) end = operands->m;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  const auto place = [&](const ExpressionOperand& operand, const Fenced& memory, int64_t leading) {
    int64_t offset = 0;
    if (operand.broadcast == Broadcast::none) offset = begin * leading * bits_of(operand.dtype) / 8;
    if (operand.broadcast == Broadcast::column) offset = begin * bits_of(operand.dtype) / 8;
    return memory.data() + offset;
  };
  for (size_t i = 0; i < desc.inputs.size(); ++i) {
    inputs.push_back(place(desc.inputs[i], operands->inputs[i], operands->input_leading[i]));
  }
  for (size_t i = 0; i < desc.outputs.size(); ++i) {
    outputs.push_back(place(desc.outputs[i], operands->outputs[i], operands->output_leading[i]));
  }
  Scratch scratch(kernel.scratch_bytes(operands->n));
  ExpressionCall c;
  c.m = end - begin;
  c.n = operands->n;
  c.inputs = inputs.data();
  c.outputs = outputs.data();
  c.input_leading = operands->input_leading.data();
  c.output_leading = operands->output_leading.data();
  c.parameters = operands->parameters.data();
  c.scratch = scratch.get();
  kernel(c);
}

/// Bytes that belong to no element must be as they were.
inline void expect_untouched(const ExpressionDesc& desc, const Operands& operands, const std::string& what) {
  for (size_t i = 0; i < desc.outputs.size(); ++i) {
    const Fenced& memory = operands.outputs[i];
    std::vector<bool> ours(static_cast<size_t>(memory.bytes()), false);
    const int64_t bits = bits_of(desc.outputs[i].dtype);
    each_element(desc.outputs[i], operands.m, operands.n, operands.output_leading[i], [&](int64_t index) {
      for (int64_t b = index * bits / 8; b < (index * bits + bits + 7) / 8; ++b) ours[static_cast<size_t>(b)] = true;
    });
    for (int64_t b = 0; b < memory.bytes(); ++b) {
      if (!ours[static_cast<size_t>(b)] && memory.data()[b] != std::byte{0xab}) {
        ADD_FAILURE() << what << ": output " << i << " byte " << b << " was written";
        return;
      }
    }
  }
}

struct Tolerance {
  double relative = 1e-6;
  double absolute = 0;
};

/// Expects `got` to be near `expected`: within the tolerance, or one unit of the output's dtype.
inline void expect_near(const ExpressionDesc& desc, const Operands& got, const Operands& expected, Tolerance tolerance,
                        const std::string& what) {
  for (size_t i = 0; i < desc.outputs.size(); ++i) {
    const DType dtype = desc.outputs[i].dtype;
    double unit = 1e-45;
    double relative = tolerance.relative;
    double limit = dtype == DType::f64 && desc.compute == DType::f64 ? 1.7976931348623157e308 : 3.4028234663852886e38;
    if (dtype == DType::bf16) {
      relative = std::max(relative, 0x1.01p-7);
      unit = 1.2e-38;  // the CPU's conversion makes denormals zero
    } else if (dtype == DType::f16) {
      relative = std::max(relative, 0x1.01p-10);
      unit = 6e-8;
      limit = 65504;
    } else if (dtype == DType::f64 && desc.compute == DType::f64) {
      unit = 5e-324;
    } else if (dtype == DType::boolean) {
      unit = relative = 0;
    }
    bool failed = false;
    each_element(desc.outputs[i], got.m, got.n, got.output_leading[i], [&](int64_t index) {
      const double a = load_element(dtype, got.outputs[i].data(), index);
      const double b = load_element(dtype, expected.outputs[i].data(), index);
      if (failed || a == b || (std::isnan(a) && std::isnan(b))) return;
      double difference = std::fabs(a - b);
      if (std::isinf(a) || std::isinf(b)) {  // one step beyond the largest number
        difference = std::fabs(std::isinf(a) ? std::copysign(limit, a) - b : std::copysign(limit, b) - a);
      }
      if (difference <= relative * std::fabs(std::isinf(b) ? limit : b) + tolerance.absolute + unit) return;
      failed = true;
      ADD_FAILURE() << what << ": output " << i << " element " << index << " is " << a << ", not " << b;
    });
  }
}

inline std::shared_ptr<const ExpressionKernel> compiled(Isa isa, const ExpressionDesc& desc) {
  return ExpressionKernel::compile(Target::detect().capped(isa), desc);
}

/// On every instruction set, with extents fixed and at the call: near the reference, the same bits from both and from
/// any split of the rows. `expected_isa` false: an instruction set may refuse.
inline void check(const ExpressionDesc& desc, int64_t m, int64_t n, Tolerance tolerance, unsigned seed = 1,
                  const Draw& draw = {}, bool may_refuse = false, int64_t padding = 3) {
  const Operands operands = make_operands(desc, m, n, padding, seed, draw);
  Operands expected = operands;
  call(*compiled(Isa::reference, desc), desc, &expected);
  ExpressionDesc fixed = desc;
  fixed.m = m;
  fixed.n = n;
  bool whole_rows = true;
  for (const auto& node : desc.expression.nodes()) {
    if (expression::is_column_reduction(node.op) || expression::is_all_reduction(node.op)) whole_rows = false;
  }
  for (const auto* list : {&desc.inputs, &desc.outputs}) {
    for (const auto& operand : *list) {
      if (operand.broadcast == Broadcast::column && operand.dtype == DType::boolean) whole_rows = false;
    }
  }
  for (const Isa isa : isas()) {
    const std::string what = fmt::format("{} {}x{} {}", to_string(isa), m, n, gregale::kernels::to_string(desc));
    const auto kernel = compiled(isa, desc);
    if (!may_refuse) {
      EXPECT_EQ(kernel->info().isa, isa) << to_string(kernel->info());
    }
    Operands got = operands;
    call(*kernel, desc, &got);
    expect_near(desc, got, expected, tolerance, what);
    expect_untouched(desc, got, what);
    Operands other = operands;
    call(*compiled(isa, fixed), fixed, &other);
    Operands split = operands;
    if (whole_rows && m > 1) {
      call(*kernel, desc, &split, 0, m / 3);
      call(*kernel, desc, &split, m / 3, m);
    } else {
      call(*kernel, desc, &split);
    }
    for (size_t i = 0; i < desc.outputs.size(); ++i) {
      const auto bytes = static_cast<size_t>(got.outputs[i].bytes());
      if (bytes == 0) continue;
      EXPECT_EQ(std::memcmp(got.outputs[i].data(), other.outputs[i].data(), bytes), 0)
          << what << ": fixed extents differ";
      EXPECT_EQ(std::memcmp(got.outputs[i].data(), split.outputs[i].data(), bytes), 0) << what << ": split rows differ";
    }
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace gregale::kernels::testing
