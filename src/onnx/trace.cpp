// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/trace.hpp"

#include <fmt/format.h>

#include <set>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/interpret.hpp"

namespace gregale::onnx {
namespace {

constexpr int64_t kMostEvaluated = 1 << 22;  // elements of all that one value is made from

}  // namespace

/// What a mapping sees of a node that is being traced.
class TraceNode : public OnnxNode {
 public:
  TraceNode(Tracer& tracer, const BlockNode& node, std::vector<Traced>& slots)
      : tracer_(tracer), node_(node), slots_(slots) {}

  const std::string& op_type() const override { return node_.op_type; }
  int64_t opset() const override { return node_.opset; }
  const OnnxAttribute* attribute(std::string_view name) const override {
    const auto at = node_.attributes.find(name);
    return at == node_.attributes.end() ? nullptr : &at->second;
  }
  std::optional<DType> element_dtype(std::string_view name) const override {
    const auto at = node_.types.find(name);
    if (at == node_.types.end()) return std::nullopt;
    return at->second.dtype;
  }
  Graph& graph() override { return tracer_.graph(); }
  int64_t input_count() const override { return static_cast<int64_t>(node_.inputs.size()); }
  bool has_input(int64_t i) const override {
    return i < input_count() && slot(i) >= 0 && slots_[static_cast<size_t>(slot(i))].present();
  }
  Value input(int64_t i) override { return tracer_.value_of(traced(i)); }
  Tensor constant(int64_t i) override {
    Traced& t = traced(i);
    if (const auto value = tracer_.evaluate(t)) {
      if (value->tensor() == nullptr) fail(fmt::format("input {} is {}, not a tensor", i, to_string(*value)));
      return *value->tensor();
    }
    throw NeedsValue{slot(i)};
  }
  bool is_constant(int64_t i) override { return tracer_.evaluate(traced(i)).has_value(); }
  const OnnxQuantized* quantized(int64_t i) override {
    const Value v = traced(i).value;
    const auto at = v.valid() ? tracer_.state_.quantized.find(v.id) : tracer_.state_.quantized.end();
    return at == tracer_.state_.quantized.end() ? nullptr : &at->second;
  }
  void note_quantized(Value real, const OnnxQuantized& from) override {
    tracer_.state_.quantized.insert_or_assign(real.id, from);
  }
  int64_t output_count() const override { return static_cast<int64_t>(node_.outputs.size()); }
  bool has_output(int64_t i) const override { return i < output_count() && node_.outputs[static_cast<size_t>(i)] >= 0; }

