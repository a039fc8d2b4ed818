// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <cmath>

#include "ops/native_reduction.hpp"

namespace gregale::ops {

/// The definition of max and min: `better(a, b)` says whether a takes b's place, `word` is "greatest" or "least".
template <class Better>
OpDef extremum_op(const std::string& name, const std::string& word, kernels::ReduceOp kernel, Better better) {
  OpDef d =
      reduction_op(name,
                   fmt::format("The {} element over axes; NaN where there is one. The cotangent is shared equally "
                               "among the elements that tie. Real or integer.",
                               word),
                   kernel);
  const auto shapes = d.infer;
  d.infer = [shapes, name, word](const NodeView& node) {
    const DType dtype = node.input(0).dtype;
    GREGALE_CHECK(is_real_float(dtype) || is_integer(dtype), dtype, "[{}] x has dtype {}; expected a real number", name,
                  name_of(dtype));
    const std::vector<bool> reduced = reduced_axes(node);
    for (int64_t i = 0; i < node.input(0).rank(); ++i)
      GREGALE_CHECK(!reduced[static_cast<size_t>(i)] || node.input(0).shape[i] != Dim(0), shape,
                    "[{}] axis {} is empty: there is no {} element", name, i, word);
    return shapes(node);
  };
  d.reference = [better](ReferenceContext& c) {
    // u64 stands as i64 by its bits, so flip the top one to compare.
    const int64_t bits = c.inputs[0].type.dtype == DType::u64 ? INT64_MIN : 0;
    visit_same(c.inputs[0], c.outputs[0], [&](const auto& x, auto& y) {
      using T = typename std::decay_t<decltype(y)>::value_type;
      std::vector<bool> seen(y.size(), false);
      for_each_reduced(c, [&](size_t i, size_t o) {
        if constexpr (std::is_same_v<T, int64_t>) {
          if (!seen[o] || better(x[i] ^ bits, y[o] ^ bits)) y[o] = x[i];
        } else if constexpr (std::is_same_v<T, double>) {
          if (!seen[o] || better(x[i], y[o]) || std::isnan(x[i])) y[o] = x[i];
        }
        seen[o] = true;
      });
    });
  };
  d.gradient = share_among_ties;
  const auto real_samples = d.samples;
  d.samples = [real_samples] {
    std::vector<Sample> samples = real_samples();
    samples.push_back({.inputs = {sample_integers({3, 5}, 10)},
                       .attributes = {{"axes", std::vector<int64_t>{1}}},
                       .check_gradient = false});
    return samples;
  };
  d.lowerings.push_back(kernel == kernels::ReduceOp::max ? native_reduction<NativeExtremum<true>>()
                                                         : native_reduction<NativeExtremum<false>>());
  d.bits_exact_integers = true;
  return d;
}

}  // namespace gregale::ops
