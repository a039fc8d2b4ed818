// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& div_op() {
  static const OpDef op = binary_op({
      .name = "div",
      .doc = "a / b, elementwise with broadcasting. Real or complex.",
      .real = [](double a, double b) { return a / b; },
      .complex = [](Complex a, Complex b) { return a / b; },
      .d_a = [](Graph& g, Value, Value b, Value, Value d) { return div(g, d, conj_if_complex(g, b)); },
      .d_b = [](Graph& g, Value, Value b, Value y,
                Value d) { return neg(g, mul(g, d, conj_if_complex(g, div(g, y, b)))); },
      .kernel = kernels::BinaryOp::div,
      .sample_b = [](Extents e, uint32_t stream) { return sample_away_from_zero(std::move(e), stream, 0.5); },
  });
  return op;
}

Value div(Graph& g, Value a, Value b) { return g.add1(div_op(), {a, b}); }

}  // namespace gregale::ops
