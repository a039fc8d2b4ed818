// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gregale/exec.hpp"

namespace gregale::tools {

/// A graph before and after the passes in front of fusion, and the steps of the program that its nodes run in.
struct GraphTrace {
  Graph rewritten;
  /// The step of each node: of the source, of `rewritten`, of the program's graph; -1: none, or it cannot be told.
  std::vector<int32_t> source_steps, rewritten_steps, program_steps;
  /// Whether the value of a source's node is computed as such; where it is not, its step is that of what it is made
  /// from, or else of what reads it.
  std::vector<bool> exact;
};

/// Runs the passes of compile() once more. Across them, values are followed by name; from there into groups, by what
/// they compute from what, so that a node that several groups compute again is said to run in the first.
GraphTrace trace_graph(const Graph& source, const CompileOptions& options, const Executable& program);

}  // namespace gregale::tools
