// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/stages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "gregale/error.hpp"
#include "onnx/trace.hpp"

namespace gregale::onnx {
namespace {

/// What a program's making depends on of a value: its type. No program takes the items of a sequence, so that a loop
/// may lengthen one without a new program each turn.
void append_signature(std::string& key, const Datum& datum) {
  const auto number = [&](int64_t n) { key.append(reinterpret_cast<const char*>(&n), sizeof n); };
  key += static_cast<char>(datum.value.index());
  if (const Tensor* t = datum.tensor()) {
    key += static_cast<char>(t->dtype());
    number(t->rank());
    for (int64_t e : t->extents()) number(e);
  } else if (const Strings* s = datum.strings()) {
    number(static_cast<int64_t>(s->extents.size()));
    for (int64_t e : s->extents) number(e);
  }
}

void append_value(std::string& key, const Datum& datum) {
  append_signature(key, datum);
  if (const Tensor* t = datum.tensor())
    key.append(static_cast<const char*>(t->data()), static_cast<size_t>(t->bytes()));
  if (const Strings* s = datum.strings())
    for (const std::string& text : s->values) (key += std::to_string(text.size())) += ':' + text;
  if (const Sequence* s = datum.sequence()) {
    key += std::to_string(s->items.size()) + ':';
    for (const Datum& item : s->items) append_value(key, item);
  }
}

/// Notes tensors that belong to the model.
void note_kept(std::set<const void*>& kept, const Datum& datum) {
  if (const Tensor* t = datum.tensor()) kept.insert(t->data());
  if (const Sequence* s = datum.sequence())
    for (const Datum& item : s->items) note_kept(kept, item);
}

std::vector<Traced> slots_for(const Block& block, const std::vector<Datum>& stored,
                              const std::vector<int>& values_read) {
  std::vector<Traced> slots = initial_slots(block);
  for (size_t s = 0; s < stored.size(); ++s)
    if (stored[s].has_value()) {
      slots[s].stored = &stored[s];
      slots[s].slot = static_cast<int>(s);
    }
  for (int s : values_read) slots[static_cast<size_t>(s)].known = stored[static_cast<size_t>(s)];
  return slots;
}

/// Makes the stage of what was traced: values that are needed from node `next` on leave the program.
void close_stage(Stage& stage, const Block& block, Tracer& tracer, std::vector<Traced>& slots, int next,
                 const CompileOptions& options) {
  std::vector<Value> outputs;
  std::map<Value, int> made;  // which slot a value of the graph is stored in
  for (const auto& [slot, value] : tracer.graph_inputs()) made[value] = slot;
  for (size_t s = 0; s < slots.size(); ++s) {
    Traced& t = slots[s];
    const auto slot = static_cast<int>(s);
    if (block.last_use[s] < next && slot != stage.read) continue;
    if (t.stored != nullptr && t.slot == slot) continue;  // stored already
    if (t.known) {
      const bool initial = std::any_of(block.initializers.begin(), block.initializers.end(),
                                       [&](const auto& i) { return i.first == slot; });
      if (!initial) stage.known.emplace_back(slot, *t.known);
    } else if (t.stored != nullptr) {
      stage.aliases.emplace_back(slot, t.slot);
    } else if (t.value.valid()) {
      const auto at = made.find(t.value);
      if (at != made.end()) {
        stage.aliases.emplace_back(slot, at->second);
      } else {
        made[t.value] = slot;
        outputs.push_back(t.value);
        stage.outputs.push_back(slot);
      }
    }
  }
  if (outputs.empty()) return;
  tracer.graph().set_outputs(outputs);
  // Inputs that nothing needs any more would still have to be given.
  for (Value v : tracer.graph().inputs())
    for (const auto& [slot, value] : tracer.graph_inputs())
      if (value == v) stage.inputs.push_back(slot);
  stage.program = std::make_shared<const Executable>(compile(tracer.graph(), options));
}

}  // namespace

std::shared_ptr<Stage> trace_stage(const Block& block, int from, const std::vector<Datum>& stored,
                                   const std::vector<int>& values_read, const CompileOptions& options) {
  auto stage = std::make_shared<Stage>();
  stage->values_read = values_read;
  std::vector<Traced> slots = slots_for(block, stored, values_read);
  Tracer tracer(block.name.empty() ? "main" : block.name);
  const auto count = static_cast<int>(block.nodes.size());
  int i = from;
  for (; i < count; ++i) {
    const BlockNode& node = block.nodes[static_cast<size_t>(i)];
    // A node with bodies may give up halfway.
    const bool may_fail = !node.bodies.empty() || node.function != nullptr;
    std::optional<Tracer::State> before;
    if (may_fail) before = tracer.save();
    const std::vector<Traced> slots_before = may_fail ? slots : std::vector<Traced>();
    try {
      tracer.trace_node(node, slots);
    } catch (const NeedsValue& needs) {
      if (may_fail) {
        tracer.restore(std::move(*before));
        slots = slots_before;
      }
      if (needs.slot >= 0 && !may_fail) {
        stage->then = Stage::Then::read;
        stage->read = needs.slot;
        stage->values_read.push_back(needs.slot);
      } else {
        stage->then = Stage::Then::run_node;
      }
      break;
    }
  }
  stage->node = i;
  close_stage(*stage, block, tracer, slots, i, options);
  if (log_enabled("onnx"))
    log_line("onnx", fmt::format("'{}': nodes {} to {} of {}{}", block.name, from, i, count,
                                 i < count ? fmt::format(", then {} {}",
                                                         stage->then == Stage::Then::read ? "a value is read for"
                                                                                          : "there runs",
                                                         block.nodes[static_cast<size_t>(i)].label)
                                           : ""));
  return stage;
}

Graph trace_whole(const Block& block, const std::vector<Datum>& stored, const std::vector<int>& values_read) {
  std::vector<Traced> slots = slots_for(block, stored, values_read);
  Tracer tracer(block.name.empty() ? "main" : block.name);
  for (int s : block.inputs) {  // in their order, whether used or not
    Traced& t = slots[static_cast<size_t>(s)];
    if (!t.present() || t.known) continue;
    tracer.graph().set_name(tracer.value_of(t), block.names[static_cast<size_t>(s)]);
  }
  for (const BlockNode& node : block.nodes) {
    try {
      tracer.trace_node(node, slots);
    } catch (const NeedsValue&) {
      throw_error(ErrorCode::unsupported,
                  fmt::format("[onnx] the model is no single graph: {} needs values that are computed", node.label));
    }
  }
  std::vector<Value> outputs;
  std::vector<std::string> names;
  for (int s : block.outputs) {
    outputs.push_back(tracer.value_of(slots[static_cast<size_t>(s)]));
    names.push_back(block.names[static_cast<size_t>(s)]);
  }
  tracer.graph().set_outputs(outputs, names);
  return std::move(tracer.graph());
}

std::vector<Datum> run_block(const Block& block, RunContext& context, std::vector<Datum> inputs,
                             std::vector<Datum> captures) {
  GREGALE_CHECK(++context.depth <= 64, corrupt_data, "[onnx] graphs are nested too deeply");
  std::vector<Datum> slots(static_cast<size_t>(block.slots()));
  std::string key;
  for (size_t i = 0; i < inputs.size(); ++i) {
    append_signature(key, inputs[i]);
    slots[static_cast<size_t>(block.inputs.at(i))] = std::move(inputs[i]);
  }
  for (size_t i = 0; i < captures.size(); ++i) {
    append_signature(key, captures[i]);
    slots[static_cast<size_t>(block.captures.at(i).second)] = std::move(captures[i]);
  }
  StageTree& tree = *block.stages;
  std::shared_ptr<Stage> stage;  // the one that ran last
  int node = 0;
  const auto datum = [&](int slot) -> Datum {
    if (slot < 0) return Datum();
    if (slots[static_cast<size_t>(slot)].has_value()) return slots[static_cast<size_t>(slot)];
    for (const auto& [initial, value] : block.initializers)
      if (initial == slot) {
        note_kept(context.kept, value);
        return value;
      }
    return Datum();
  };
  while (true) {
    {
      std::lock_guard<std::mutex> hold(tree.lock);
      if (tree.made >= kKeptStages) {
        tree.first.clear();
        tree.made = 0;
      }
      auto& among = stage ? stage->next : tree.first;
      auto at = among.find(key);
      if (at == among.end()) {
        at = among
                 .emplace(key, trace_stage(block, node, slots, stage ? stage->values_read : std::vector<int>(),
                                           context.options))
                 .first;
        ++tree.made;
      }
      stage = at->second;
    }
    if (stage->program != nullptr) {
      std::vector<Tensor> operands;
      for (int s : stage->inputs) operands.push_back(*slots[static_cast<size_t>(s)].tensor());
      std::vector<Tensor> results = stage->program->run(context.execution, operands);
      for (size_t i = 0; i < results.size(); ++i) slots[static_cast<size_t>(stage->outputs[i])] = std::move(results[i]);
      if (context.programs != nullptr) context.programs->push_back(stage->program);
    }
    for (const auto& [slot, value] : stage->known) {
      note_kept(context.kept, value);
      slots[static_cast<size_t>(slot)] = value;
    }
    for (const auto& [slot, same] : stage->aliases) slots[static_cast<size_t>(slot)] = slots[static_cast<size_t>(same)];
    if (stage->then == Stage::Then::finish) break;
    node = stage->node;
    for (size_t s = 0; s < slots.size(); ++s)  // what no later node reads is given back
      if (block.last_use[s] < node) slots[s] = Datum();
    key.clear();
    if (stage->then == Stage::Then::read) {
      append_value(key, datum(stage->read));
      continue;
    }
    const BlockNode& n = block.nodes[static_cast<size_t>(node)];
    std::vector<Datum> operands;
    for (int s : n.inputs) operands.push_back(datum(s));
    std::vector<Datum> results;
    try {
      if (n.function != nullptr) {
        results = run_block(*n.function, context, std::move(operands), {});
      } else {
        const HostOp* op = find_host_op(
            n, std::any_of(operands.begin(), operands.end(), [](const Datum& d) { return d.strings() != nullptr; }));
        GREGALE_ASSERT(op != nullptr);
        const auto run_body = [&](const std::string& name, std::vector<Datum> arguments) {
          const Block& body = *n.bodies.at(name);
          std::vector<Datum> seen;
          for (const auto& [outer, inner] : body.captures) seen.push_back(datum(outer));
          return run_block(body, context, std::move(arguments), std::move(seen));
        };
        results = op->run(HostNode(n, std::move(operands), run_body));
      }
    } catch (Error& e) {
      throw e.add_context(n.label);
    }
    GREGALE_CHECK(results.size() >= n.outputs.size(), corrupt_data, "{}: [onnx] it names {} results, it has {}",
                  n.label, n.outputs.size(), results.size());
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      append_signature(key, results[i]);
      if (n.outputs[i] >= 0) slots[static_cast<size_t>(n.outputs[i])] = std::move(results[i]);
    }
    ++node;
  }
  --context.depth;
  std::vector<Datum> outputs;
  for (int s : block.outputs) outputs.push_back(datum(s));
  return outputs;
}

}  // namespace gregale::onnx
