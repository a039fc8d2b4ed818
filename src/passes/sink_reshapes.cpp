// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>

#include "gregale/op.hpp"
#include "gregale/ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "passes/passes.hpp"
#include "tile/node_kinds.hpp"
#include "tile/row_transform.hpp"

namespace gregale::passes {
namespace {

/// What a reshape that only regroups rows (it keeps the last extent) was made from; invalid for everything else.
Value regrouped(const Graph& g, Value v) {
  const int32_t p = g.producer(v);
  if (p < 0 || g.nodes()[static_cast<size_t>(p)].op->name != "reshape") return {};
  const Value from = g.nodes()[static_cast<size_t>(p)].inputs[0];
  const Shape &a = g.type(from).shape, &b = g.type(v).shape;
  if (!a.is_constant() || !b.is_constant() || a.rank() < 1 || b.rank() < 1) return {};
  return a[a.rank() - 1] == b[b.rank() - 1] && a.elements() > 0 ? from : Value{};
}

/// Where a reshape [B, r..., k] -> [B, R, k] only merged the rows of a Fourier transform's matrices: the transform's
/// result. The transform needs the rows apart, products and elementwise operators do not care.
Value transformed(const Graph& g, Value v) {
  const Value from = regrouped(g, v);
  if (!from.valid()) return {};
  // Through the operators that act on each row alone: what they began with.
  for (Value at = from;;) {
    const int32_t p = g.producer(at);
    if (p < 0) return {};
    const Node& node = g.nodes()[static_cast<size_t>(p)];
    if (tile::row_transform(view_of(g, node))) return from;
    if (node.inputs.empty() || (node.op->name != "matmul" && !node.op->express)) return {};
    at = node.inputs[0];
  }
}

/// `v`, which is broadcast along the rows of [B, R, n], for rows [B, r..., n] of a higher rank.
Value for_more_axes(Graph& g, Value v, const Shape& rows, const Shape& more, bool matrix) {
  const Shape s = g.type(v).shape;
  if (!s.is_constant() || s.rank() != rows.rank() || more.rank() < rows.rank()) return {};
  const int64_t rank = rows.rank();
  if (!matrix && s[rank - 2] != Dim(1)) return {};
  std::vector<Dim> dims;
  for (int64_t i = 0; i < rank - 2; ++i) {
    if (rows[i] != more[i]) return {};
    dims.push_back(s[i]);
  }
  dims.insert(dims.end(), static_cast<size_t>(more.rank() - rank), Dim(1));
  dims.push_back(s[rank - 2]);
  dims.push_back(s[rank - 1]);
  return ops::reshape(g, v, Shape(dims));
}

/// An elementwise operator, or one along the last axis that keeps it.
bool keeps_rows(const Node& node, const Graph& graph) {
  if (!node.op->express || node.outputs.size() != 1) return false;
  const Shape& result = graph.type(node.outputs[0]).shape;
  if (!result.is_constant() || result.rank() < 1) return false;
  if (node.attributes.count("keep_dims") > 0) return false;
  if (node.attributes.count("axis") == 0) return true;
  const int64_t axis = std::get<int64_t>(node.attributes.at("axis"));
  return axis == -1 || axis == result.rank() - 1;
}

/// Where rows regrouped meet others that are not, what regroups them goes in front of the operators that made them for
/// this alone: the derivative of an activation then is part of what multiplies it, in whichever grouping that has its
/// rows.
Graph raise_reshapes(const Graph& graph) {
  std::vector<int> uses(static_cast<size_t>(graph.value_count()), 0);
  for (const Node& node : graph.nodes())
    for (const Value v : node.inputs) ++uses[static_cast<size_t>(v.id)];
  for (const Value v : graph.outputs()) ++uses[static_cast<size_t>(v.id)];
  std::vector<Value> copies(static_cast<size_t>(graph.value_count()));
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    for (size_t i = 0; i < inputs.size(); ++i) copies[static_cast<size_t>(node.inputs[i].id)] = inputs[i];
    if (!keeps_rows(node, graph) || !tile::acts_on_elements(view_of(graph, node))) return results;
    const Shape result = graph.type(node.outputs[0]).shape;
    bool mixed = false;
    for (const Value v : node.inputs) mixed |= graph.type(v).shape == result && !regrouped(graph, v).valid();
    if (!mixed) return results;
    /// `v`, which is of `from`'s shape, with the rows of `result`.
    const std::function<Value(Value, const Shape&)> raised = [&](Value v, const Shape& from) -> Value {
      const int32_t p = graph.producer(v);
      const Node* maker = p >= 0 ? &graph.nodes()[static_cast<size_t>(p)] : nullptr;
      const auto fits = [&](Value o) {
        const Shape& s = graph.type(o).shape;
        return s == from || (s.is_constant() && s.rank() <= 1);
      };
      std::vector<Dim> rows = result.dims();
      rows.back() = from.dims().back();
      if (maker == nullptr || uses[static_cast<size_t>(v.id)] != 1 || !keeps_rows(*maker, graph) ||
          !tile::acts_on_elements(view_of(graph, *maker)) ||
          !std::all_of(maker->inputs.begin(), maker->inputs.end(), fits))
        return ops::reshape(out, copies[static_cast<size_t>(v.id)], Shape(rows));
      std::vector<Value> operands;
      for (const Value o : maker->inputs)
        operands.push_back(graph.type(o).shape == from ? raised(o, from) : copies[static_cast<size_t>(o.id)]);
      return out.add(*maker->op, operands, maker->attributes, maker->regions)[0];
    };
    std::vector<Value> operands = inputs;
    bool changed = false;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Value from = regrouped(graph, node.inputs[i]);
      if (!from.valid() || graph.type(node.inputs[i]).shape != result ||
          uses[static_cast<size_t>(node.inputs[i].id)] != 1 || transformed(graph, node.inputs[i]).valid())
        continue;
      operands[i] = raised(from, graph.type(from).shape);
      changed = true;
    }
    if (changed) results = out.add(*node.op, operands, node.attributes, node.regions);
    return results;
  });
}

