// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.hpp"
#include "ops/list.hpp"
#include "ops/native.hpp"

namespace gregale::ops {
namespace {

struct LogicalOrNative {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};

}  // namespace

const OpDef& logical_or_op() {
  static const OpDef op = logical_op(
      "logical_or", "True where a or b or both are true, elementwise with broadcasting.",
      [](bool a, bool b) { return a || b; }, native_lowering<LogicalOrNative, false>(), "Or");
  return op;
}

Value logical_or(Graph& g, Value a, Value b) { return g.add1(logical_or_op(), {a, b}); }

}  // namespace gregale::ops
