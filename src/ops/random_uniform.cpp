// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/random/random.hpp"
#include "ops/list.hpp"
#include "ops/random.hpp"

namespace gregale::ops {

const OpDef& random_uniform_op() {
  static const OpDef op = draw_op(
      "random_uniform",
      "Uniform numbers in [0, 1), 24 bits each, from the counter-based generator Philox4x32-10: a function of key, "
      "stream and position alone.",
      gregale::random_uniform, kernels::fill_uniform_f32, 10);
  return op;
}

Value random_uniform(Graph& g, Value key, const Shape& shape, int64_t stream) {
  return g.add1(random_uniform_op(), {key}, {{"shape", shape.extents()}, {"stream", stream}});
}

}  // namespace gregale::ops
