// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "registry/one_op.hpp"

namespace gregale::registry {
namespace {

// read and write belong to the graph: they take their types from its variables and are tested with it.
bool is_state(const OpDef& op) { return op.name == "read" || op.name == "write"; }

TEST_P(EveryOperator, IsComplete) {
  EXPECT_GT(op().doc.size(), 20u);
  EXPECT_EQ(op().doc.back(), '.');
  for (const OperandDef& d : op().inputs) EXPECT_FALSE(d.doc.empty()) << d.name;
  for (const AttributeDef& d : op().attributes) EXPECT_FALSE(d.doc.empty()) << d.name;
  EXPECT_TRUE(op().gradient || op().expand || !op().no_gradient.empty()) << "neither gradient nor a reason";
  EXPECT_FALSE(op().gradient && !op().no_gradient.empty()) << "a gradient and a reason why there is none";
  if (is_state(op())) return;
  EXPECT_TRUE(static_cast<bool>(op().infer));
  EXPECT_TRUE(static_cast<bool>(op().reference));
  EXPECT_FALSE(samples().empty());
}

TEST_P(EveryOperator, ReferenceGivesWhatInferenceSays) {
  for (const Sample& sample : samples())
    for (const bool narrow : {false, true}) {
      const Graph g = graph_of(op(), sample, narrow);
      verify(g);
      const auto outputs = interpret(g, inputs_of(sample, narrow));
      ASSERT_EQ(outputs.size(), g.outputs().size());
      for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i].type(), g.type(g.outputs()[i]));
    }
}

TEST_P(EveryOperator, TextRoundTrips) {
  for (const Sample& sample : samples()) {
    const Graph g = graph_of(op(), sample, false);
    Blobs blobs;
    const std::string text = print(g, &blobs);
    const Graph parsed = parse_graph(text, ops::standard_ops(), blobs);
    EXPECT_EQ(print(parsed), print(g));
    const auto expected = interpret(g, inputs_of(sample, false));
    const auto got = interpret(parsed, inputs_of(sample, false));
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(expected[i]));
  }
}

TEST_P(EveryOperator, RefusesAWrongNumberOfOperands) {
  Graph g;
  std::vector<Value> inputs;
  for (size_t i = 0; i < op().inputs.size() + 3; ++i) inputs.push_back(g.add_input("x", Type(DType::f32, {2, 2})));
  if (!op().inputs.empty() && op().inputs.back().arity == OperandDef::Arity::variadic) inputs.clear();
  try {
    Attributes attributes;
    if (!samples().empty()) attributes = samples().front().attributes;
    if (is_state(op())) attributes = {{"variable", int64_t{0}}, {"version", int64_t{0}}};
    g.add(op(), inputs, attributes);
    ADD_FAILURE() << "accepted " << inputs.size() << " operands";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).rfind("[" + op().name + "]", 0), 0u) << e.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Structure, EveryOperator, testing::ValuesIn(ops::standard_ops().all()), op_name);

}  // namespace
}  // namespace gregale::registry
