// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/exec.hpp"
#include "gregale/op.hpp"

namespace gregale {

/// One buffer of a compiled program. Values that are never alive together share memory through the arena's offsets;
/// values that are the same bytes (views, in-place results) share the storage itself.
struct Storage {
  enum class Kind : uint8_t { arena, input, output, variable, constant };
  Kind kind = Kind::arena;
  int64_t index = 0;  ///< of the input, output or variable
  int64_t bytes = 0;
  int64_t first = 0, last = 0;  ///< steps between which an arena storage is alive, both included
  int64_t offset = 0;           ///< in the arena
  Tensor constant;
};

struct Step {
  std::string op, lowering;
  Kernel kernel;
  std::vector<int32_t> inputs, outputs;  ///< storages
  int32_t scratch = -1;                  ///< storage, or none
  int64_t first_operand = 0;             ///< where its pointers stand in the run's table
  bool reference = false;
  int32_t node = -1;  ///< of the graph; none for copies
};

/// Where data flows: every value of the graph has a storage; steps run in order over storages; inputs, outputs and
/// variables are the caller's memory, constants the graph's, all else lies in one arena whose size is known in advance.
struct Executable::Plan {
  Graph graph;
  std::vector<Storage> storages;
  std::vector<Step> steps;
  int64_t operand_count = 0;
  int64_t arena_bytes = 0;     ///< storages and scratch, without the table of pointers and the threads' scratch
  int64_t thread_bytes = 0;    ///< scratch of one thread, which all steps use in turn
  int64_t prepared_bytes = 0;  ///< constants in the form of their kernels, beside the graph's own
  double flops = 0;
  std::string keep;       ///< of a training graph: what the forward pass keeps, in words
  int64_t boundary = -1;  ///< of a training graph: the first step behind the loss, and what is alive there
  int64_t kept_bytes = 0;
  Isa isa = Isa::reference;  ///< what the kernels were made for
};

/// Lowers every node for the target and plans the arena. A `write` of a freshly computed value goes straight into the
/// variable's own memory where nothing reads the old version later; otherwise it is copied at the end of the run.
std::unique_ptr<Executable::Plan> make_plan(Graph graph, const Target& target);

/// Whether a storage of the arena is alive between forward and backward pass.
bool is_kept(const Executable::Plan& plan, const Storage& storage);
/// Finds where the forward pass of a training graph ends, whose loss is this result.
void find_boundary(Executable::Plan& plan, int loss);

/// The first lowering that takes the node, with its name; the operator's reference where none does.
struct Choice {
  std::string name;
  Kernel kernel;
  bool reference = false;
};
Choice choose_kernel(const NodeView& node, const Target& target);

/// Gives every arena storage its offset so that none alive at the same step overlap; returns the bytes needed.
/// Greedy by size, as in Pisarchyk and Lee, "Efficient memory management for deep neural net inference" (2020).
int64_t place_storages(std::vector<Storage>& storages);

}  // namespace gregale
