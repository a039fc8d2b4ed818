// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/op.hpp"

namespace gregale {

/// Checks attribute names and kinds and fills in defaults; throws "[pad] unknown attribute 'lo'".
void complete_attributes(const OpDef& op, Attributes& attributes);

/// Result types of one node: checks the number of operands, then asks the operator (read and write: the variables).
std::vector<Type> infer_types(const OpDef& op, const std::vector<Variable>& variables, const std::vector<Type>& inputs,
                              const Attributes& attributes, const std::vector<Graph>& regions);

/// What a `constant` of the graph holds; null where the value is none.
const Tensor* constant_of(const Graph& graph, Value value);

/// The view of a node that stands in a graph. It points into the graph.
NodeView view_of(const Graph& graph, const Node& node);

}  // namespace gregale
