// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/log.hpp"
#include "exec/plan.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "passes/passes.hpp"

namespace gregale {
namespace {

/// After every pass: the verifier in debug builds, a line of GREGALE_LOG=passes.
Graph checked(const char* pass, Graph graph) {
#ifndef NDEBUG
  verify(graph);
#endif
  if (log_enabled("passes"))
    log_line("passes", fmt::format("{}: {} nodes after {}", graph.name(), graph.nodes().size(), pass));
  return graph;
}

}  // namespace

// The story of compilation, told with printed programs in docs/compiler.md. Sharding and keep-or-recompute will stand
// between the expansion and precision (docs/design.md).
Executable compile(const Graph& source, const CompileOptions& options) {
  verify(source);
  Graph graph = source;
  if (options.optimize) {
    graph = checked("dead nodes", passes::drop_dead_nodes(graph));
    graph = checked("common subexpressions", passes::merge_common_subexpressions(graph));
  }
  graph = checked("expansion", passes::expand_composites(graph, options.target));
  if (options.optimize) {
    graph = checked("constant folding", passes::fold_constants(graph));
    graph = checked("simplification", passes::simplify(graph));
    graph = checked("common subexpressions", passes::merge_common_subexpressions(graph));
    graph = checked("dead nodes", passes::drop_dead_nodes(graph));
    graph = checked("layouts", passes::fold_constants(passes::drop_dead_nodes(passes::channels_last(graph))));
    graph = checked("reshapes", passes::drop_dead_nodes(passes::sink_reshapes(graph)));
  }
  if (options.precision == Precision::bf16)
    graph = checked("precision", passes::drop_dead_nodes(passes::lower_precision(graph)));
  if (options.optimize && options.fuse) graph = checked("fusion", passes::fuse(graph, options.target));
  auto plan = make_plan(std::move(graph), options.target);
  const int64_t budget = options.target.memory_budget;
  GREGALE_CHECK(budget == 0 || plan->arena_bytes <= budget, out_of_memory,
                "[compile] '{}' needs {} bytes for intermediate results, above the budget of {}", plan->graph.name(),
                plan->arena_bytes, budget);
  return Executable(std::move(plan));
}

}  // namespace gregale
