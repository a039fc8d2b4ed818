// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"

namespace gregale::ops {

const OpDef& logical_and_op() {
  static const OpDef op = logical_op("logical_and", "True where both a and b are true, elementwise with broadcasting.",
                                     [](bool a, bool b) { return a && b; });
  return op;
}

Value logical_and(Graph& g, Value a, Value b) { return g.add1(logical_and_op(), {a, b}); }

}  // namespace gregale::ops
