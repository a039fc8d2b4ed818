// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "gregale/exec.hpp"
#include "onnx/block.hpp"

/// How a block runs: as a chain of stages. A stage is one compiled program, and what follows it: nothing, or a node
/// that runs between programs because its results' extents depend on values (NonZero), because it holds strings or
/// sequences, or because it decides what runs next (If, Loop); or a value that must be read before the next program can
/// be made (the target of a Reshape that was computed). Which stage comes next depends on the extents of what came out,
/// and on the values that were read: those are its key. Most models are one stage for each combination of input
/// extents.
namespace gregale::onnx {

struct Stage {
  std::shared_ptr<const Executable> program;  ///< null where there is nothing to compute
  std::vector<int> inputs, outputs;           ///< of the program, as slots
  std::vector<std::pair<int, int>> aliases;   ///< (slot, the slot that holds the same)
  std::vector<std::pair<int, Datum>> known;   ///< slots that later stages need and that were known without a run

  enum class Then { finish, run_node, read } then = Then::finish;
  int node = 0;                  ///< run_node: which; otherwise where the next stage begins
  int read = -1;                 ///< the slot whose value is in the next stage's key
  std::vector<int> values_read;  ///< by this chain so far

  std::map<std::string, std::shared_ptr<Stage>> next;
};

/// The stages of a block. The lock is held while a stage is looked for or made, never while one runs.
struct StageTree {
  std::mutex lock;
  std::map<std::string, std::shared_ptr<Stage>> first;
  int64_t made = 0;
};

/// Chains kept for each block; beyond it, all are forgotten and made again when they are met.
inline constexpr int64_t kKeptStages = 512;

/// Traces the stage that begins at node `from`: what the block's nodes do to `stored` (by slot; empty where nothing is
/// stored), until one of them cannot be traced. `values_read` are slots whose values may be looked at.
std::shared_ptr<Stage> trace_stage(const Block& block, int from, const std::vector<Datum>& stored,
                                   const std::vector<int>& values_read, const CompileOptions& options);

/// The same where the whole block must become one graph; its inputs are those of `stored` that are not in
/// `values_read`. Throws ErrorCode::unsupported naming the node where it does not.
Graph trace_whole(const Block& block, const std::vector<Datum>& stored, const std::vector<int>& values_read);

/// What running needs.
struct RunContext {
  ExecutionContext& execution;
  const CompileOptions& options;
  std::vector<std::shared_ptr<const Executable>>* programs = nullptr;  ///< where each that ran is noted
  int depth = 0;
  std::set<const void*> kept;  ///< buffers of the model's that values may share; results must not
};

/// Runs a block: inputs in its order, then what it captures, in the order of `captures`. Results may share memory with
/// operands, with each other and with what the model keeps (RunContext::kept).
std::vector<Datum> run_block(const Block& block, RunContext& context, std::vector<Datum> inputs,
                             std::vector<Datum> captures);

}  // namespace gregale::onnx
