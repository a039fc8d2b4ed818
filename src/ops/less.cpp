// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"

namespace gregale::ops {
namespace {

struct LessCompare {
  template <class T>
  static bool of(T a, T b) {
    return a < b;
  }
};

}  // namespace

const OpDef& less_op() {
  static const OpDef op = comparison_op({
      .name = "less",
      .doc = "True where a is below b, elementwise with broadcasting. False where either is NaN. Real or integer.",
      .real = [](double a, double b) { return a < b; },
      .integer = [](int64_t a, int64_t b) { return a < b; },
      .native = native_lowering<LessCompare, true, double>(),
      .kernel = kernels::CompareOp::less,
      .onnx = "Less",
  });
  return op;
}

Value less(Graph& g, Value a, Value b) { return g.add1(less_op(), {a, b}); }

}  // namespace gregale::ops
