// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct BitwiseAndNative {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};

}  // namespace

const OpDef& bitwise_and_op() {
  static const OpDef op = binary_op({
      .name = "bitwise_and",
      .to_onnx = [](OnnxWriter& w) { w.unsupported("operator set 17 has no bits"); },
      .doc = "Bits set in both a and b, elementwise with broadcasting. Integers.",
      .integer = BitwiseAndNative::of<int64_t>,
      .native = native_lowering<BitwiseAndNative, false>(),
      .onnx = "BitwiseAnd",
  });
  return op;
}

Value bitwise_and(Graph& g, Value a, Value b) { return g.add1(bitwise_and_op(), {a, b}); }

}  // namespace gregale::ops
