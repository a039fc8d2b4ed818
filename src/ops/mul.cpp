// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct MulNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a * b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};

}  // namespace

const OpDef& mul_op() {
  static const OpDef op = binary_op({
      .name = "mul",
      .to_onnx =
          [](OnnxWriter& w) {
            if (!is_complex(w.view().input(0).dtype)) return w.same("Mul");
            const auto [a, b] = onnx_parts(w, w.input(0));
            const auto [c, d] = onnx_parts(w, w.input(1));
            const auto product = [&](const std::string& x, const std::string& y) { return w.add1("Mul", {x, y}); };
            const std::string re = w.add1("Sub", {product(a, c), product(b, d)});
            w.set_output(0, onnx_pair(w, re, w.add1("Add", {product(a, d), product(b, c)})));
          },
      .doc = "a b, elementwise with broadcasting. Real, complex or integer (wrapping).",
      .real = [](double a, double b) { return a * b; },
      .complex = [](Complex a, Complex b) { return a * b; },
      .integer = [](int64_t a,
                    int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); },
      .native = native_lowering<MulNative, false, double>(),
      .d_a = [](Graph& g, Value, Value b, Value, Value d) { return mul(g, d, conj_if_complex(g, b)); },
      .d_b = [](Graph& g, Value a, Value, Value, Value d) { return mul(g, d, conj_if_complex(g, a)); },
      .kernel = kernels::BinaryOp::mul,
      .complex_kernel = kernels::ComplexOp::mul,
      .onnx = "Mul",
  });
  return op;
}

Value mul(Graph& g, Value a, Value b) { return g.add1(mul_op(), {a, b}); }

Value mul(Graph& g, Value a, double b) { return mul(g, a, scalar(g, g.type(a).dtype, b)); }

}  // namespace gregale::ops
