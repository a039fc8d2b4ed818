// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& mul_op() {
  static const OpDef op = binary_op({
      .name = "mul",
      .doc = "a b, elementwise with broadcasting. Real, complex or integer (wrapping).",
      .real = [](double a, double b) { return a * b; },
      .complex = [](Complex a, Complex b) { return a * b; },
      .integer = [](int64_t a,
                    int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); },
      .d_a = [](Graph& g, Value, Value b, Value, Value d) { return mul(g, d, conj_if_complex(g, b)); },
      .d_b = [](Graph& g, Value a, Value, Value, Value d) { return mul(g, d, conj_if_complex(g, a)); },
      .kernel = kernels::BinaryOp::mul,
      .complex_kernel = kernels::ComplexOp::mul,
  });
  return op;
}

Value mul(Graph& g, Value a, Value b) { return g.add1(mul_op(), {a, b}); }

Value mul(Graph& g, Value a, double b) { return mul(g, a, scalar(g, g.type(a).dtype, b)); }

}  // namespace gregale::ops
