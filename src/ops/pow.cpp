// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

/// Wrapping; what is no integer is rounded towards zero, and 0 to a negative power is 0.
template <class T>
T power(T a, T b) {
  if constexpr (std::is_signed_v<T>)
    if (b < 0) return a == 1 ? T{1} : a == -1 ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T{0};
  Wrapping<T> y = 1, square = static_cast<Wrapping<T>>(a);
  for (auto n = static_cast<uint64_t>(b); n != 0; n >>= 1) {
    if (n & 1) y *= square;
    square *= square;
  }
  return static_cast<T>(y);
}

struct PowNative {
  template <class T>
  static T of(T a, T b) {
    return power(a, b);
  }
};

}  // namespace

const OpDef& pow_op() {
  static const OpDef op = binary_op({
      .name = "pow",
      .to_onnx = one_node("Pow"),
      .doc = "a to the power of b, elementwise with broadcasting, as the C library has it: NaN for a below 0 and b not "
             "a whole number. Of integers the low bits, rounded towards zero. The gradient with respect to b is zero "
             "where a is not positive.",
      .real = [](double a, double b) { return std::pow(a, b); },
      .integer = power<int64_t>,
      .natural = power<uint64_t>,
      .native = native_lowering<PowNative, false>(),
      .d_a =
          [](Graph& g, Value a, Value b, Value, Value d) {
            // b a^(b - 1); 0 for b = 0 even where a = 0 would make it 0 times infinity.
            const Value zero = scalar(g, g.type(a).dtype, 0);
            const Value slope = mul(g, b, pow(g, a, add(g, b, -1.0)));
            return mul(g, d, select(g, equal(g, b, zero), zero, slope));
          },
      .d_b =
          [](Graph& g, Value a, Value, Value y, Value d) {
            const DType dtype = g.type(a).dtype;
            const Value zero = scalar(g, dtype, 0);
            const Value positive = greater(g, a, zero);
            const Value slope = mul(g, y, log(g, select(g, positive, a, scalar(g, dtype, 1))));
            return mul(g, d, select(g, positive, slope, zero));
          },
      .kernel = kernels::BinaryOp::pow,
      .flops = 40,
      .sample_a = [](Extents e, uint32_t stream) { return sample_uniform(std::move(e), stream, 0.3, 2); },
      .sample_b = [](Extents e, uint32_t stream) { return sample_away_from_zero(std::move(e), stream, 0.2); },
  });
  return op;
}

Value pow(Graph& g, Value a, Value b) { return g.add1(pow_op(), {a, b}); }

}  // namespace gregale::ops
