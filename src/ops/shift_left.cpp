// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct ShiftLeftNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_signed_v<T>)
      return static_cast<T>(of(static_cast<std::make_unsigned_t<T>>(a), static_cast<std::make_unsigned_t<T>>(b)));
    else
      return static_cast<uint64_t>(b) < 8 * sizeof(T) ? static_cast<T>(static_cast<Wrapping<T>>(a) << b) : T{0};
  }
};

}  // namespace

const OpDef& shift_left_op() {
  static const OpDef op = binary_op({
      .name = "shift_left",
      .to_onnx =
          [](OnnxWriter& w) {
            w.same("BitShift", {{"direction", std::string("LEFT")}});
          },
      .doc = "The bits of a moved up by b places, elementwise with broadcasting: zeros follow, what leaves the dtype "
             "is gone. Unsigned integers.",
      .integer = ShiftLeftNative::of<int64_t>,
      .native = native_lowering<ShiftLeftNative, false>(),
  });
  return op;
}

Value shift_left(Graph& g, Value a, Value b) { return g.add1(shift_left_op(), {a, b}); }

}  // namespace gregale::ops
