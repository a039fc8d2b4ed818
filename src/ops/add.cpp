// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct AddNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};

}  // namespace

const OpDef& add_op() {
  static const OpDef op = binary_op({
      .name = "add",
      .to_onnx = [](OnnxWriter& w) { w.same("Add"); },
      .doc = "a + b with broadcasting. Real, complex or integer (wrapping).",
      .real = [](double a, double b) { return a + b; },
      .complex = [](Complex a, Complex b) { return a + b; },
      .integer = [](int64_t a,
                    int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); },
      .native = native_lowering<AddNative, false, double>(),
      .d_a = [](Graph&, Value, Value, Value, Value d) { return d; },
      .d_b = [](Graph&, Value, Value, Value, Value d) { return d; },
      .kernel = kernels::BinaryOp::add,
      .complex_kernel = kernels::ComplexOp::add,
      .onnx = "Add",
  });
  return op;
}

Value add(Graph& g, Value a, Value b) { return g.add1(add_op(), {a, b}); }

Value add(Graph& g, Value a, double b) { return add(g, a, scalar(g, g.type(a).dtype, b)); }

}  // namespace gregale::ops
