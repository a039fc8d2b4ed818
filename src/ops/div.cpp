// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

/// Never traps.
template <class T>
T quotient(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return static_cast<T>(-static_cast<Wrapping<T>>(a));
  return static_cast<T>(a / b);
}

struct DivNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a / b;
    else
      return quotient(a, b);
  }
};

}  // namespace

const OpDef& div_op() {
  static const OpDef op = binary_op({
      .name = "div",
      .to_onnx =
          [](OnnxWriter& w) {
            if (!is_complex(w.view().input(0).dtype)) return w.same("Div");
            // a / b = a conj(b) / |b|^2
            const auto [a, b] = onnx_parts(w, w.input(0));
            const auto [c, d] = onnx_parts(w, w.input(1));
            const auto product = [&](const std::string& x, const std::string& y) { return w.add1("Mul", {x, y}); };
            const std::string norm = w.add1("Add", {product(c, c), product(d, d)});
            const std::string re = w.add1("Add", {product(a, c), product(b, d)});
            const std::string im = w.add1("Sub", {product(b, c), product(a, d)});
            w.set_output(0, onnx_pair(w, w.add1("Div", {re, norm}), w.add1("Div", {im, norm})));
          },
      .doc = "a / b, elementwise with broadcasting. Real or complex; or integer, truncated towards zero, where "
             "division by "
             "zero gives 0.",
      .real = [](double a, double b) { return a / b; },
      .complex = [](Complex a, Complex b) { return a / b; },
      .integer = quotient<int64_t>,
      .natural = quotient<uint64_t>,
      .native = native_lowering<DivNative, false, double>(),
      .d_a = [](Graph& g, Value, Value b, Value, Value d) { return div(g, d, conj_if_complex(g, b)); },
      .d_b = [](Graph& g, Value, Value b, Value y,
                Value d) { return neg(g, mul(g, d, conj_if_complex(g, div(g, y, b)))); },
      .kernel = kernels::BinaryOp::div,
      .onnx = "Div",
      .sample_b = [](Extents e, uint32_t stream) { return sample_away_from_zero(std::move(e), stream, 0.5); },
  });
  return op;
}

Value div(Graph& g, Value a, Value b) { return g.add1(div_op(), {a, b}); }

}  // namespace gregale::ops
