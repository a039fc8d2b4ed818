// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/op.hpp"

namespace gregale {

/// interpret() on reference arrays: what operators with regions run their bodies with.
std::vector<RefArray> interpret_arrays(const Graph& graph, std::vector<RefArray> inputs, VariableValues* state);

/// Runs one operator's reference and rounds what it gave to the result dtypes.
std::vector<RefArray> run_reference(const NodeView& node, const std::vector<RefArray>& inputs);

}  // namespace gregale
