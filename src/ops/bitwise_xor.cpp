// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct BitwiseXorNative {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

}  // namespace

const OpDef& bitwise_xor_op() {
  static const OpDef op = binary_op({
      .name = "bitwise_xor",
      .to_onnx = [](OnnxWriter& w) { w.unsupported("operator set 17 has no bits"); },
      .doc = "Bits set in one of a and b, elementwise with broadcasting. Integers.",
      .integer = BitwiseXorNative::of<int64_t>,
      .native = native_lowering<BitwiseXorNative, false>(),
      .onnx = "BitwiseXor",
  });
  return op;
}

Value bitwise_xor(Graph& g, Value a, Value b) { return g.add1(bitwise_xor_op(), {a, b}); }

}  // namespace gregale::ops
