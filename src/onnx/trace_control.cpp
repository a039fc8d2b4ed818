// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/ops.hpp"
#include "onnx/trace.hpp"

// Control flow whose course is known before the run becomes part of the graph: a branch is taken, a loop of few turns
// is written out. The rest runs between programs (host_control.cpp).
namespace gregale::onnx {
namespace {

constexpr int64_t kMostTurns = 256, kMostTraced = 20'000;  // of a loop that is written out

Traced traced(Value v) {
  Traced t;
  t.value = v;
  return t;
}

const Block& body_of(const BlockNode& node, const char* name) {
  const auto at = node.bodies.find(name);
  GREGALE_CHECK(at != node.bodies.end(), corrupt_data, "[onnx] attribute '{}' is missing", name);
  return *at->second;
}

std::vector<int64_t> list_of(const BlockNode& node, const char* name) {
  const auto at = node.attributes.find(name);
  if (at == node.attributes.end()) return {};
  const auto* list = std::get_if<std::vector<int64_t>>(&at->second);
  GREGALE_CHECK(list != nullptr, corrupt_data, "[onnx] attribute '{}' is not a list of integers", name);
  return *list;
}

/// Everything that turns made, as one value: along a new axis, or the given one.
Value stack(Graph& g, std::vector<Value> turns, int64_t axis) {
  std::vector<Value> each;
  for (Value v : turns) {
    Extents extents = g.type(v).shape.extents();
    const int64_t at = normalize_axis(axis, static_cast<int64_t>(extents.size()) + 1, "onnx");
    extents.insert(extents.begin() + at, 1);
    each.push_back(ops::reshape(g, v, Shape(extents)));
  }
  return each.size() == 1 ? each[0] : ops::concat(g, each, normalize_axis(axis, g.type(each[0]).rank(), "onnx"));
}

}  // namespace

std::vector<Traced> Tracer::trace_if(const BlockNode& node, std::vector<Traced>& slots) {
  GREGALE_CHECK(node.inputs.size() == 1 && node.inputs[0] >= 0, corrupt_data, "[onnx] the condition is missing");
  const auto condition = evaluate(slots[static_cast<size_t>(node.inputs[0])]);
  if (!condition) throw NeedsValue{};
  const Tensor* t = condition->tensor();
  GREGALE_CHECK(t != nullptr && t->dtype() == DType::boolean && t->size() == 1, corrupt_data,
                "[onnx] the condition is {}, not one boolean", to_string(*condition));
  return trace_block(body_of(node, t->as<bool>()[0] ? "then_branch" : "else_branch"), {}, slots);
}

std::vector<Traced> Tracer::trace_loop(const BlockNode& node, std::vector<Traced>& slots) {
  const Block& body = body_of(node, "body");
  const auto operand = [&](size_t i) -> Traced* {
    if (i >= node.inputs.size() || node.inputs[i] < 0) return nullptr;
    Traced& t = slots[static_cast<size_t>(node.inputs[i])];
    return t.present() ? &t : nullptr;
  };
  const auto truth = [&](Traced& t) {
    const auto value = evaluate(t);
    if (!value || value->tensor() == nullptr || value->tensor()->size() != 1) throw NeedsValue{};
    return value->tensor()->cast(DType::boolean).as<bool>()[0];
  };
  int64_t turns = kMostTurns + 1;
  if (Traced* count = operand(0)) {
    const auto value = evaluate(*count);
    if (!value || value->tensor() == nullptr || value->tensor()->size() != 1) throw NeedsValue{};
    turns = value->tensor()->cast(DType::i64).as<int64_t>()[0];
  }
  bool goes_on = operand(1) == nullptr || truth(*operand(1));
  // Whether it ends at all is only known by running it, where no count is given.
  if (turns > kMostTurns || turns < 1 || !goes_on || turns * static_cast<int64_t>(body.nodes.size()) > kMostTraced ||
      body.outputs.empty())
    throw NeedsValue{};

  std::vector<Traced> carried;
  for (size_t i = 2; i < node.inputs.size(); ++i) carried.push_back(operand(i) != nullptr ? *operand(i) : Traced());
  GREGALE_CHECK(body.inputs.size() == carried.size() + 2 && body.outputs.size() > carried.size(), corrupt_data,
                "[onnx] the body takes {} inputs and gives {} results for {} carried values", body.inputs.size(),
                body.outputs.size(), carried.size());
  std::vector<std::vector<Value>> scanned(body.outputs.size() - 1 - carried.size());
  for (int64_t turn = 0; turn < turns && goes_on; ++turn) {
    std::vector<Traced> arguments{constant_traced(Tensor::scalar<int64_t>(turn)),
                                  constant_traced(Tensor::scalar<bool>(true))};
    arguments.insert(arguments.end(), carried.begin(), carried.end());
    std::vector<Traced> results = trace_block(body, std::move(arguments), slots);
    goes_on = truth(results[0]);
    for (size_t i = 0; i < carried.size(); ++i) carried[i] = results[i + 1];
    for (size_t i = 0; i < scanned.size(); ++i) scanned[i].push_back(value_of(results[1 + carried.size() + i]));
  }
  std::vector<Traced> results = std::move(carried);
  for (auto& values : scanned) {
    for (Value v : values)  // extents may differ from turn to turn, where a node is wrong
      GREGALE_CHECK(graph().type(v) == graph().type(values[0]), corrupt_data, "[onnx] turns give {} and {}",
                    gregale::to_string(graph().type(v)), gregale::to_string(graph().type(values[0])));
    results.push_back(traced(stack(graph(), values, 0)));
  }
  return results;
}

std::vector<Traced> Tracer::trace_scan(const BlockNode& node, std::vector<Traced>& slots) {
  if (node.opset < 9) throw NeedsValue{};  // with a batch: host_control.cpp
  const Block& body = body_of(node, "body");
  const auto count_at = node.attributes.find("num_scan_inputs");
  const auto* count = count_at == node.attributes.end() ? nullptr : std::get_if<int64_t>(&count_at->second);
  const auto inputs = static_cast<int64_t>(node.inputs.size());
  GREGALE_CHECK(count != nullptr && *count >= 1 && *count <= inputs && body.inputs.size() == node.inputs.size() &&
                    static_cast<int64_t>(body.outputs.size()) >= inputs - *count,
                corrupt_data, "[onnx] num_scan_inputs does not fit the {} operands and the body", inputs);
  const auto carried_count = static_cast<size_t>(inputs - *count);
  const auto scanned = static_cast<size_t>(*count);
  const size_t made = body.outputs.size() - carried_count;
  const auto at = [](const std::vector<int64_t>& list, size_t i) { return i < list.size() ? list[i] : 0; };
  const std::vector<int64_t> in_axes = list_of(node, "scan_input_axes"), out_axes = list_of(node, "scan_output_axes"),
                             in_turns = list_of(node, "scan_input_directions"),
                             out_turns = list_of(node, "scan_output_directions");
  std::vector<Traced> carried;
  std::vector<Value> sources;
  std::vector<int64_t> axes;
  Graph& g = graph();
  int64_t turns = -1;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    GREGALE_CHECK(node.inputs[i] >= 0, corrupt_data, "[onnx] input {} is missing", i);
    Traced& t = slots[static_cast<size_t>(node.inputs[i])];
    if (i < carried_count) {
      carried.push_back(t);
      continue;
    }
    sources.push_back(value_of(t));
    axes.push_back(normalize_axis(at(in_axes, i - carried_count), g.type(sources.back()).rank(), "onnx"));
    const int64_t extent = g.type(sources.back()).shape[axes.back()].value();
    GREGALE_CHECK(turns < 0 || turns == extent, corrupt_data, "[onnx] scanned operands have {} and {} elements", turns,
                  extent);
    turns = extent;
  }
  if (turns < 1 || turns > kMostTurns || turns * static_cast<int64_t>(body.nodes.size()) > kMostTraced)
    throw NeedsValue{};
  std::vector<std::vector<Value>> results_of(made);
  for (int64_t turn = 0; turn < turns; ++turn) {
    std::vector<Traced> arguments = carried;
    for (size_t i = 0; i < scanned; ++i) {
      const int64_t k = at(in_turns, i) == 1 ? turns - 1 - turn : turn;
      Extents extents = g.type(sources[i]).shape.extents();
      extents.erase(extents.begin() + axes[i]);
      arguments.push_back(traced(ops::reshape(g, ops::slice_axis(g, sources[i], axes[i], k, k + 1), Shape(extents))));
    }
    std::vector<Traced> results = trace_block(body, std::move(arguments), slots);
    for (size_t i = 0; i < carried_count; ++i) carried[i] = results[i];
    for (size_t i = 0; i < made; ++i) results_of[i].push_back(value_of(results[carried_count + i]));
  }
  std::vector<Traced> results = std::move(carried);
  for (size_t i = 0; i < made; ++i) {
    if (at(out_turns, i) == 1) std::reverse(results_of[i].begin(), results_of[i].end());
    results.push_back(traced(stack(g, results_of[i], at(out_axes, i))));
  }
  return results;
}

}  // namespace gregale::onnx
