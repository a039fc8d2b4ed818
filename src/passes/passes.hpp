// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/context.hpp"
#include "gregale/graph.hpp"

/// The passes, each a function from graph to graph in a file of its own. pipeline.cpp is the order they run in.
/// The interpreter is the oracle of every one: interp(g) and interp(pass(g)) agree.
namespace gregale::passes {

/// Evaluates nodes whose operands are all constants, with their references, where the result is small.
Graph fold_constants(const Graph& graph);

/// Merges nodes of equal operator, attributes and operands. Random operators are functions of their key, so they merge
/// too.
Graph merge_common_subexpressions(const Graph& graph);

/// Drops nodes nothing needs. Writes are always needed.
Graph drop_dead_nodes(const Graph& graph);

/// Replaces every node that no lowering takes by what it stands for, where its operator has an expansion.
Graph expand_composites(const Graph& graph, const Target& target);

/// Rewrites by algebra and layout what then reads and writes fewer bytes, or as many with fewer flops: for graphs that
/// are run, not differentiated. Results change within rounding; a NaN or an infinity may become a number only where the
/// intermediate value that made it is gone, and no number becomes one. GREGALE_LOG=passes counts the rules that
/// applied.
Graph simplify(const Graph& graph);

}  // namespace gregale::passes
