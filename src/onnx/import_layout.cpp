// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gregale/ops.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {

std::vector<OnnxMapping> layout_mappings() {
  return {
      {"Shape", 1,
       [](OnnxNode& n) {
         const Extents all = n.extents(0);
         const auto rank = static_cast<int64_t>(all.size());
         const auto clamp = [&](int64_t i) { return std::clamp(i < 0 ? i + rank : i, int64_t{0}, rank); };
         const int64_t start = clamp(n.integer("start", 0)), stop = std::max(start, clamp(n.integer("end", rank)));
         return std::vector{
             n.graph().constant(Tensor::from<int64_t>({all.begin() + start, all.begin() + stop}, {stop - start}))};
       }},
  };
}

}  // namespace gregale::onnx
