// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/graph.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "gregale/op.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"

namespace gregale {

Graph::Graph(std::string name) : name_(std::move(name)) {}
Graph::Graph(const Graph&) = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(const Graph&) = default;
Graph& Graph::operator=(Graph&&) noexcept = default;
Graph::~Graph() = default;

const Graph::ValueInfo& Graph::info(Value value) const {
  if (!value.valid() || value.id >= static_cast<int32_t>(values_.size()))
    throw_error(ErrorCode::invalid_argument, fmt::format("value {} does not belong to graph '{}'", value.id, name_));
  return values_[static_cast<size_t>(value.id)];
}

Value Graph::add_input(std::string name, Type type) {
  values_.push_back({std::move(type), -1, std::move(name)});
  inputs_.push_back(Value{static_cast<int32_t>(values_.size()) - 1});
  return inputs_.back();
}

void Graph::set_outputs(std::vector<Value> outputs, std::vector<std::string> names) {
  for (Value v : outputs) info(v);
  GREGALE_CHECK(names.empty() || names.size() == outputs.size(), invalid_argument,
                "[set_outputs] {} names for {} outputs", names.size(), outputs.size());
  outputs_ = std::move(outputs);
  output_names_ = std::move(names);
}

int64_t Graph::add_variable(std::string name, Type type) {
  GREGALE_CHECK(variable_index(name) < 0, invalid_argument, "[add_variable] '{}' is declared twice", name);
  variables_.push_back({std::move(name), std::move(type)});
  versions_.push_back(0);
  return static_cast<int64_t>(variables_.size()) - 1;
}

int64_t Graph::variable_index(std::string_view name) const {
  for (size_t i = 0; i < variables_.size(); ++i)
    if (variables_[i].name == name) return static_cast<int64_t>(i);
  return -1;
}

std::vector<Value> Graph::add(const OpDef& op, std::vector<Value> inputs, Attributes attributes,
                              std::vector<Graph> regions) {
  std::vector<Type> input_types;
  input_types.reserve(inputs.size());
  for (Value v : inputs) input_types.push_back(type(v));
  complete_attributes(op, attributes);
  std::vector<Type> types = infer_types(op, variables_, input_types, attributes, regions);

  if (op.name == kWriteOp || op.name == kReadOp) {
    const auto variable = static_cast<size_t>(std::get<int64_t>(attributes.at("variable")));
    const int64_t version = std::get<int64_t>(attributes.at("version"));
    const int64_t expected = versions_[variable] + (op.name == kWriteOp ? 1 : 0);
    GREGALE_CHECK(op.name == kWriteOp ? version == expected : version >= 0 && version <= expected, invalid_argument,
                  "[{}] version {} of variable '{}' does not exist here (the newest is {})", op.name, version,
                  variables_[variable].name, versions_[variable]);
    if (op.name == kWriteOp) ++versions_[variable];
  }

  const auto node_index = static_cast<int32_t>(nodes_.size());
  std::vector<Value> outputs;
  for (Type& t : types) {
    values_.push_back({std::move(t), node_index, ""});
    outputs.push_back(Value{static_cast<int32_t>(values_.size()) - 1});
  }
  nodes_.push_back({&op, std::move(inputs), outputs, std::move(attributes), std::move(regions)});
  return outputs;
}

Value Graph::add1(const OpDef& op, std::vector<Value> inputs, Attributes attributes) {
  std::vector<Value> outputs = add(op, std::move(inputs), std::move(attributes));
  GREGALE_ASSERT(outputs.size() == 1);
  return outputs[0];
}

Value Graph::read(int64_t variable) {
  GREGALE_CHECK(variable >= 0 && variable < static_cast<int64_t>(variables_.size()), invalid_argument,
                "[read] no variable {}", variable);
  return add1(core::read_op(), {}, {{"variable", variable}, {"version", versions_[static_cast<size_t>(variable)]}});
}

void Graph::write(int64_t variable, Value value) {
  GREGALE_CHECK(variable >= 0 && variable < static_cast<int64_t>(variables_.size()), invalid_argument,
                "[write] no variable {}", variable);
  add(core::write_op(), {value}, {{"variable", variable}, {"version", versions_[static_cast<size_t>(variable)] + 1}});
}

Value Graph::constant(Tensor tensor) { return add1(core::constant_op(), {}, {{"value", std::move(tensor)}}); }

void Graph::set_name(Value value, std::string name) {
  info(value);
  values_[static_cast<size_t>(value.id)].name = std::move(name);
}

OpSet::OpSet(std::vector<const OpDef*> ops) : ops_(std::move(ops)) {
  std::sort(ops_.begin(), ops_.end(), [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  for (size_t i = 1; i < ops_.size(); ++i) GREGALE_ASSERT(ops_[i - 1]->name != ops_[i]->name);
}

const OpDef* OpSet::find(std::string_view name) const {
  auto at = std::lower_bound(ops_.begin(), ops_.end(), name,
                             [](const OpDef* op, std::string_view n) { return op->name < n; });
  return at != ops_.end() && (*at)->name == name ? *at : nullptr;
}

const OpDef& OpSet::at(std::string_view name) const {
  const OpDef* op = find(name);
  GREGALE_CHECK(op != nullptr, invalid_argument, "no operator is called '{}'", name);
  return *op;
}

}  // namespace gregale
