// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "gregale/context.hpp"
#include "gregale/exec.hpp"
#include "gregale/graph.hpp"

/// The passes, each a function from graph to graph in a file of its own. pipeline.cpp is the order they run in.
/// The interpreter is the oracle of every one: interp(g) and interp(pass(g)) agree.
namespace gregale::passes {

/// Evaluates nodes whose operands are all constants, with their references, where the result is small.
Graph fold_constants(const Graph& graph);

/// Merges nodes of equal operator, attributes and operands. Random operators are functions of their key, so they merge
/// too.
Graph merge_common_subexpressions(const Graph& graph);
/// The same for operators that only move elements.
Graph merge_common_moves(const Graph& graph);

/// Drops nodes nothing needs. Writes are always needed.
Graph drop_dead_nodes(const Graph& graph);

/// Replaces variables that are never written by constants (gregale/exec.hpp: it is the caller who has their values).
using gregale::freeze;

/// Replaces every node that no lowering takes by what it stands for, where its operator has an expansion.
Graph expand_composites(const Graph& graph, const Target& target);

/// Replaces what has a kernel of its own but fuses better in parts: a layer norm's gradient joins the residual's, casts
/// and the bias gradients behind it.
Graph expand_for_fusion(const Graph& graph);

/// Rewrites by algebra and layout what then reads and writes fewer bytes, or as many with fewer flops: for graphs that
/// are run, not differentiated. Results change within rounding. Two things differ beyond: sums and products are taken
/// in another order, so that what overflows or underflows on the way may be something else; and an infinite c makes a c
/// + b c NaN where a and b differ in sign, but (a + b) c infinite. x + 0 keeps the sign of a zero x. What the rules
/// leave alone is in simplify_*.cpp; GREGALE_LOG=passes counts those that applied.
Graph simplify(const Graph& graph);

/// Chooses for every operator on images whether it works with channels first or last, the cheapest for the whole graph,
/// transposes included: conv2d and its gradients become conv2d_nhwc and its, or matrix products where they have one
/// tap. Leaves dead nodes.
Graph channels_last(const Graph& graph);

/// The bf16 policy (Precision::bf16): operands of f32 products are rounded to bf16 and multiplied so, sums stay f32;
/// values that several operators read are rounded once and widened by each reader, so that what travels through memory
/// is bf16. Of a training graph, what follows the last products up to result `loss` is none of them. Runs after common
/// subexpressions are merged, which would undo the latter.
Graph lower_precision(const Graph& graph, int loss = -1);

/// What the forward pass keeps for the backward pass.
struct KeepPlan {
  int64_t kept = 0, kept_bytes = 0;  ///< values
  int64_t recomputed = 0;            ///< operators that run again
  double recomputed_flops = 0;
  int64_t whole_bytes = 0, mask_bytes = 0;  ///< before compression; of it, what comparisons take
  /// One that compression can put into any number of bits.
  struct Value {
    std::string kind;  ///< what makes it, and its type: "gelu f32[8,64]"
    int64_t elements = 0, whole_bytes = 0, kept_bytes = 0;
    int bits = 0;  ///< kBitsWhole where it is as it was
    friend bool operator==(const Value&, const Value&) = default;
  };
  std::vector<Value> values;  ///< in the order in which the forward pass makes them
};

/// Bits of kept values: one number, or one for each of KeepPlan::values, as of CompileOptions.
struct KeepBits {
  KeepBits(int for_all) : all(for_all) {}  // NOLINT: a number is one
  KeepBits(int for_all, std::vector<int> for_each) : all(for_all), each(std::move(for_each)) {}
  int all;
  std::vector<int> each;
};
std::string to_string(const KeepPlan& plan);

/// Chooses for each value of the forward pass that the backward pass reads whether it is kept or computed again, the
/// cheapest for the whole graph. `loss`: the result whose operands are the forward pass. `price`: what a kept byte
/// costs, over the time to write and read it; kKeepPrice where memory is not short. The graph means the same bits.
/// Nothing may merge common subexpressions afterwards.
inline constexpr double kKeepPrice = 2;
Graph keep_or_recompute(const Graph& graph, int loss, const Target& target, double price, KeepPlan* plan = nullptr);

/// Nodes that the loss is made of, but for reads of variables and constants: the forward pass.
std::vector<bool> forward_nodes(const Graph& graph, int loss);

/// Keeps what the backward pass reads in another form (Keep::bf16, Keep::compressed), made right behind the forward
/// pass's value and taken out right before it is read, so that little of it is whole at any time. Nothing may merge
/// common subexpressions afterwards. With Keep::everything it only counts. Throws ErrorCode::invalid_argument for bits
/// that are none, and where there are not as many as values.
Graph compress_kept(const Graph& graph, int loss, Keep keep, const KeepBits& bits, KeepPlan* plan = nullptr);

/// What compress_kept() does to gradients: the graph's results, and behind them for each the mean square of the
/// difference it makes and the mean variance predicted for it (-1 where the operator behind it is none that this is
/// known of). The prediction is that of COMET (Jin et al., VLDB 2022) in exact form: for dW = A'G with independent
/// errors of variance v in A, the variance of dW_ij is sum_n v_ni G_nj^2.
Graph kept_error(const Graph& graph, int loss, Keep keep, int bits);

/// For measuring what each kept value's error does to gradients.
struct KeptProbe {
  /// The graph's inputs, and behind them bool[values] "switches". Values are kept in `base` bits; the backward pass
  /// reads those that are switched on after they went through `trial` bits. Results are the graph's and one for each
  /// term.
  Graph graph{"probe"};
  std::vector<KeepPlan::Value> values;  ///< of the base
  /// Of a gradient whose product reads a kept value: the mean variance that this value's error gives it directly, by
  /// the formula of kept_error().
  struct Term {
    int gradient = 0, value = 0;  ///< result of the graph; index of `values`
  };
  std::vector<Term> terms;
  std::vector<bool> covered;  ///< by value: whether the terms are all that its error does
};
/// `trial`: 1 to 8, one for each value, or one for all. Without `formula` there are no terms.
KeptProbe probe_kept(const Graph& graph, int loss, int base, const KeepBits& trial, bool formula);

/// Takes products of whole numbers below 257, as quantised networks have them, in bf16, which holds them: for targets
/// that multiply bf16 faster. Their sums are those that f32 gives: exact below 2^24.
Graph narrow_integers(const Graph& graph);

/// Moves reshapes that only regroup rows (the last extent stays) behind the operators that act on each row alone, where
/// they meet the reshape that groups them back, and vanish.
Graph sink_reshapes(const Graph& graph);

/// Puts operators into groups that run as one tile program each (operator `fused`), where that is possible and saves
/// bytes between cache and memory. Symbolic graphs are left as they are: they are bound before they are compiled.
Graph fuse(const Graph& graph, const Target& target, Precision precision = Precision::fp32);

/// Puts what only ends in state as early as its operands allow: a parameter is updated as soon as its gradient is final
/// and nothing reads its old value later, so that gradients do not all live at once. Graphs that write nothing stay.
Graph order_updates(const Graph& graph);

/// All of them in the order of compile(), which runs what they give. `observer` sees the graph after every pass; the
/// price is that of keep_or_recompute.
using Observer = std::function<void(const char* pass, const Graph& graph)>;
Graph run_all(const Graph& source, const CompileOptions& options, const Observer& observer = {},
              double keep_price = kKeepPrice, KeepPlan* plan = nullptr);
/// The first of them, up to where it is decided what is kept.
Graph run_until_kept(const Graph& source, const CompileOptions& options, const Observer& observer = {});
/// What is behind that, and an executable: for graphs of run_until_kept() that were changed afterwards. Throws
/// BudgetError as compile() does.
Executable compile_kept(const Graph& graph, const CompileOptions& options);
// Choosing how groups are cut, by measurement: passes/tune.hpp.

}  // namespace gregale::passes
