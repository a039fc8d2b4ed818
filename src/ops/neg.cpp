// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {

const OpDef& neg_op() {
  static const OpDef op = unary_op({
      .name = "neg",
      .to_onnx = [](OnnxWriter& w) { w.same("Neg"); },
      .doc = "-x, elementwise. Real, complex or integer.",
      .real = [](double x) { return -x; },
      .complex = [](Complex z) { return -z; },
      .integer = [](int64_t x) { return static_cast<int64_t>(-static_cast<uint64_t>(x)); },
      .gradient = [](Graph& g, Value, Value, Value d) { return neg(g, d); },
      .kernel = kernels::UnaryOp::neg,
      .onnx = "Neg",
  });
  return op;
}

Value neg(Graph& g, Value x) { return g.add1(neg_op(), {x}); }

}  // namespace gregale::ops