 private:
  int slot(int64_t i) const { return node_.inputs[static_cast<size_t>(i)]; }
  Traced& traced(int64_t i) {
    if (!has_input(i)) fail(fmt::format("input {} is missing", i));
    return slots_[static_cast<size_t>(slot(i))];
  }
  Tracer& tracer_;
  const BlockNode& node_;
  std::vector<Traced>& slots_;
};

std::vector<Traced> initial_slots(const Block& block) {
  std::vector<Traced> slots(static_cast<size_t>(block.slots()));
  for (const auto& [slot, value] : block.initializers) slots[static_cast<size_t>(slot)].known = value;
  return slots;
}

Value Tracer::value_of(Traced& t) {
  if (t.value.valid()) return t.value;
  const Datum* datum = t.datum();
  GREGALE_CHECK(datum != nullptr, corrupt_data, "[onnx] an operand is missing");
  const Tensor* tensor = datum->tensor();
  // A node that takes tensors alone, and got a sequence or strings: no program has those.
  GREGALE_CHECK(tensor != nullptr, unsupported, "[onnx] an operand is {}, not a tensor", to_string(*datum));
  if (t.known) {
    const auto key = std::make_pair(static_cast<const void*>(tensor->data()), to_string(tensor->type()));
    const auto at = state_.constants.find(key);
    t.value = at != state_.constants.end() && tensor->data() != nullptr ? at->second : state_.graph.constant(*tensor);
    state_.constants[key] = t.value;
  } else {
    const auto at = state_.inputs.find(t.slot);
    t.value =
        at != state_.inputs.end() ? at->second : state_.graph.add_input(fmt::format("in{}", t.slot), tensor->type());
    state_.inputs[t.slot] = t.value;
  }
  return t.value;
}

bool Tracer::follows_from_constants(Value v) {
  auto& known = state_.follows_from_constants;
  const Graph& g = state_.graph;
  if (known.size() < static_cast<size_t>(g.value_count())) {
    const size_t from = known.size();
    known.resize(static_cast<size_t>(g.value_count()), 0);
    for (const Node& node : g.nodes()) {
      if (node.outputs.empty() || static_cast<size_t>(node.outputs[0].id) < from) continue;
      bool all = node.op->name != kReadOp;
      for (Value in : node.inputs) all = all && known[static_cast<size_t>(in.id)] != 0;
      for (Value out : node.outputs) known[static_cast<size_t>(out.id)] = all ? 1 : 0;
    }
  }
  return known[static_cast<size_t>(v.id)] != 0;
}

std::optional<Tensor> Tracer::evaluate_constant(Value v) {
  if (const auto at = state_.evaluated.find(v.id); at != state_.evaluated.end()) return at->second;
  // The nodes it is made by, in order.
  const Graph& g = state_.graph;
  std::set<int32_t> needed;
  std::vector<Value> open{v};
  while (!open.empty()) {
    const int32_t node = g.producer(open.back());
    open.pop_back();
    if (!needed.insert(node).second) continue;
    for (Value in : g.nodes()[static_cast<size_t>(node)].inputs)
      if (state_.evaluated.count(in.id) == 0) open.push_back(in);
  }
  // What is large is left to the program: a file of a few bytes may ask for any extents.
  int64_t elements = 0;
  for (int32_t n : needed)
    for (Value out : g.nodes()[static_cast<size_t>(n)].outputs) {
      const int64_t count = g.type(out).shape.elements();
      if (count > kMostEvaluated - elements) return std::nullopt;
      elements += count;
    }
  std::map<int32_t, RefArray> arrays;
  for (int32_t n : needed) {
    const Node& node = g.nodes()[static_cast<size_t>(n)];
    std::vector<RefArray> operands;
    for (Value in : node.inputs) {
      const auto at = arrays.find(in.id);
      operands.push_back(at != arrays.end() ? at->second : RefArray::from(state_.evaluated.at(in.id)));
    }
    std::vector<RefArray> results = run_reference(view_of(g, node), operands);
    for (size_t i = 0; i < results.size(); ++i) arrays[node.outputs[i].id] = std::move(results[i]);
  }
  for (const auto& [id, array] : arrays)
    if (id == v.id || array.size() <= 4096) state_.evaluated[id] = array.to_tensor();
  return state_.evaluated.at(v.id);
}

std::optional<Datum> Tracer::evaluate(Traced& t) {
  if (t.known) return t.known;
  if (!t.value.valid() || !follows_from_constants(t.value)) return std::nullopt;
  if (auto value = evaluate_constant(t.value)) t.known = Datum(std::move(*value));
  return t.known;
}

Traced Tracer::constant_traced(Tensor tensor) {
  Traced t;
  t.known = Datum(std::move(tensor));
  return t;
}

/// Whether an optional holds something is part of what a program is made for, and what it holds is the optional itself.
std::optional<std::vector<Traced>> Tracer::trace_optional(const BlockNode& node, const std::vector<Traced>& slots) {
  const int s = node.inputs.empty() ? -1 : node.inputs[0];
  const Traced operand = s < 0 ? Traced() : slots[static_cast<size_t>(s)];
  if (node.op_type == "OptionalHasElement") return {{constant_traced(Tensor::scalar<bool>(operand.present()))}};
  if (node.op_type == "OptionalGetElement") {
    GREGALE_CHECK(operand.present(), corrupt_data, "[onnx] the optional holds nothing");
    return {{operand}};
  }
  if (node.op_type == "Optional") return {{operand}};
  return std::nullopt;
}

void Tracer::trace_node(const BlockNode& node, std::vector<Traced>& slots) {
  const auto take = [&](std::vector<Traced> results) {
    GREGALE_CHECK(results.size() >= node.outputs.size() ||
                      std::all_of(node.outputs.begin() + static_cast<int64_t>(results.size()), node.outputs.end(),
                                  [](int s) { return s < 0; }),
                  corrupt_data, "[onnx] it names {} results, it has {}", node.outputs.size(), results.size());
    for (size_t i = 0; i < node.outputs.size() && i < results.size(); ++i)
      if (node.outputs[i] >= 0) slots[static_cast<size_t>(node.outputs[i])] = std::move(results[i]);
  };
  try {
    if (node.function != nullptr) {
      std::vector<Traced> arguments;
      for (int s : node.inputs) arguments.push_back(s < 0 ? Traced() : slots[static_cast<size_t>(s)]);
      return take(trace_block(*node.function, std::move(arguments), {}));
    }
    if (node.op_type == "If" && node.domain.empty()) return take(trace_if(node, slots));
    if (node.op_type == "Loop" && node.domain.empty()) return take(trace_loop(node, slots));
    if (node.op_type == "Scan" && node.domain.empty()) return take(trace_scan(node, slots));
    if (node.op_type == "Identity" && node.domain.empty()) {  // of whatever kind
      GREGALE_CHECK(node.inputs.size() == 1, corrupt_data, "[onnx] it takes 1 input, got {}", node.inputs.size());
      return take({slots[static_cast<size_t>(node.inputs[0])]});
    }
    if (node.domain.empty() && node.op_type.rfind("Optional", 0) == 0)
      if (auto results = trace_optional(node, slots)) return take(std::move(*results));
    bool strings = false;
    for (int s : node.inputs) {
      const Datum* datum = s < 0 ? nullptr : slots[static_cast<size_t>(s)].datum();
      strings = strings || (datum != nullptr && datum->strings() != nullptr);
    }
    if (const HostOp* host = find_host_op(node, strings)) {
      std::vector<Datum> operands;
      bool all_known = node.bodies.empty();
      for (size_t i = 0; i < node.inputs.size() && all_known; ++i) {
        const int s = node.inputs[i];
        if (s < 0 || !slots[static_cast<size_t>(s)].present()) {
          operands.emplace_back();
        } else if (const auto value = evaluate(slots[static_cast<size_t>(s)])) {
          operands.push_back(*value);
        } else {
          all_known = false;
        }
      }
      if (!all_known) throw NeedsValue{};
      std::vector<Traced> results;
      for (Datum& d : host->run(HostNode(node, std::move(operands)))) {
        results.emplace_back();
        results.back().known = std::move(d);
      }
      return take(std::move(results));
    }
    const OnnxMapping* mapping = find_mapping(node);
    GREGALE_CHECK(mapping != nullptr, unsupported, "[onnx] there is no operator '{}{}{}' of version {}", node.domain,
                  node.domain.empty() ? "" : ".", node.op_type, node.opset);
    TraceNode view(*this, node, slots);
    std::vector<Traced> results;
    for (Value v : mapping->import(view)) {
      results.emplace_back();
      results.back().value = v;
    }
    take(std::move(results));
  } catch (Error& e) {
    throw e.add_context(node.label);
  }
}

std::vector<Traced> Tracer::trace_block(const Block& block, std::vector<Traced> inputs,
                                        const std::vector<Traced>& around) {
  GREGALE_CHECK(inputs.size() <= block.inputs.size(), corrupt_data, "[onnx] '{}' takes {} inputs, got {}", block.name,
                block.inputs.size(), inputs.size());
  GREGALE_CHECK(++depth_ <= 64, corrupt_data, "[onnx] graphs are nested too deeply");
  std::vector<Traced> slots = initial_slots(block);
  for (size_t i = 0; i < inputs.size(); ++i) slots[static_cast<size_t>(block.inputs[i])] = std::move(inputs[i]);
  for (const auto& [outer, inner] : block.captures)
    slots[static_cast<size_t>(inner)] = around[static_cast<size_t>(outer)];
  try {
    for (const BlockNode& node : block.nodes) trace_node(node, slots);
  } catch (NeedsValue&) {
    --depth_;
    throw NeedsValue{};  // whose slot it is, the outermost block cannot tell
  } catch (...) {
    --depth_;
    throw;
  }
  --depth_;
  std::vector<Traced> results;
  for (int s : block.outputs) results.push_back(slots[static_cast<size_t>(s)]);
  return results;
}

}  // namespace gregale::onnx
