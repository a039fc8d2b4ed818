// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/random/random.hpp"
#include "ops/list.hpp"
#include "ops/random.hpp"

namespace gregale::ops {

const OpDef& random_normal_op() {
  static const OpDef op = draw_op(
      "random_normal",
      "Standard normal numbers, by Box and Muller's transformation of the uniform ones of Philox4x32-10: a function "
      "of key, stream and position alone.",
      gregale::random_normal, kernels::fill_normal_f32, 30);
  return op;
}

Value random_normal(Graph& g, Value key, const Shape& shape, int64_t stream) {
  return g.add1(random_normal_op(), {key}, {{"shape", shape.extents()}, {"stream", stream}});
}

}  // namespace gregale::ops
