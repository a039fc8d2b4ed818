// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

struct FmodNative {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return 0;
      return b == 0 ? T{0} : static_cast<T>(a % b);
    }
  }
};

}  // namespace

const OpDef& fmod_op() {
  static const OpDef op = binary_op({
      .name = "fmod",
      .to_onnx =
          [](OnnxWriter& w) {
            w.same("Mod", {{"fmod", int64_t{1}}});
          },
      .doc = "The remainder of a / b truncated, with the sign of a (as the C library's fmod), elementwise with "
             "broadcasting. Real or "
             "integer; of an integer divided by zero, zero.",
      .real = FmodNative::of<double>,
      .integer = FmodNative::of<int64_t>,
      .natural = FmodNative::of<uint64_t>,
      .native = native_lowering<FmodNative, false, float, double>(),
      .d_a = [](Graph&, Value, Value, Value, Value d) { return d; },
      .d_b = [](Graph& g, Value a, Value b, Value y, Value d) { return mul(g, d, div(g, sub(g, y, a), b)); },
      .sample_a = [](Extents e, uint32_t stream) { return sample_distinct(std::move(e), stream, 0.06); },
      .sample_b = [](Extents e, uint32_t stream) { return sample_ones(std::move(e), stream); },
  });
  return op;
}

Value fmod(Graph& g, Value a, Value b) { return g.add1(fmod_op(), {a, b}); }

}  // namespace gregale::ops
