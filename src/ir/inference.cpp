// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ir/inference.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"

namespace gregale {
namespace {

bool has_kind(const Attribute& a, AttributeKind kind) {
  // The variant's alternatives stand in the order of AttributeKind.
  static_assert(std::variant_size_v<Attribute> == static_cast<size_t>(AttributeKind::tensor) + 1);
  return a.index() == static_cast<size_t>(kind);
}

const char* kind_name(AttributeKind kind) {
  static constexpr const char* kNames[] = {"an integer", "a real", "a boolean", "a string",
                                           "integers",   "reals",  "a dtype",   "a tensor"};
  return kNames[static_cast<size_t>(kind)];
}

template <class T>
const T& get(const Attribute& a, const OpDef& op, std::string_view name) {
  const T* value = std::get_if<T>(&a);
  GREGALE_CHECK(value != nullptr, internal, "[{}] attribute '{}' is of another kind", op.name, name);
  return *value;
}

}  // namespace

void complete_attributes(const OpDef& op, Attributes& attributes) {
  for (auto& [name, value] : attributes) {
    auto def = std::find_if(op.attributes.begin(), op.attributes.end(),
                            [&, &name = name](const auto& d) { return d.name == name; });
    GREGALE_CHECK(def != op.attributes.end(), invalid_argument, "[{}] unknown attribute '{}'", op.name, name);
    if (def->kind == AttributeKind::real && std::holds_alternative<int64_t>(value))
      value = static_cast<double>(std::get<int64_t>(value));
    if (def->kind == AttributeKind::reals && std::holds_alternative<std::vector<int64_t>>(value)) {
      const auto& integers = std::get<std::vector<int64_t>>(value);
      value = std::vector<double>(integers.begin(), integers.end());
    }
    GREGALE_CHECK(has_kind(value, def->kind), invalid_argument, "[{}] attribute '{}' must be {}", op.name, name,
                  kind_name(def->kind));
  }
  for (const AttributeDef& def : op.attributes) {
    if (attributes.count(def.name)) continue;
    GREGALE_CHECK(def.default_value.has_value(), invalid_argument, "[{}] attribute '{}' is missing", op.name, def.name);
    attributes.emplace(def.name, *def.default_value);
  }
}

std::vector<Type> infer_types(const OpDef& op, const std::vector<Variable>& variables, const std::vector<Type>& inputs,
                              const Attributes& attributes, const std::vector<Graph>& regions) {
  const bool variadic = !op.inputs.empty() && op.inputs.back().arity == OperandDef::Arity::variadic;
  const bool fits = variadic ? inputs.size() >= op.inputs.size() : inputs.size() == op.inputs.size();
  GREGALE_CHECK(fits, invalid_argument, "[{}] takes {}{} operands, got {}", op.name, variadic ? "at least " : "",
                op.inputs.size(), inputs.size());
  if (op.name == kReadOp || op.name == kWriteOp) {
    const int64_t variable = std::get<int64_t>(attributes.at("variable"));
    GREGALE_CHECK(variable >= 0 && variable < static_cast<int64_t>(variables.size()), invalid_argument,
                  "[{}] no variable {}", op.name, variable);
    const Variable& v = variables[static_cast<size_t>(variable)];
    if (op.name == kReadOp) return {v.type};
    GREGALE_CHECK(inputs[0] == v.type, invalid_argument, "[write] variable '{}' is {}, not {}", v.name,
                  to_string(v.type), to_string(inputs[0]));
    return {};
  }
  for (const Type& t : inputs)
    GREGALE_CHECK(t.encoding.kind == Encoding::Kind::dense && t.distribution.empty(), unsupported,
                  "[{}] operand {} is not dense and replicated", op.name, to_string(t));
  return op.infer(NodeView(op, inputs, attributes, regions));
}

const Tensor* constant_of(const Graph& graph, Value value) {
  const int32_t producer = graph.producer(value);
  if (producer < 0) return nullptr;
  const Node& node = graph.nodes()[static_cast<size_t>(producer)];
  return node.op->name == kConstantOp ? &std::get<Tensor>(node.attributes.at("value")) : nullptr;
}

NodeView view_of(const Graph& graph, const Node& node) {
  std::vector<Type> inputs, outputs;
  for (Value v : node.inputs) inputs.push_back(graph.type(v));
  for (Value v : node.outputs) outputs.push_back(graph.type(v));
  NodeView view(*node.op, std::move(inputs), node.attributes, node.regions);
  view.set_outputs(std::move(outputs));
  std::vector<const Tensor*> constants;
  for (Value v : node.inputs) constants.push_back(constant_of(graph, v));
  view.set_constants(std::move(constants));
  return view;
}

const Attribute& NodeView::attribute(std::string_view name) const {
  auto at = attributes_->find(std::string(name));
  GREGALE_CHECK(at != attributes_->end(), internal, "[{}] has no attribute '{}'", op_->name, name);
  return at->second;
}
int64_t NodeView::integer(std::string_view n) const { return get<int64_t>(attribute(n), *op_, n); }
double NodeView::real(std::string_view n) const { return get<double>(attribute(n), *op_, n); }
bool NodeView::boolean(std::string_view n) const { return get<bool>(attribute(n), *op_, n); }
const std::string& NodeView::string(std::string_view n) const { return get<std::string>(attribute(n), *op_, n); }
const std::vector<int64_t>& NodeView::integers(std::string_view n) const {
  return get<std::vector<int64_t>>(attribute(n), *op_, n);
}
const std::vector<double>& NodeView::reals(std::string_view n) const {
  return get<std::vector<double>>(attribute(n), *op_, n);
}
DType NodeView::dtype(std::string_view n) const { return get<DType>(attribute(n), *op_, n); }
const Tensor& NodeView::tensor(std::string_view n) const { return get<Tensor>(attribute(n), *op_, n); }

StridedView StridedView::dense(Extents extents) {
  StridedView view;
  view.strides.assign(extents.size(), 1);
  for (size_t i = extents.size(); i-- > 1;) view.strides[i - 1] = view.strides[i] * extents[i];
  view.extents = std::move(extents);
  return view;
}

OpDef::~OpDef() = default;

Cost default_cost(const NodeView& node, double flops_per_output) {
  Cost cost;
  for (const Type& t : node.inputs()) cost.bytes += static_cast<double>(t.bytes());
  for (const Type& t : node.outputs()) {
    cost.bytes += static_cast<double>(t.bytes());
    cost.flops += flops_per_output * static_cast<double>(t.shape.elements());
  }
  return cost;
}

}  // namespace gregale