Graph sink(const Graph& graph) {
  return rewrite(graph, [&](Graph& out, const Node& node, const std::vector<Value>& inputs) {
    std::optional<std::vector<Value>> results;
    const auto shape = [&](Value v) { return out.type(v).shape; };
    if (node.op->name == "reshape" && graph.type(node.outputs[0]).shape.is_constant()) {
      const int32_t p = out.producer(inputs[0]);
      if (p < 0 || out.nodes()[static_cast<size_t>(p)].op->name != "reshape") return results;
      const Value from = out.nodes()[static_cast<size_t>(p)].inputs[0];
      const Shape wanted = graph.type(node.outputs[0]).shape;
      results = {shape(from) == wanted ? from : ops::reshape(out, from, wanted)};
      return results;
    }
    if (node.op->name == "matmul" && shape(inputs[1]).rank() == 2 &&
        !std::get<bool>(node.attributes.at("transpose_a"))) {
      const Value from = regrouped(out, inputs[0]);
      if (!from.valid() || shape(from).rank() < 2) return results;
      const Value product = out.add(*node.op, {from, inputs[1]}, node.attributes)[0];
      results = {ops::reshape(out, product, graph.type(node.outputs[0]).shape)};
      return results;
    }
    if (node.op->name == "matmul" && shape(inputs[1]).rank() > 2 &&
        !std::get<bool>(node.attributes.at("transpose_a"))) {
      const Value from = transformed(out, inputs[0]);
      if (!from.valid()) return results;
      const Value weights = for_more_axes(out, inputs[1], shape(inputs[0]), shape(from), true);
      if (!weights.valid()) return results;
      const Value product = out.add(*node.op, {from, weights}, node.attributes)[0];
      results = {ops::reshape(out, product, graph.type(node.outputs[0]).shape)};
      return results;
    }
    if (node.op->name == "layer_norm_gradient") {  // x, scale and the result's cotangent, in any grouping of rows
      const Value from = regrouped(out, inputs[0]);
      if (!from.valid()) return results;
      const Value d = regrouped(out, inputs[2]);
      const Value d_y = d.valid() && shape(d) == shape(from) ? d : ops::reshape(out, inputs[2], shape(from));
      results = out.add(*node.op, {from, inputs[1], d_y}, node.attributes);
      results->front() = ops::reshape(out, results->front(), graph.type(node.outputs[0]).shape);
      return results;
    }
    if (!keeps_rows(node, graph)) return results;
    const Shape result = graph.type(node.outputs[0]).shape;
    Value source;
    bool modes = false;
    for (const Value v : inputs)
      if (shape(v) == result && regrouped(out, v).valid()) {
        source = regrouped(out, v);
        modes = transformed(out, v).valid();
      }
    if (!source.valid()) return results;
    std::vector<Value> operands;
    for (const Value v : inputs) {
      if (node.op->name == "layer_norm" && !operands.empty()) {
        operands.push_back(v);  // scale and shift belong to the last axis
        continue;
      }
      const Shape s = shape(v);
      const Value from = regrouped(out, v);
      if (s == result) {
        operands.push_back(from.valid() && shape(from) == shape(source) ? from : ops::reshape(out, v, shape(source)));
      } else if (s.is_constant() && (s.rank() == 0 || (s.rank() == 1 && shape(source).rank() >= 1))) {
        operands.push_back(v);  // one value, or a row for all rows
      } else if (s.is_constant() && s.elements() == 1) {
        operands.push_back(ops::reshape(out, v, Shape{}));
      } else {
        const Value wider = modes ? for_more_axes(out, v, result, shape(source), false) : Value{};
        if (!wider.valid()) return results;
        operands.push_back(wider);
      }
    }
    Attributes attributes = node.attributes;
    if (attributes.count("axis") > 0) attributes["axis"] = int64_t{-1};
    const Value moved = out.add(*node.op, operands, attributes, node.regions)[0];
    results = {ops::reshape(out, moved, result)};
    return results;
  });
}

}  // namespace

Graph sink_reshapes(const Graph& graph) { return raise_reshapes(sink(graph)); }

}  // namespace gregale::passes
