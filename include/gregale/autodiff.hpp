// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/graph.hpp"

namespace gregale {

/// Reverse-mode differentiation: appends to `graph` the operators that compute d loss / d wrt[i] and returns them, one
/// of each wrt's type (zeros where loss does not depend on it). What is emitted is made of graph operators, so it
/// can be differentiated again. `loss` is a real scalar, unless `d_loss` gives a cotangent of its type.
/// Complex cotangents are dL/d(re) + i dL/d(im). Throws ErrorCode::unsupported, with the operator's reason, where the
/// loss depends on a wrt through an operator that has no gradient.
std::vector<Value> gradients(Graph& graph, Value loss, const std::vector<Value>& wrt, Value d_loss = {});

}  // namespace gregale
