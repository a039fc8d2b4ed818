// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/extremum.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& max_op() {
  static const OpDef op = extremum_op("max", "greatest", kernels::ReduceOp::max, [](auto a, auto b) { return a > b; });
  return op;
}

Value max(Graph& g, Value x, std::vector<int64_t> axes, bool keep_dims) {
  return g.add1(max_op(), {x}, {{"axes", std::move(axes)}, {"keep_dims", keep_dims}});
}

}  // namespace gregale::ops
