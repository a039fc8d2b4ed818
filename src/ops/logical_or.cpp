// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& logical_or_op() {
  static const OpDef op = logical_op("logical_or", "True where a or b or both are true, elementwise with broadcasting.",
                                     [](bool a, bool b) { return a || b; });
  return op;
}

Value logical_or(Graph& g, Value a, Value b) { return g.add1(logical_or_op(), {a, b}); }

}  // namespace gregale::ops
