// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ir/interpret.hpp"

#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"

namespace gregale {
namespace {

void round_to_dtype(RefArray& a) {
  if (a.type.dtype == DType::f64 || a.type.dtype == DType::c128 || a.type.dtype == DType::i64) return;
  a = RefArray::from(a.to_tensor());
}

void check_fits(const Type& expected, const Extents& extents, DType dtype, const std::string& what) {
  GREGALE_CHECK(dtype == expected.dtype && Shape(extents) == expected.shape, shape, "[interpret] {} is {}, got {}{}",
                what, to_string(expected), name_of(dtype), to_string(extents));
}

}  // namespace

std::vector<RefArray> run_reference(const NodeView& node, const std::vector<RefArray>& inputs) {
  std::vector<RefArray> outputs;
  for (const Type& t : node.outputs()) outputs.push_back(RefArray::zeros(t));
  GREGALE_CHECK(static_cast<bool>(node.op().reference), internal, "[{}] has no reference", node.op().name);
  ReferenceContext context{node, inputs, outputs};
  node.op().reference(context);
  for (RefArray& o : outputs) round_to_dtype(o);
  return outputs;
}

std::vector<RefArray> interpret_arrays(const Graph& graph, std::vector<RefArray> inputs, VariableValues* state) {
  GREGALE_CHECK(inputs.size() == graph.inputs().size(), invalid_argument,
                "[interpret] graph '{}' takes {} inputs, got {}", graph.name(), graph.inputs().size(), inputs.size());
  GREGALE_CHECK(graph.variables().empty() || state != nullptr, invalid_argument,
                "[interpret] graph '{}' has variables and needs their values", graph.name());
  const auto count = static_cast<size_t>(graph.value_count());
  std::vector<int> uses(count, 0);
  for (const Node& node : graph.nodes())
    for (Value v : node.inputs) ++uses[static_cast<size_t>(v.id)];
  for (Value v : graph.outputs()) ++uses[static_cast<size_t>(v.id)];

  std::vector<RefArray> values(count);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value v = graph.inputs()[i];
    check_fits(graph.type(v), inputs[i].extents, inputs[i].type.dtype, fmt::format("input {}", i));
    values[static_cast<size_t>(v.id)] = std::move(inputs[i]);
  }
  // versions[i][k]: what variable i holds at version k
  std::vector<std::vector<RefArray>> versions;
  for (const Variable& v : graph.variables()) {
    auto at = state->find(v.name);
    GREGALE_CHECK(at != state->end(), invalid_argument, "[interpret] variable '{}' has no value", v.name);
    check_fits(v.type, at->second.extents(), at->second.dtype(), "variable '" + v.name + "'");
    versions.push_back({RefArray::from(at->second)});
  }

  for (const Node& node : graph.nodes()) {
    if (node.op->name == kReadOp || node.op->name == kWriteOp) {
      auto& all = versions[static_cast<size_t>(std::get<int64_t>(node.attributes.at("variable")))];
      if (node.op->name == kReadOp)
        values[static_cast<size_t>(node.outputs[0].id)] =
            all.at(static_cast<size_t>(std::get<int64_t>(node.attributes.at("version"))));
      else
        all.push_back(values[static_cast<size_t>(node.inputs[0].id)]);
    } else {
      std::vector<RefArray> operands;
      for (Value v : node.inputs) operands.push_back(values[static_cast<size_t>(v.id)]);
      std::vector<RefArray> results = run_reference(view_of(graph, node), operands);
      for (size_t i = 0; i < results.size(); ++i)
        values[static_cast<size_t>(node.outputs[i].id)] = std::move(results[i]);
    }
    for (Value v : node.inputs)
      if (--uses[static_cast<size_t>(v.id)] == 0) values[static_cast<size_t>(v.id)] = RefArray();
  }
  for (size_t i = 0; i < versions.size(); ++i)
    if (versions[i].size() > 1) (*state)[graph.variables()[i].name] = versions[i].back().to_tensor();
  std::vector<RefArray> outputs;
  for (Value v : graph.outputs()) outputs.push_back(values[static_cast<size_t>(v.id)]);
  return outputs;
}

std::vector<Tensor> interpret(const Graph& graph, const std::vector<Tensor>& inputs, VariableValues* state) {
  std::vector<RefArray> arrays;
  for (const Tensor& t : inputs) arrays.push_back(RefArray::from(t));
  std::vector<Tensor> outputs;
  for (const RefArray& a : interpret_arrays(graph, std::move(arrays), state)) outputs.push_back(a.to_tensor());
  return outputs;
}

}  // namespace gregale
