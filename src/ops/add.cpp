// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& add_op() {
  static const OpDef op = binary_op({
      .name = "add",
      .doc = "a + b with broadcasting. Real, complex or integer (wrapping).",
      .real = [](double a, double b) { return a + b; },
      .complex = [](Complex a, Complex b) { return a + b; },
      .integer = [](int64_t a,
                    int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); },
      .d_a = [](Graph&, Value, Value, Value, Value d) { return d; },
      .d_b = [](Graph&, Value, Value, Value, Value d) { return d; },
      .kernel = kernels::BinaryOp::add,
      .complex_kernel = kernels::ComplexOp::add,
  });
  return op;
}

Value add(Graph& g, Value a, Value b) { return g.add1(add_op(), {a, b}); }

Value add(Graph& g, Value a, double b) { return add(g, a, scalar(g, g.type(a).dtype, b)); }

}  // namespace gregale::ops
