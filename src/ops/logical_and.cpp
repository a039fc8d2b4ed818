// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"

namespace gregale::ops {
namespace {

struct LogicalAndNative {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};

}  // namespace

const OpDef& logical_and_op() {
  static const OpDef op = logical_op(
      "logical_and", "True where both a and b are true, elementwise with broadcasting.",
      [](bool a, bool b) { return a && b; }, native_lowering<LogicalAndNative, false>(), "And");
  return op;
}

Value logical_and(Graph& g, Value a, Value b) { return g.add1(logical_and_op(), {a, b}); }

}  // namespace gregale::ops
