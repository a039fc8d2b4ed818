// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "onnx/operators.hpp"
#include "onnx/stages.hpp"

namespace gregale::onnx {

/// What a slot is while its block is traced: absent; stored by an earlier stage; known; in the graph; or several of
/// them.
struct Traced {
  Value value;                    ///< in the graph, once something asked for it
  std::optional<Datum> known;     ///< its value, where it follows from what is known
  const Datum* stored = nullptr;  ///< what an earlier stage left; only its type may be looked at
  int slot = -1;                  ///< of the outermost block, where it is stored
  /// What it holds, where that is known by more than its type.
  const Datum* datum() const { return known ? &*known : stored; }
  bool present() const {
    return value.valid() || (known && known->has_value()) || (stored != nullptr && stored->has_value());
  }
};

/// Thrown where tracing needs the value of a slot, or meets a node that runs between programs: the stage ends here.
struct NeedsValue {
  int slot = -1;  ///< of the outermost block, where the value is its own and stored or computed
};

/// Appends nodes of a file to one graph.
class Tracer {
 public:
  explicit Tracer(const std::string& name) : state_{Graph(name)} {}

  Graph& graph() { return state_.graph; }
  const std::map<int, Value>& graph_inputs() const { return state_.inputs; }

  /// Traces one node; results are added to `slots`. Throws NeedsValue, with whatever it had appended left in place:
  /// callers that go on save the state before.
  void trace_node(const BlockNode& node, std::vector<Traced>& slots);
  /// Traces a block for these inputs; `around`: the slots that its captures are taken from.
  std::vector<Traced> trace_block(const Block& block, std::vector<Traced> inputs, const std::vector<Traced>& around);

  /// The value in the graph: a constant where it is known, an input where it is stored.
  Value value_of(Traced& traced);
  /// Its value, where it follows from what is known; nothing otherwise.
  std::optional<Datum> evaluate(Traced& traced);

  /// What has been traced so far; a copy shares constants.
  struct State {
    Graph graph;
    std::map<int, Value> inputs;                                     ///< of stored slots
    std::map<std::pair<const void*, std::string>, Value> constants;  ///< by buffer and type
    std::vector<int8_t> follows_from_constants;                      ///< of values
    std::map<int32_t, Tensor> evaluated;                             ///< of values
    std::map<int32_t, OnnxQuantized> quantized;                      ///< what values were made real from
  };
  State save() const { return state_; }
  void restore(State state) { state_ = std::move(state); }

 private:
  friend class TraceNode;
  bool follows_from_constants(Value v);
  std::optional<Tensor> evaluate_constant(Value v);  ///< nothing where it takes too many elements
  std::vector<Traced> trace_if(const BlockNode& node, std::vector<Traced>& slots);
  std::vector<Traced> trace_loop(const BlockNode& node, std::vector<Traced>& slots);
  std::vector<Traced> trace_scan(const BlockNode& node, std::vector<Traced>& slots);
  std::optional<std::vector<Traced>> trace_optional(const BlockNode& node, const std::vector<Traced>& slots);
  Traced constant_traced(Tensor tensor);

  State state_;
  int depth_ = 0;
};

/// The value slots of a block when nothing is traced yet: initializers known.
std::vector<Traced> initial_slots(const Block& block);

}  // namespace gregale::onnx
