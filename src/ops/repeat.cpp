// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ir/interpret.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::ops {
namespace {

/// The one region, checked against the operands.
const Graph& body_of_repeat(const NodeView& node) {
  GREGALE_CHECK(node.regions().size() == 1, invalid_argument, "[repeat] takes one body, got {}", node.regions().size());
  const Graph& body = node.regions()[0];
  const auto carried = static_cast<int64_t>(body.outputs().size());
  GREGALE_CHECK(body.variables().empty(), unsupported, "[repeat] the body has variables; carry them instead");
  GREGALE_CHECK(carried > 0 && carried <= node.input_count(), invalid_argument,
                "[repeat] the body gives {} values for {} operands", carried, node.input_count());
  GREGALE_CHECK(static_cast<int64_t>(body.inputs().size()) == node.input_count(), invalid_argument,
                "[repeat] the body takes {} operands, got {}", body.inputs().size(), node.input_count());
  for (int64_t i = 0; i < node.input_count(); ++i) {
    const Type& expected = body.type(body.inputs()[static_cast<size_t>(i)]);
    GREGALE_CHECK(node.input(i) == expected, shape, "[repeat] operand {} is {}; the body takes {}", i,
                  to_string(node.input(i)), to_string(expected));
  }
  for (int64_t i = 0; i < carried; ++i) {
    const Type& given = body.type(body.outputs()[static_cast<size_t>(i)]);
    GREGALE_CHECK(node.input(i) == given, shape, "[repeat] carried value {} goes in as {} and comes out as {}", i,
                  to_string(node.input(i)), to_string(given));
  }
  return body;
}

std::vector<Type> infer_repeat(const NodeView& node) {
  const Graph& body = body_of_repeat(node);
  GREGALE_CHECK(node.integer("count") >= 0, invalid_argument, "[repeat] count {} is negative", node.integer("count"));
  return {node.inputs().begin(), node.inputs().begin() + static_cast<int64_t>(body.outputs().size())};
}

void reference_repeat(ReferenceContext& c) {
  const Graph& body = body_of_repeat(c.node);
  const auto carried = static_cast<int64_t>(body.outputs().size());
  std::vector<RefArray> values(c.inputs.begin(), c.inputs.begin() + carried);
  for (int64_t step = 0; step < c.node.integer("count"); ++step) {
    values.insert(values.end(), c.inputs.begin() + carried, c.inputs.end());
    values = interpret_arrays(body, std::move(values), nullptr);
  }
  c.outputs = std::move(values);
}

std::vector<Value> expand_repeat(ExpandContext& c) {
  const Graph& body = body_of_repeat(c.node);
  const auto carried = static_cast<int64_t>(body.outputs().size());
  std::vector<Value> values(c.inputs.begin(), c.inputs.begin() + carried);
  for (int64_t step = 0; step < c.node.integer("count"); ++step) {
    values.insert(values.end(), c.inputs.begin() + carried, c.inputs.end());
    values = inline_graph(c.graph, body, values);
  }
  return values;
}

/// x' = tanh(a x + y), y' = x y: two carried values and a capture.
Graph sample_body() {
  Graph body("body");
  const Type type(DType::f64, Shape{3});
  const Value x = body.add_input("x", type), y = body.add_input("y", type), a = body.add_input("a", type);
  const Value next = tanh(body, add(body, mul(body, a, x), y));
  body.set_outputs({next, mul(body, x, y)});
  return body;
}

}  // namespace

const OpDef& repeat_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "repeat";
    d.doc =
        "Runs its body `count` times: (carried..., captures...) -> (carried...). What the body gives is carried into "
        "its "
        "next run; captures are the same in every run. The body sees nothing else of the graph around it.";
    d.inputs = {
        {"values", "initial carried values, then captures: types of the body's inputs", OperandDef::Arity::variadic}};
    d.outputs = {{"results", "the carried values after the last run", OperandDef::Arity::variadic}};
    d.attributes = {{"count", AttributeKind::integer, "how many runs; 0 gives the initial values", {}}};
    d.to_onnx = [](OnnxWriter& w) {
      OnnxWriter::Names values = w.inputs();
      for (int64_t i = 0; i < w.view().integer("count"); ++i) {
        const OnnxWriter::Names next = w.write_graph(w.view().regions()[0], OnnxWriter::Names(values));
        std::copy(next.begin(), next.end(), values.begin());
      }
      for (size_t i = 0; i < w.view().outputs().size(); ++i) w.set_output(static_cast<int64_t>(i), values[i]);
    };
    d.infer = infer_repeat;
    d.reference = reference_repeat;
    d.expand = expand_repeat;
    d.cost = [](const NodeView& node) {
      Cost once = default_cost(node, 0);
      const Graph& body = node.regions().at(0);
      for (const Node& inner : body.nodes()) {
        std::vector<Type> inputs, outputs;
        for (Value v : inner.inputs) inputs.push_back(body.type(v));
        for (Value v : inner.outputs) outputs.push_back(body.type(v));
        NodeView view(*inner.op, std::move(inputs), inner.attributes, inner.regions);
        view.set_outputs(std::move(outputs));
        once.flops += (inner.op->cost ? inner.op->cost(view) : default_cost(view)).flops;
      }
      once.flops *= static_cast<double>(node.integer("count"));
      return once;
    };
    d.samples = [] {
      const auto sample = [](int64_t count) {
        return Sample{{sample_uniform({3}, 1, -1, 1), sample_uniform({3}, 2, -1, 1), sample_uniform({3}, 3, -1, 1)},
                      {{"count", count}},
                      {sample_body()}};
      };
      return std::vector<Sample>{sample(0), sample(1), sample(3)};
    };
    return d;
  }();
  return op;
}

std::vector<Value> repeat(Graph& g, int64_t count, std::vector<Value> carried, std::vector<Value> captures,
                          Graph body) {
  GREGALE_CHECK(body.outputs().size() == carried.size(), invalid_argument,
                "[repeat] the body gives {} values, {} are carried", body.outputs().size(), carried.size());
  carried.insert(carried.end(), captures.begin(), captures.end());
  std::vector<Graph> regions;
  regions.push_back(std::move(body));
  return g.add(repeat_op(), std::move(carried), {{"count", count}}, std::move(regions));
}

}  // namespace gregale::ops
