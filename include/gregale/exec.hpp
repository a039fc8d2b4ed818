// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/error.hpp"
#include "gregale/graph.hpp"

namespace gregale {

namespace tile {
class CompiledProgram;
}

/// What products multiply and what is kept between groups of operators. Sums, statistics and elementwise arithmetic are
/// fp32 either way.
enum class Precision : uint8_t {
  fp32,  ///< fp32 accuracy throughout
  bf16,  ///< operands of matrix products, and values that several operators read, are rounded to bf16
  /// fp32 accuracy; where the target has tiles, they multiply constant matrices, each as three parts in bf16
  /// (docs/kernels.md). Faster for many rows; for few of them slower, because parts are half as many bytes again.
  fp32x3,
};

/// Whether groups of operators are timed to choose how they are cut into tiles. Never changes a bit of a result.
enum class Tune : uint8_t {
  off,    ///< by formula alone
  quick,  ///< the costliest groups are timed, at most five seconds a model; what was chosen is kept for next time
};

/// How values of the forward pass that the backward pass reads are kept (docs/activations.md). Results of the forward
/// pass are the same bits for all of them.
enum class Keep : uint8_t {
  or_recompute,  ///< as they are, or not at all: what is cheaper to compute again is
  everything,    ///< as they are, all of them
  bf16,          ///< rounded to bf16
  compressed,    ///< quantised by groups of 256 values to CompileOptions::keep_bits; of comparisons a bit each
};

inline constexpr int kBitsOfBf16 = 16, kBitsWhole = 32;

struct CompileOptions {
  Target target = Target::detect();
  bool optimize = true;  ///< fold constants, merge common subexpressions, drop dead nodes
  Precision precision = Precision::fp32;
  bool fuse = true;  ///< run groups of operators as tile programs
  /// Of a training graph: which of its results is the loss. What the loss is made of is the forward pass, and the
  /// compiler decides what of it is kept for the backward pass and what is computed again; where
  /// target.memory_budget is set, so that the program fits into it. -1: all is kept. What is computed again is the same
  /// bits, but sums may be taken in another order where operators are grouped otherwise.
  int loss = -1;
  Keep keep = Keep::or_recompute;  ///< where `loss` is set
  int keep_bits = 3;               ///< 1 to 8, of Keep::compressed
  /// Of Keep::compressed: bits of each value that can be quantised, in the order in which the forward pass makes them,
  /// in place of keep_bits: 1 to 8, kBitsOfBf16 (rounded to bf16) or kBitsWhole. Empty: keep_bits for all.
  std::vector<int> kept_bits;
  int kept_programs = 8;  ///< of a symbolic graph, one a shape; the one not used for longest makes room for the next
  Tune tune = Tune::off;
  /// The file that tuning keeps its choices in; empty: nowhere. Without one, gregale/tune.json in the user's cache
  /// folder ($XDG_CACHE_HOME, else ~/.cache). Only a program's speed depends on it.
  std::optional<std::string> tune_cache;
};

/// A graph compiled for one target: steps over buffers in one planned arena. Immutable, so that several threads may
/// run it, each with its own context, state and outputs. After the first run on a context nothing is allocated, except
/// by steps that fell back to an operator's reference (describe() names them).
///
/// Where the graph has symbolic dims, they are bound when it is run, by the extents of its inputs and variables, and
/// the whole graph is compiled for them at the first run with these extents. Programs are kept (CompileOptions::
/// kept_programs), so that the next run with the same extents finds its own: the very program, with the same bits, that
/// the graph with constant extents is compiled to. Threads may run it together; one that needs a new program waits for
/// others that are being compiled, those that have theirs do not.
class Executable {
 public:
  Executable(Executable&&) noexcept;
  Executable& operator=(Executable&&) noexcept;
  ~Executable();

  /// Tensors of the result types, for run(). Throws ErrorCode::shape where a dim is symbolic.
  std::vector<Tensor> make_outputs() const;
  /// The same where these inputs (and variables) bind the symbolic dims.
  std::vector<Tensor> make_outputs(const std::vector<Tensor>& inputs, const VariableValues* state = nullptr) const;
  /// Runs once. Inputs and outputs are dense tensors of exactly the graph's types, and no output shares memory with an
  /// input or another output, nor any of them with a variable. Variables are updated in place in `state`, which holds a
  /// tensor for each. Throws ErrorCode::shape where one does not fit.
  void run(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
           VariableValues* state = nullptr) const;
  /// The same with fresh outputs.
  std::vector<Tensor> run(ExecutionContext& context, const std::vector<Tensor>& inputs,
                          VariableValues* state = nullptr) const;

