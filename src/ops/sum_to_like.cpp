// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/broadcasting.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& sum_to_like_op() {
  static const OpDef op = sum_to_definition(true);
  return op;
}

Value sum_to_like(Graph& g, Value x, Value like) {
  const Shape shape = g.type(like).shape;
  // Without symbols the attribute form is enough, and `like` need not stay alive for it.
  return shape == g.type(x).shape || shape.is_constant() ? sum_to(g, x, shape) : g.add1(sum_to_like_op(), {x, like});
}

}  // namespace gregale::ops
