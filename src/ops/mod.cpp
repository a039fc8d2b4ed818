// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct ModNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = std::fmod(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return 0;
        const auto r = static_cast<T>(a % b);
        return static_cast<T>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
      } else {
        return static_cast<T>(a % b);
      }
    }
  }
};

}  // namespace

const OpDef& mod_op() {
  static const OpDef op = binary_op({
      .name = "mod",
      .to_onnx =
          [](OnnxWriter& w) {
            w.same("Mod", {{"fmod", int64_t{0}}});
          },
      .doc = "The remainder of a / b rounded down, with the sign of b (as in Python), elementwise with broadcasting. "
             "Real or "
             "integer; of an integer divided by zero, zero.",
      .real = ModNative::of<double>,
      .integer = ModNative::of<int64_t>,
      .natural = ModNative::of<uint64_t>,
      .native = native_lowering<ModNative, false, float, double>(),
      .d_a = [](Graph&, Value, Value, Value, Value d) { return d; },
      .d_b = [](Graph& g, Value a, Value b, Value y, Value d) { return mul(g, d, div(g, sub(g, y, a), b)); },
      .sample_a = [](Extents e, uint32_t stream) { return sample_distinct(std::move(e), stream, 0.06); },
      .sample_b = [](Extents e, uint32_t stream) { return sample_ones(std::move(e), stream); },
  });
  return op;
}

Value mod(Graph& g, Value a, Value b) { return g.add1(mod_op(), {a, b}); }

}  // namespace gregale::ops
