// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "ops/graphs_for_tests.hpp"
#include "ops/list.hpp"

namespace gregale::ops {
namespace {

using Values = std::vector<Value>;

/// (x, y, a) -> (a x + y, x): two carried values and a capture.
Graph recurrence(const Type& type) {
  Graph body("body");
  const Value x = body.add_input("x", type), y = body.add_input("y", type), a = body.add_input("a", type);
  body.set_outputs({add(body, mul(body, a, x), y), x});
  return body;
}

std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& inputs) {
  verify(g);
  return interpret(g, inputs);
}

TEST(Repeat, IsFibonacci) {
  const Type type(DType::f64, Shape{1});
  for (const auto& [count, expected] : {std::pair<int64_t, double>{0, 1}, {1, 1}, {2, 2}, {10, 89}}) {
    Graph g;
    const Value x = g.add_input("x", type), y = g.add_input("y", type), a = g.add_input("a", type);
    g.set_outputs(repeat(g, count, {x, y}, {a}, recurrence(type)));
    const auto results =
        run(g, {Tensor::full(DType::f64, {1}, 1), Tensor::full(DType::f64, {1}, 0), Tensor::full(DType::f64, {1}, 1)});
    ASSERT_EQ(results.size(), 2u);
    EXPECT_EQ(results[0].as<double>()[0], expected) << count;
  }
}

TEST(Repeat, EqualsItsExpansion) {
  for (const Sample& sample : repeat_op().samples()) {
    Graph whole, unrolled;
    Values a, b;
    for (const Tensor& t : sample.inputs) {
      a.push_back(whole.add_input("", t.type()));
      b.push_back(unrolled.add_input("", t.type()));
    }
    whole.set_outputs(whole.add(repeat_op(), a, sample.attributes, sample.regions));
    const NodeView view = view_of(whole, whole.nodes()[0]);
    ExpandContext context{unrolled, view, b};
    unrolled.set_outputs(repeat_op().expand(context));
    const auto given = run(whole, sample.inputs), expected = run(unrolled, sample.inputs);
    ASSERT_EQ(given.size(), expected.size());
    for (size_t i = 0; i < given.size(); ++i) EXPECT_TRUE(given[i].identical(expected[i]));
  }
}

TEST(Repeat, Refuses) {
  const Type type(DType::f64, Shape{1}), wide(DType::f64, Shape{2});
  Graph g;
  const Value x = g.add_input("x", type), w = g.add_input("w", wide);
  EXPECT_ERROR(repeat(g, -1, {x, x}, {x}, recurrence(type)), "[repeat] count -1 is negative");
  EXPECT_ERROR(repeat(g, 1, {x, w}, {x}, recurrence(type)), "[repeat] operand 1 is f64[2]; the body takes f64[1]");
  EXPECT_ERROR(repeat(g, 1, {x, x}, {}, recurrence(type)), "[repeat] the body takes 3 operands, got 2");
  EXPECT_ERROR(repeat(g, 1, {x}, {x, x}, recurrence(type)), "[repeat] the body gives 2 values, 1 are carried");
  EXPECT_ERROR(g.add(repeat_op(), {x}, {{"count", int64_t{1}}}), "[repeat] takes one body, got 0");
  Graph changing("body");
  changing.set_outputs({concat(changing, {changing.add_input("x", type), changing.inputs()[0]}, 0)});
  EXPECT_ERROR(repeat(g, 1, {x}, {}, changing), "[repeat] carried value 0 goes in as f64[1] and comes out as f64[2]");
  Graph stateful("body");
  const Value s = stateful.add_input("x", type);
  stateful.write(stateful.add_variable("v", type), s);
  stateful.set_outputs({s});
  EXPECT_ERROR(repeat(g, 1, {x}, {}, stateful), "[repeat] the body has variables; carry them instead");
}

}  // namespace
}  // namespace gregale::ops
