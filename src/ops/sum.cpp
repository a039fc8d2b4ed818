// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/list.hpp"
#include "ops/native_reduction.hpp"
#include "ops/reduction.hpp"

namespace gregale::ops {

const OpDef& sum_op() {
  static const OpDef op = [] {
    OpDef d = reduction_op("sum", "The sum over axes; of nothing 0. Real, complex or integer (wrapping).",
                           kernels::ReduceOp::sum);
    const auto shapes = d.infer;
    d.infer = [shapes](const NodeView& node) {
      const DType dtype = node.input(0).dtype;
      GREGALE_CHECK(dtype != DType::boolean, dtype, "[sum] x has dtype bool; expected a number (cast it to count)");
      return shapes(node);
    };
    d.reference = [](ReferenceContext& c) {
      visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
        using T = typename std::decay_t<decltype(y)>::value_type;
        for_each_reduced(c, [&](size_t i, size_t o) {
          if constexpr (std::is_same_v<T, int64_t>)
            y[o] = static_cast<int64_t>(static_cast<uint64_t>(y[o]) + static_cast<uint64_t>(x[i]));
          else
            y[o] += x[i];
        });
      });
    };
    d.gradient = [](GradientContext& c) {
      c.set_d_input(0, broadcast_like(c.graph(), restore_axes(c.graph(), c.view(), c.d_output()), c.input(0)));
    };
    const auto real_samples = d.samples;
    d.samples = [real_samples] {
      std::vector<Sample> samples = real_samples();
      samples.push_back({.inputs = {sample_complex({3, 5}, 9)}, .attributes = {{"axes", std::vector<int64_t>{0}}}});
      samples.push_back({.inputs = {sample_integers({3, 5}, 10)},
                         .attributes = {{"axes", std::vector<int64_t>{1}}},
                         .check_gradient = false});
      return samples;
    };
    d.lowerings.push_back(native_reduction<NativeSum>());
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value sum(Graph& g, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return g.add1(sum_op(), {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}

}  // namespace gregale::ops
