// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/list.hpp"
#include "ops/native_reduction.hpp"

namespace gregale::ops {

const OpDef& prod_op() {
  static const OpDef op = [] {
    OpDef d = reduction_op("prod",
                           "The product over axes; of nothing 1. Real or integer (wrapping). The gradient is that of "
                           "operands without zeros.",
                           kernels::ReduceOp::sum);
    const auto shapes = d.infer;
    d.infer = [shapes](const NodeView& node) {
      const DType dtype = node.input(0).dtype;
      GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype, "[prod] x has dtype {}; expected a real number",
                    name_of(dtype));
      return shapes(node);
    };
    d.reference = [](ReferenceContext& c) {
      visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
        using T = typename std::decay_t<decltype(y)>::value_type;
        std::fill(y.begin(), y.end(), T{1});
        for_each_reduced(c, [&](size_t i, size_t o) {
          if constexpr (std::is_same_v<T, int64_t>)
            y[o] = static_cast<int64_t>(static_cast<uint64_t>(y[o]) * static_cast<uint64_t>(x[i]));
          else
            y[o] *= x[i];
        });
      });
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const Value whole = mul(g, restore_axes(g, c.view(), c.d_output()), restore_axes(g, c.view(), c.output()));
      c.set_d_input(0, div(g, broadcast_like(g, whole, c.input(0)), c.input(0)));
    };
    d.lowerings = {native_reduction<NativeProduct, float, double>()};
    d.express = nullptr;
    const auto real_samples = d.samples;
    d.samples = [real_samples] {
      std::vector<Sample> samples = real_samples();
      uint32_t stream = 20;
      // Away from zero, by which the gradient divides.
      for (Sample& s : samples) s.inputs[0] = sample_away_from_zero(s.inputs[0].extents(), ++stream, 0.5, -1.5, 1.5);
      samples.push_back({.inputs = {sample_integers({3, 5}, 10)},
                         .attributes = {{"axes", std::vector<int64_t>{1}}},
                         .check_gradient = false});
      return samples;
    };
    d.bits_exact_integers = true;
    return d;
  }();
  return op;
}

Value prod(Graph& g, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return g.add1(prod_op(), {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}

}  // namespace gregale::ops
