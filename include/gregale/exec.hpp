// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gregale/context.hpp"
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
};

struct CompileOptions {
  Target target = Target::detect();
  bool optimize = true;  ///< fold constants, merge common subexpressions, drop dead nodes
  Precision precision = Precision::fp32;
  bool fuse = true;  ///< run groups of operators as tile programs
};

/// A graph compiled for one target: steps over buffers in one planned arena. Immutable, so that several threads may
/// run it, each with its own context, state and outputs. After the first run on a context nothing is allocated, except
/// by steps that fell back to an operator's reference (describe() names them).
class Executable {
 public:
  Executable(Executable&&) noexcept;
  Executable& operator=(Executable&&) noexcept;
  ~Executable();

  /// Tensors of the result types, for run().
  std::vector<Tensor> make_outputs() const;
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

  const Graph& graph() const;  ///< what is really run, after all passes
  /// Memory of intermediate results and scratch; each thread of the team adds a panel of its own, which all steps use.
  int64_t arena_bytes() const;
  double flops() const;             ///< of one run, by the operators' own formulas
  int64_t reference_steps() const;  ///< steps that no lowering took
  /// What runs, step by step.
  struct Group {
    std::string op, lowering;
    double flops = 0;
    int64_t operand_bytes = 0;             ///< operands and results, each once
    const Graph* body = nullptr;           ///< of a fused group
    const tile::CompiledProgram* program;  ///< null for kernels that are no tile programs
    int32_t node = -1;                     ///< of graph(); -1 for copies
  };
  std::vector<Group> groups() const;
  /// A line with the totals and the instruction set, then one line a step: operator, lowering, result, buffer.
  std::string describe() const;

  struct Plan;
  explicit Executable(std::unique_ptr<Plan> plan);

 private:
  void execute(ExecutionContext& context, const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs,
               VariableValues* state, double* seconds) const;
  std::unique_ptr<Plan> plan_;
};

/// The graph with the variables that it never writes, and that have a value here, replaced by constants: a trained
/// model as it is served, free to fold and repack its weights when it is compiled. The constants share the values'
/// memory, which must not change afterwards. Throws ErrorCode::shape where a value is not of its variable's type.
Graph freeze(const Graph& graph, const VariableValues& values);

/// The whole way from a graph to something that runs: verify, simplify, expand, plan (src/passes/pipeline.cpp).
/// Symbolic dims must be bound first. Throws ErrorCode::out_of_memory where the plan exceeds the target's memory
/// budget.
Executable compile(const Graph& graph, const CompileOptions& options = {});

}  // namespace gregale
