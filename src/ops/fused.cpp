// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "ir/inference.hpp"
#include "ir/interpret.hpp"
#include "ops/common.hpp"
#include "ops/list.hpp"
#include "ops/program_kernel.hpp"

namespace gregale::ops {
namespace {

const Graph& body_of_fused(const NodeView& node) {
  GREGALE_CHECK(node.regions().size() == 1, invalid_argument, "[fused] takes one body, got {}", node.regions().size());
  const Graph& body = node.regions()[0];
  GREGALE_CHECK(body.variables().empty(), unsupported, "[fused] the body has variables");
  GREGALE_CHECK(static_cast<int64_t>(body.inputs().size()) == node.input_count(), invalid_argument,
                "[fused] the body takes {} operands, got {}", body.inputs().size(), node.input_count());
  for (int64_t i = 0; i < node.input_count(); ++i) {
    const Type& expected = body.type(body.inputs()[static_cast<size_t>(i)]);
    GREGALE_CHECK(node.input(i) == expected, shape, "[fused] operand {} is {}; the body takes {}", i,
                  to_string(node.input(i)), to_string(expected));
  }
  return body;
}

tile::ScheduleChoice schedule_of(const NodeView& node) {
  Result<tile::ScheduleChoice> choice = tile::parse_schedule_choice(node.string("schedule"));
  GREGALE_CHECK(choice, invalid_argument, "[fused] schedule: {}", choice.error().message());
  return choice.value();
}

std::vector<Type> infer_fused(const NodeView& node) {
  const Graph& body = body_of_fused(node);
  schedule_of(node);
  std::vector<Type> types;
  for (const Value v : body.outputs()) types.push_back(body.type(v));
  return types;
}

Result<Kernel> lower_fused(const NodeView& node, const Target& target) {
  return program_kernel(body_of_fused(node), node, target, schedule_of(node), node.boolean("in_parts"));
}

Sample sample_fused() {
  Graph body("body");
  const Value x = body.add_input("x", Type(DType::f64, Shape{3, 4})),
              w = body.add_input("w", Type(DType::f64, Shape{4, 5}));
  const Value b = body.add_input("b", Type(DType::f64, Shape{5}));
  body.set_outputs({tanh(body, add(body, matmul(body, x, w), b))});
  return {.inputs = {sample_uniform({3, 4}, 1), sample_uniform({4, 5}, 2), sample_uniform({5}, 3)},
          .attributes = {},
          .regions = {body}};
}

}  // namespace

const OpDef& fused_op() {
  static const OpDef op = [] {
    OpDef d;
    d.name = "fused";
    d.doc =
        "A group of operators that runs as one tile program, so that what they hand to each other stays in the cache "
        "(docs/compiler.md). It computes what its body does; the compiler makes it.";
    d.inputs = {{"operands", "what the body takes, in order", OperandDef::Arity::variadic}};
    d.outputs = {{"results", "what the body gives", OperandDef::Arity::variadic}};
    d.attributes = {{"schedule", AttributeKind::string,
                     "how the group is cut, as tuning found it, such as `rows=96 order=curve`; empty: by formula. It "
                     "changes no bit",
                     std::string()},
                    {"in_parts", AttributeKind::boolean,
                     "whether fp32 products with constants may be computed as three parts in bf16 (fp32x3), which the "
                     "policy of that name says",
                     false}};
    d.infer = infer_fused;
    d.reference = [](ReferenceContext& c) { c.outputs = interpret_arrays(body_of_fused(c.node), c.inputs, nullptr); };
    d.expand = [](ExpandContext& c) { return inline_graph(c.graph, body_of_fused(c.node), c.inputs); };
    d.lowerings = {{"tile program", lower_fused}};
    d.cost = [](const NodeView& node) {
      const Graph& body = body_of_fused(node);
      Cost cost = default_cost(node, 0);
      for (const Node& n : body.nodes()) {
        const NodeView view = view_of(body, n);
        cost.flops += (n.op->cost ? n.op->cost(view) : default_cost(view)).flops;
      }
      return cost;
    };
    d.samples = [] { return std::vector<Sample>{sample_fused()}; };
    return d;
  }();
  return op;
}

}  // namespace gregale::ops
