// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/log.hpp"
#include "exec/plan.hpp"
#include "exec/shapes.hpp"
#include "gregale/error.hpp"
#include "gregale/exec.hpp"
#include "kernels/contraction/contraction_kernel.hpp"
#include "kernels/kernel_cache.hpp"
#include "kernels/machine/machine.hpp"
#include "passes/passes.hpp"
#include "passes/tune.hpp"
#include "passes/tune_cache.hpp"

namespace gregale {
namespace {

/// After every pass: the verifier in debug builds, a line of GREGALE_LOG=passes, and who else looks on.
Graph applied(const char* pass, Graph graph, const passes::Observer& observer) {
#ifndef NDEBUG
  verify(graph);
#endif
  if (log_enabled("passes"))
    log_line("passes", fmt::format("{}: {} nodes after {}", graph.name(), graph.nodes().size(), pass));
  if (observer) observer(pass, graph);
  return graph;
}

/// What tuning needs to know beside the graph: what was measured on this machine, and where choices are kept.
passes::TuneOptions tune_options(const CompileOptions& options) {
  passes::TuneOptions tuning;
  tuning.cache = options.tune_cache.value_or(passes::default_tune_cache());
  const auto machine = kernels::load_machine(kernels::machine_cache_path(), options.target, options.target.cores);
  tuning.rates = machine ? tile::rates_of(options.target, *machine) : tile::rates_of(options.target);
  return tuning;
}

Graph behind_kept(Graph graph, const CompileOptions& options, const passes::Observer& observer) {
  using namespace passes;
  const auto apply = [&](const char* pass, Graph changed) { graph = applied(pass, std::move(changed), observer); };
  if (options.optimize && options.fuse) apply("fusion", fuse(graph, options.target, options.precision));
  if (options.optimize) apply("updates", order_updates(graph));
  if (options.tune == Tune::quick) apply("tuning", tune(graph, options.target, tune_options(options)));
  return graph;
}

bool multiplies_bf16_faster(const Target& target) {
  return kernels::has_tiles(target) || (target.features.avx512_bf16 && target.features.fast_bf16_dot);
}

int64_t needed_bytes(const Executable::Plan& plan, const Target& target) {
  return plan.arena_bytes + plan.thread_bytes * target.cores;
}

/// `least`: of other plans for the same graph.
void check_budget(const Executable::Plan& plan, const Target& target, const std::string& name, int64_t least) {
  const int64_t budget = target.memory_budget, needed = std::min(needed_bytes(plan, target), least);
  if (budget > 0 && needed_bytes(plan, target) > budget)
    throw BudgetError(fmt::format("[compile] '{}' needs {} bytes for intermediate results, above the budget of {}",
                                  name, needed, budget),
                      needed);
}

}  // namespace

// The story of compilation, told with printed programs in docs/compiler.md. Sharding will stand between the expansion
// and precision (docs/design.md).
Graph passes::run_until_kept(const Graph& source, const CompileOptions& options, const Observer& observer) {
  Graph graph = source;
  const auto apply = [&](const char* pass, Graph changed) { graph = applied(pass, std::move(changed), observer); };
  if (options.optimize) {
    apply("dead nodes", drop_dead_nodes(graph));
    apply("common subexpressions", merge_common_subexpressions(graph));
  }
  apply("expansion", expand_composites(graph, options.target));
  if (options.optimize) {
    apply("constant folding", fold_constants(graph));
    apply("simplification", simplify(graph));
    apply("common subexpressions", merge_common_subexpressions(graph));
    apply("dead nodes", drop_dead_nodes(graph));
    apply("layouts", fold_constants(drop_dead_nodes(channels_last(graph))));
    apply("reshapes", drop_dead_nodes(sink_reshapes(graph)));
  }
  if (options.optimize && multiplies_bf16_faster(options.target))
    apply("integers", drop_dead_nodes(narrow_integers(graph)));
  if (options.precision == Precision::bf16) apply("precision", drop_dead_nodes(lower_precision(graph, options.loss)));
  if (options.optimize && options.fuse) apply("parts", drop_dead_nodes(expand_for_fusion(graph)));
  return graph;
}

Graph passes::run_all(const Graph& source, const CompileOptions& options, const Observer& observer, double keep_price,
                      KeepPlan* plan) {
  Graph graph = run_until_kept(source, options, observer);
  const auto apply = [&](const char* pass, Graph changed) { graph = applied(pass, std::move(changed), observer); };
  if (options.optimize && options.loss >= 0 && options.keep == Keep::or_recompute)
    apply("keep or recompute",
          drop_dead_nodes(keep_or_recompute(graph, options.loss, options.target, keep_price, plan)));
  if (options.loss >= 0 && options.keep != Keep::or_recompute)
    apply("compression", drop_dead_nodes(compress_kept(graph, options.loss, options.keep,
                                                       {options.keep_bits, options.kept_bits}, plan)));
  return behind_kept(std::move(graph), options, observer);
}

Executable passes::compile_kept(const Graph& graph, const CompileOptions& options) {
  CompileOptions shared = options;
  if (options.tune == Tune::quick && shared.target.kernels == nullptr)
    shared.target.kernels = std::make_shared<kernels::KernelCache>(shared.target);
  auto plan = make_plan(behind_kept(drop_dead_nodes(graph), shared, {}), shared.target);
  check_budget(*plan, shared.target, graph.name(), INT64_MAX);
  return Executable(std::move(plan));
}

Executable compile(const Graph& source, const CompileOptions& options) {
  verify(source);
  GREGALE_CHECK(options.loss < static_cast<int>(source.outputs().size()), invalid_argument,
                "[compile] the loss of '{}' is to be result {}, it has {}", source.name(), options.loss,
                source.outputs().size());
  if (Executable::Shapes::is_symbolic(source)) {
    CompileOptions each = options;  // its programs share their kernels
    if (each.target.kernels == nullptr) each.target.kernels = std::make_shared<kernels::KernelCache>(each.target);
    return Executable(std::make_unique<Executable::Shapes>(
        source, options.kept_programs, [each](const Graph& bound) { return compile(bound, each); }));
  }
  CompileOptions shared = options;
  if (options.tune == Tune::quick && shared.target.kernels == nullptr)  // tuning compiles what the plan will run
    shared.target.kernels = std::make_shared<kernels::KernelCache>(shared.target);
  // The dearer memory is, the more is computed again.
  constexpr double kDearer = 4, kDearest = passes::kKeepPrice * 4096;
  const int64_t budget = options.target.memory_budget;
  GREGALE_CHECK(options.keep_bits >= 1 && options.keep_bits <= 8, invalid_argument,
                "[compile] keep_bits {} are not 1 to 8", options.keep_bits);
  const bool chooses = options.loss >= 0 && options.optimize;
  const bool recomputes = chooses && options.keep == Keep::or_recompute;
  int64_t least = INT64_MAX;
  for (double price = passes::kKeepPrice;; price *= kDearer) {
    passes::KeepPlan keep;
    auto plan = make_plan(passes::run_all(source, shared, {}, price, &keep), shared.target);
    const int64_t needed = needed_bytes(*plan, shared.target);
    least = std::min(least, needed);
    if (budget > 0 && needed > budget && recomputes && price < kDearest) continue;
    check_budget(*plan, shared.target, source.name(), least);
    if (chooses) plan->keep = to_string(keep);
    if (options.loss >= 0) find_boundary(*plan, options.loss);
    return Executable(std::move(plan));
  }
}

}  // namespace gregale
