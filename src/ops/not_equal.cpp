// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct NotEqualCompare {
  template <class T>
  static bool of(T a, T b) {
    return a != b;
  }
};

}  // namespace

const OpDef& not_equal_op() {
  static const OpDef op = comparison_op({
      .name = "not_equal",
      .to_onnx = [](OnnxWriter& w) { w.set_output(0, w.add1("Not", {w.add1("Equal", w.inputs())})); },
      .doc = "True where a differs from b, elementwise with broadcasting. NaN differs from everything, itself "
             "included. Real, integer or boolean.",
      .real = [](double a, double b) { return a != b; },
      .integer = [](int64_t a, int64_t b) { return a != b; },
      .booleans = true,
      .native = native_lowering<NotEqualCompare, true, double>(),
      .kernel = kernels::CompareOp::not_equal,
  });
  return op;
}

Value not_equal(Graph& g, Value a, Value b) { return g.add1(not_equal_op(), {a, b}); }

}  // namespace gregale::ops
