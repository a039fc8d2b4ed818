// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "gregale/op.hpp"

namespace gregale::passes {

/// Moves or chooses elements: of rounded ones it gives the same, rounded.
bool chooses_elements(const OpDef& op);

/// The bf16 forms of f32 values of a graph that grows, each made once.
class RoundedValues {
 public:
  /// What was widened gives what it was widened from, constants are rounded here, and operators that move or choose
  /// elements do so with the rounded ones: the rounding joins what computes them.
  Value of(Graph& graph, Value v);

 private:
  std::map<int32_t, Value> made_;  ///< by value
};

}  // namespace gregale::passes
