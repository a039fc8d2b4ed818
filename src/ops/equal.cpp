// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"

namespace gregale::ops {
namespace {

struct EqualCompare {
  template <class T>
  static bool of(T a, T b) {
    return a == b;
  }
};

}  // namespace

const OpDef& equal_op() {
  static const OpDef op = comparison_op({
      .name = "equal",
      .doc =
          "True where a equals b, elementwise with broadcasting. False where either is NaN. Real, integer or boolean.",
      .real = [](double a, double b) { return a == b; },
      .integer = [](int64_t a, int64_t b) { return a == b; },
      .booleans = true,
      .native = native_lowering<EqualCompare, true, double>(),
      .kernel = kernels::CompareOp::equal,
      .onnx = "Equal",
  });
  return op;
}

Value equal(Graph& g, Value a, Value b) { return g.add1(equal_op(), {a, b}); }

}  // namespace gregale::ops
