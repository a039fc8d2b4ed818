// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct BitwiseOrNative {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};

}  // namespace

const OpDef& bitwise_or_op() {
  static const OpDef op = binary_op({
      .name = "bitwise_or",
      .to_onnx = [](OnnxWriter& w) { w.unsupported("operator set 17 has no bits"); },
      .doc = "Bits set in either of a and b, elementwise with broadcasting. Integers.",
      .integer = BitwiseOrNative::of<int64_t>,
      .native = native_lowering<BitwiseOrNative, false>(),
      .onnx = "BitwiseOr",
  });
  return op;
}

Value bitwise_or(Graph& g, Value a, Value b) { return g.add1(bitwise_or_op(), {a, b}); }

}  // namespace gregale::ops