  /// Runs once and adds to `seconds` (one for each of groups(), 0 at first) what each step took.
  void profile(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
               VariableValues* state, std::vector<double>& seconds) const;

  /// The program for these extents of the symbolic dims, compiled now unless it is kept; it stays valid beyond its
  /// place among the kept ones. Throws ErrorCode::shape for an extent outside its bounds, and where one is missing.
  std::shared_ptr<const Executable> bind(const std::map<std::string, int64_t>& extents) const;
  bool is_symbolic() const { return shapes_ != nullptr; }
  /// How often the graph was compiled: 1, or once a shape, and again for a shape that had to make room.
  int64_t compilations() const;

  // What a symbolic graph costs depends on its extents: ask the bound program for profile(), flops(),
  // reference_steps() and groups(). They throw ErrorCode::shape here.

  const Graph& graph() const;  ///< what is really run, after all passes; a symbolic one as it was given
  /// Memory of intermediate results and scratch; each thread of the team adds a panel of its own, which all steps use.
  /// Of a symbolic graph, what the largest of all programs so far needs, as contexts keep what they once reserved.
  int64_t arena_bytes() const;
  /// Constants in the form of their kernels, beside the graph's own; of a symbolic graph, those of all kept programs.
  int64_t prepared_bytes() const;
  double flops() const;             ///< of one run, by the operators' own formulas
  int64_t reference_steps() const;  ///< steps that no lowering took
  /// What the forward pass keeps for the backward pass, in words; empty where CompileOptions::loss is not set.
  const std::string& keep() const;
  /// Of the arena, what is alive between forward and backward pass; 0 where CompileOptions::loss is not set.
  int64_t kept_bytes() const;
  /// Memory that a step reads or writes.
  struct Buffer {
    const char* place = "";  ///< arena, input, output, variable or constant
    int64_t bytes = 0;
    int64_t offset = 0;           ///< in the arena
    int64_t first = 0, last = 0;  ///< of the arena: the steps between which it is kept, both included
  };
  /// What runs, step by step.
  struct Group {
    std::string op, lowering;
    double flops = 0;
    int64_t operand_bytes = 0;             ///< operands and results, each once
    const Graph* body = nullptr;           ///< of a fused group
    const tile::CompiledProgram* program;  ///< null for kernels that are no tile programs
    int32_t node = -1;                     ///< of graph(); -1 for copies
    std::vector<Buffer> reads, writes;
    int64_t scratch_bytes = 0;  ///< of the arena, during this step alone
  };
  std::vector<Group> groups() const;
  /// A line with the totals and the instruction set, then one line a step: operator, lowering, result, buffer.
  std::string describe() const;

  struct Plan;
  class Shapes;
  explicit Executable(std::unique_ptr<Plan> plan);
  explicit Executable(std::unique_ptr<Shapes> shapes);

 private:
  void execute(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
               VariableValues* state, double* seconds) const;
  const Plan& plan(const char* who) const;
  std::unique_ptr<Plan> plan_;      // null for a symbolic graph
  std::unique_ptr<Shapes> shapes_;  // null for a constant one
};

/// The graph with the variables that it never writes, and that have a value here, replaced by constants: a trained
/// model as it is served, free to fold and repack its weights when it is compiled. The constants share the values'
/// memory, which must not change afterwards. Throws ErrorCode::shape where a value is not of its variable's type.
Graph freeze(const Graph& graph, const VariableValues& values);

/// A program that does not fit into its target's memory budget.
class BudgetError : public Error {
 public:
  BudgetError(std::string message, int64_t least)
      : Error(ErrorCode::out_of_memory, std::move(message)), least_(least) {}
  int64_t least() const noexcept { return least_; }  ///< the smallest budget known to do

 private:
  int64_t least_;
};

/// The whole way from a graph to something that runs: verify, simplify, expand, plan (src/passes/pipeline.cpp).
/// With symbolic dims, all but the verification happens when they are bound (Executable). Throws
/// BudgetError where the plan exceeds the target's memory budget, whatever is computed again.
Executable compile(const Graph& graph, const CompileOptions& options = {});

}  // namespace gregale
