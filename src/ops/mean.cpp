// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/list.hpp"
#include "ops/reduction.hpp"

namespace gregale::ops {

const OpDef& mean_op() {
  static const OpDef op = [] {
    OpDef d = reduction_op("mean", "The arithmetic mean over axes; of nothing NaN.", kernels::ReduceOp::mean);
    const auto shapes = d.infer;
    d.infer = [shapes](const NodeView& node) {
      check_real_float(node, 0);
      return shapes(node);
    };
    d.reference = [](ReferenceContext& c) {
      const auto& x = c.inputs[0].real();
      auto& y = c.outputs[0].real();
      for_each_reduced(c, [&](size_t i, size_t o) { y[o] += x[i]; });
      double count = 1;
      const std::vector<bool> reduced = reduced_axes(c.node);
      for (size_t i = 0; i < reduced.size(); ++i)
        if (reduced[i]) count *= static_cast<double>(c.inputs[0].extents[i]);
      for (double& v : y) v /= count;
    };
    d.gradient = [](GradientContext& c) {
      Graph& g = c.graph();
      const Value share = div(g, restore_axes(g, c.view(), c.d_output()), reduced_count(g, c.view(), c.input(0)));
      c.set_d_input(0, broadcast_like(g, share, c.input(0)));
    };
    return d;
  }();
  return op;
}

Value mean(Graph& g, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return g.add1(mean_op(), {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}

}  // namespace gregale::ops
