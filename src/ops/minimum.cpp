// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct MinimumNative {
  template <class T>
  static T of(T a, T b) {
    return a < b || a != a ? a : b;
  }
};

}  // namespace

const OpDef& minimum_op() {
  static const OpDef op = binary_op({
      .name = "minimum",
      .to_onnx = one_node("Min"),
      .doc = "The less of a and b, elementwise with broadcasting; NaN where either is NaN. Real or integer. Where they "
             "are equal each gets half of the cotangent.",
      .real = [](double a, double b) { return a < b || std::isnan(a) ? a : b; },
      .integer = [](int64_t a, int64_t b) { return a < b ? a : b; },
      .ordered = true,
      .native = native_lowering<MinimumNative, false, double>(),
      .d_a = [](Graph& g, Value a, Value b, Value,
                Value d) { return share_of_winner(g, less(g, a, b), equal(g, a, b), d); },
      .d_b = [](Graph& g, Value a, Value b, Value,
                Value d) { return share_of_winner(g, less(g, b, a), equal(g, a, b), d); },
      .kernel = kernels::BinaryOp::minimum,
      .sample_a = [](Extents e, uint32_t stream) { return sample_distinct(std::move(e), stream); },
      .sample_b = [](Extents e, uint32_t stream) { return sample_distinct(std::move(e), stream, 0.0625); },
  });
  return op;
}

Value minimum(Graph& g, Value a, Value b) { return g.add1(minimum_op(), {a, b}); }

}  // namespace gregale::ops
