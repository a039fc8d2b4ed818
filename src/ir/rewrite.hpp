// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>

#include "gregale/graph.hpp"

namespace gregale {

/// What becomes of one node in a copy of its graph: values to stand for its results (emitted into `target` from the
/// copied operands, or invalid ones where nothing needs them), or nothing to copy it as it is.
using NodeRewrite =
    std::function<std::optional<std::vector<Value>>(Graph& target, const Node& node, const std::vector<Value>& inputs)>;

/// The frame of every pass: a copy of `graph`, node by node in order, with `change` applied. Variables whose entry in
/// `dropped` is true are left out, and `change` must replace every node that names one. Values keep their names: what
/// stands for a named value gets its name, unless it has one.
Graph rewrite(const Graph& graph, const NodeRewrite& change, const std::vector<bool>& dropped = {});

/// The same rule for passes that build their graphs themselves.
void carry_name(Graph& target, Value to, const Graph& source, Value from);

}  // namespace gregale
