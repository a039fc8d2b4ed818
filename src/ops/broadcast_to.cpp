// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ops/broadcasting.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& broadcast_to_op() {
  static const OpDef op = broadcast_definition(false);
  return op;
}

Value broadcast_to(Graph& g, Value x, const Shape& shape) {
  if (g.type(x).shape == shape) return x;
  GREGALE_CHECK(shape.is_constant(), shape, "[broadcast_to] the shape is symbolic: use broadcast_like");
  return g.add1(broadcast_to_op(), {x}, {{"shape", shape.extents()}});
}

}  // namespace gregale::ops
