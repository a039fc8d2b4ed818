// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"

namespace gregale::ops {
namespace {

struct GreaterCompare {
  template <class T>
  static bool of(T a, T b) {
    return a > b;
  }
};

}  // namespace

const OpDef& greater_op() {
  static const OpDef op = comparison_op({
      .name = "greater",
      .doc = "True where a is above b, elementwise with broadcasting. False where either is NaN. Real or integer.",
      .real = [](double a, double b) { return a > b; },
      .integer = [](int64_t a, int64_t b) { return a > b; },
      .native = native_lowering<GreaterCompare, true, double>(),
      .kernel = kernels::CompareOp::greater,
      .onnx = "Greater",
  });
  return op;
}

Value greater(Graph& g, Value a, Value b) { return g.add1(greater_op(), {a, b}); }

}  // namespace gregale::ops
