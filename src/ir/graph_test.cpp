// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "ir/ops_for_tests.hpp"

namespace gregale {
namespace {

using namespace ir_test;

const Type kPair(DType::f64, Shape{2});

TEST(GraphBuilding, RefusesWhatDoesNotFit) {
  Graph g("g");
  const Value x = g.add_input("x", kPair);
  expect_error(ErrorCode::invalid_argument, "value 9 does not belong to graph 'g'", [&] {
    g.add(plus(), {x, Value{9}});
  });
  expect_error(ErrorCode::invalid_argument, "value -1", [&] { g.add(plus(), {x, Value{}}); });
  expect_error(ErrorCode::invalid_argument, "value 3", [&] { g.set_outputs({Value{3}}); });
  expect_error(ErrorCode::invalid_argument, "[plus] takes 2 operands, got 1", [&] { g.add(plus(), {x}); });
  expect_error(ErrorCode::invalid_argument, "[call] takes at least 1 operands, got 0", [&] { g.add(call(), {}); });
  expect_error(ErrorCode::invalid_argument, "[variance_tag] unknown attribute 'colour'", [&] {
    g.add(tag(), {x}, {{"colour", int64_t{1}}});
  });
  expect_error(ErrorCode::invalid_argument, "[variance_tag] attribute 'integer' must be an integer", [&] {
    g.add(tag(), {x}, {{"integer", 1.0}});
  });
  expect_error(ErrorCode::invalid_argument, "attribute 'dtype' must be a dtype", [&] {
    g.add(tag(), {x}, {{"dtype", true}});
  });
  expect_error(ErrorCode::invalid_argument, "[careless] attribute 'axis' is missing", [&] { g.add(careless(), {x}); });
  expect_error(ErrorCode::invalid_argument, "1 names for 2 outputs", [&] { g.set_outputs({x, x}, {"only"}); });
  expect_error(ErrorCode::invalid_argument, "no operator is called 'minus'", [&] { test_ops().at("minus"); });
  EXPECT_EQ(g.nodes().size(), 0u) << "what was refused left nothing behind";
  EXPECT_EQ(g.value_count(), 1);

  Type sharded = kPair;
  sharded.distribution["data"] = Placement{Placement::Kind::sharded, 0, ""};
  const Value s = g.add_input("s", sharded);
  expect_error(ErrorCode::unsupported, "not dense and replicated", [&] { g.add(plus(), {s, s}); });
}

TEST(GraphBuilding, CompletesAttributes) {
  Graph g;
  const Value x = g.add_input("x", kPair);
  const auto results = g.add(tag(), {x}, {{"real", int64_t{3}}, {"reals", std::vector<int64_t>{1, 2}}});
  EXPECT_EQ(results.size(), 2u);
  const Attributes& a = g.nodes()[0].attributes;
  EXPECT_EQ(a.size(), tag().attributes.size());
  EXPECT_EQ(std::get<double>(a.at("real")), 3.0);
  EXPECT_EQ(std::get<std::vector<double>>(a.at("reals")), (std::vector<double>{1, 2}));
  EXPECT_EQ(std::get<int64_t>(a.at("integer")), 7);
}

TEST(GraphBuilding, HoldsVersionsInOrder) {
  Graph g;
  const Value x = g.add_input("x", kPair), wide = g.add_input("wide", Type(DType::f64, Shape{3}));
  const int64_t a = g.add_variable("a", kPair);
  EXPECT_EQ(a, 0);
  EXPECT_EQ(g.variable_index("a"), 0);
  EXPECT_EQ(g.variable_index("b"), -1);
  expect_error(ErrorCode::invalid_argument, "'a' is declared twice", [&] { g.add_variable("a", kPair); });
  expect_error(ErrorCode::invalid_argument, "no variable 1", [&] { g.read(1); });
  expect_error(ErrorCode::invalid_argument, "no variable -1", [&] { g.write(-1, x); });
  expect_error(ErrorCode::invalid_argument, "variable 'a' is f64[2], not f64[3]", [&] { g.write(a, wide); });
  EXPECT_EQ(g.version(a), 0);
  const auto at = [&](int64_t version) { return Attributes{{"variable", a}, {"version", version}}; };
  expect_error(ErrorCode::invalid_argument, "version 1 of variable 'a' does not exist here (the newest is 0)",
               [&] { g.add(core::read_op(), {}, at(1)); });
  expect_error(ErrorCode::invalid_argument, "version 2 of variable 'a'", [&] { g.add(core::write_op(), {x}, at(2)); });
  g.write(a, x);
  EXPECT_EQ(g.version(a), 1);
  expect_error(ErrorCode::invalid_argument, "version 1 of variable 'a'", [&] { g.add(core::write_op(), {x}, at(1)); });
  g.add(core::read_op(), {}, at(0));  // an old version stays readable
  expect_error(ErrorCode::invalid_argument, "version -1", [&] { g.add(core::read_op(), {}, at(-1)); });
  verify(g);
}

TEST(Interpret, KeepsVersionsApart) {
  Graph g;
  const Value x = g.add_input("x", kPair);
  const int64_t a = g.add_variable("a", kPair), untouched = g.add_variable("u", kPair);
  const Value before = g.read(a);
  g.write(a, g.add1(plus(), {before, x}));
  g.write(a, g.add1(plus(), {g.read(a), g.read(untouched)}));
  const Value first = g.add1(core::read_op(), {}, {{"variable", a}, {"version", int64_t{1}}});
  g.set_outputs({before, first, g.read(a), x});
  VariableValues state{{"a", vec({1, 2})}, {"u", vec({100, 200})}, {"other", vec({5})}};
  const Tensor held = state["a"];
  const auto results = interpret(g, {vec({10, 20})}, &state);
  EXPECT_TRUE(results[0].identical(vec({1, 2})));
  EXPECT_TRUE(results[1].identical(vec({11, 22})));
  EXPECT_TRUE(results[2].identical(vec({111, 222})));
  EXPECT_TRUE(results[3].identical(vec({10, 20})));
  EXPECT_TRUE(state["a"].identical(vec({111, 222})));
  EXPECT_TRUE(state["u"].identical(vec({100, 200})));
  EXPECT_TRUE(held.identical(vec({1, 2}))) << "a tensor somebody else holds is not written to";
  EXPECT_EQ(state.size(), 3u);
}

TEST(Interpret, RefusesWhatDoesNotFit) {
  Graph g("g");
  g.set_outputs({g.add_input("x", kPair)});
  expect_error(ErrorCode::invalid_argument, "takes 1 inputs, got 0", [&] { interpret(g, {}); });
  expect_error(ErrorCode::shape, "input 0 is f64[2], got f64[3]", [&] { interpret(g, {vec({1, 2, 3})}); });
  expect_error(ErrorCode::shape, "input 0 is f64[2], got f32[2]", [&] { interpret(g, {Tensor(DType::f32, {2})}); });
  g.add_variable("a", kPair);
  expect_error(ErrorCode::invalid_argument, "has variables and needs", [&] { interpret(g, {vec({1, 2})}); });
  VariableValues state;
  expect_error(ErrorCode::invalid_argument, "variable 'a' has no value", [&] { interpret(g, {vec({1, 2})}, &state); });
  state["a"] = vec({1});
  expect_error(ErrorCode::shape, "variable 'a' is f64[2], got f64[1]", [&] { interpret(g, {vec({1, 2})}, &state); });
}

TEST(Interpret, RoundsEveryResult) {
  Graph g;
  const Type type(DType::bf16, Shape{1});
  const Value x = g.add_input("x", type), y = g.add_input("y", type);
  const Value once = g.add1(plus(), {x, y});
  g.set_outputs({g.add1(plus(), {once, y})});
  // 256 + 1 is 256 in bf16 (8 bits), twice; unrounded, 256 + 2 would be 258.
  const auto results = interpret(g, {Tensor::full(DType::bf16, {1}, 256), Tensor::full(DType::bf16, {1}, 1)});
  EXPECT_TRUE(results[0].identical(Tensor::full(DType::bf16, {1}, 256)));
}

TEST(BindSymbols, ReplacesThemEverywhere) {
  const Type symbolic(DType::f64, Shape{Dim::symbol("n", 4)});
  Graph body("body");
  const Value b = body.add_input("b", symbolic);
  body.set_outputs({body.add1(plus(), {b, b})});
  Graph g;
  const Value x = g.add_input("x", symbolic);
  const int64_t a = g.add_variable("a", symbolic);
  const Value called = g.add(call(), {x}, {}, {body})[0];
  g.set_name(called, "doubled");
  g.write(a, g.add1(plus(), {called, g.read(a)}));
  g.set_outputs({g.read(a)}, {"result"});
  verify(g);

  const Graph bound = bind_symbols(g, {{"n", 2}, {"elsewhere", 3}});
  verify(bound);
  EXPECT_EQ(to_string(bound.type(bound.inputs()[0])), "f64[2]");
  EXPECT_EQ(to_string(bound.variables()[0].type), "f64[2]");
  EXPECT_EQ(to_string(bound.nodes()[0].regions[0].type(Value{0})), "f64[2]");
  EXPECT_EQ(bound.name_of(bound.nodes()[0].outputs[0]), "doubled");
  EXPECT_EQ(bound.output_names(), g.output_names());
  VariableValues state{{"a", vec({1, 1})}};
  EXPECT_TRUE(interpret(bound, {vec({1, 2})}, &state)[0].identical(vec({3, 5})));
  EXPECT_EQ(print(bind_symbols(g, {})), print(g));

  expect_error(ErrorCode::shape, "n = 5 is outside [0, 4]", [&] { bind_symbols(g, {{"n", 5}}); });
  expect_error(ErrorCode::shape, "n = -1 is outside [0, 4]", [&] { bind_symbols(g, {{"n", -1}}); });
  verify(bind_symbols(g, {{"n", 0}}));
}

/// a := a + x; gives (old a, new a), reading the old version after the write.
Graph accumulate() {
  Graph g("accumulate");
  const Value x = g.add_input("x", kPair);
  const int64_t a = g.add_variable("a", kPair);
  g.write(a, g.add1(plus(), {g.read(a), x}));
  const Value old = g.add1(core::read_op(), {}, {{"variable", a}, {"version", int64_t{0}}});
  g.set_outputs({old, g.read(a)});
  return g;
}

TEST(InlineGraph, SharesVariablesAndShiftsVersions) {
  Graph g;
  const Value x = g.add_input("x", kPair);
  g.add_variable("first", kPair);  // so that indices differ
  const int64_t a = g.add_variable("a", kPair);
  g.write(a, x);
  const auto once = inline_graph(g, accumulate(), {x});
  const auto twice = inline_graph(g, accumulate(), {once[1]});
  g.set_outputs({once[0], once[1], twice[0], twice[1]});
  verify(g);
  EXPECT_EQ(g.variables().size(), 2u);
  EXPECT_EQ(g.version(a), 3);
  VariableValues state{{"first", vec({0, 0})}, {"a", vec({50, 50})}};
  const auto results = interpret(g, {vec({1, 2})}, &state);
  EXPECT_TRUE(results[0].identical(vec({1, 2})));
  EXPECT_TRUE(results[1].identical(vec({2, 4})));
  EXPECT_TRUE(results[2].identical(vec({2, 4})));
  EXPECT_TRUE(results[3].identical(vec({4, 8})));
  EXPECT_TRUE(state["a"].identical(vec({4, 8})));
}

TEST(InlineGraph, AddsVariablesAndTakesItself) {
  Graph g = accumulate();
  const auto again = inline_graph(g, g, {g.inputs()[0]});
  g.set_outputs({again[1]});
  verify(g);
  VariableValues state{{"a", vec({0, 0})}};
  EXPECT_TRUE(interpret(g, {vec({1, 2})}, &state)[0].identical(vec({2, 4})));

  Graph fresh;
  const Value x = fresh.add_input("x", kPair);
  inline_graph(fresh, accumulate(), {x});
  EXPECT_EQ(fresh.variable_index("a"), 0);
}

TEST(InlineGraph, RefusesWhatDoesNotFit) {
  Graph g;
  const Value wide = g.add_input("wide", Type(DType::f64, Shape{3})), x = g.add_input("x", kPair);
  expect_error(ErrorCode::invalid_argument, "'accumulate' takes 1 inputs, got 2", [&] {
    inline_graph(g, accumulate(), {x, x});
  });
  expect_error(ErrorCode::shape, "input 0 of 'accumulate' is f64[2], got f64[3]",
               [&] { inline_graph(g, accumulate(), {wide}); });
  g.add_variable("a", Type(DType::f32, Shape{2}));
  expect_error(ErrorCode::shape, "variable 'a' has two types", [&] { inline_graph(g, accumulate(), {x}); });
}

TEST(Verify, CatchesBrokenGraphs) {
  // Building checks everything, so what is broken here is an operator that changes its mind.
  static DType given;
  given = DType::f32;
  OpDef fickle;
  fickle.name = "fickle";
  fickle.outputs = {{"y", ""}};
  fickle.infer = [](const NodeView&) {
    GREGALE_CHECK(given != DType::i8, dtype, "[fickle] not today");
    if (given == DType::u8) return std::vector<Type>{};
    return std::vector<Type>{Type(given, Shape{})};
  };
  Graph g("broken");
  g.set_outputs({g.add1(fickle, {})});
  verify(g);
  given = DType::f64;
  expect_error(ErrorCode::internal, "[verify] graph 'broken', node 0 (fickle): result 0 is f64[], not f32[]",
               [&] { verify(g); });
  given = DType::u8;
  expect_error(ErrorCode::internal, "0 results, not 1", [&] { verify(g); });
  given = DType::i8;
  expect_error(ErrorCode::internal, "node 0 (fickle): [fickle] not today", [&] { verify(g); });

  Graph body = accumulate(), outer("outer");
  const auto results = outer.add(call(), {outer.add_input("x", kPair)}, {}, {body});
  outer.set_outputs(results);
  expect_error(ErrorCode::internal, "node 0 (call): a region declares variables", [&] { verify(outer); });
}

TEST(RefArray, RoundTripsEveryDtype) {
  for (int code = 0; code < kDTypeCount; ++code) {
    const auto dtype = static_cast<DType>(code);
    SCOPED_TRACE(std::string(name_of(dtype)));
    Tensor t(dtype, {64});
    auto* bytes = static_cast<unsigned char*>(t.data());
    for (int64_t i = 0; i < t.bytes(); ++i)
      bytes[i] = dtype == DType::boolean ? static_cast<unsigned char>(i % 2) : static_cast<unsigned char>(i * 37 + 11);
    if (is_differentiable(dtype)) {
      // Payloads of NaN need not survive: clear a bit of every exponent.
      const int64_t part = size_of(is_complex(dtype) ? real_of(dtype) : dtype);
      for (int64_t i = part - 1; i < t.bytes(); i += part) bytes[i] &= 0xbf;
      const Tensor infinite = Tensor::full(dtype, {2}, -std::numeric_limits<double>::infinity());
      EXPECT_TRUE(RefArray::from(infinite).to_tensor().identical(infinite));
      const Tensor nan = Tensor::full(dtype, {2}, std::numeric_limits<double>::quiet_NaN());
      const RefArray held = RefArray::from(RefArray::from(nan).to_tensor());
      EXPECT_TRUE(std::isnan(is_complex(dtype) ? held.complex()[1].real() : held.real()[1]));
    }
    const RefArray a = RefArray::from(t);
    EXPECT_EQ(a.size(), 64);
    EXPECT_EQ(a.type, t.type());
    EXPECT_TRUE(a.to_tensor().identical(t));
    const RefArray zeros = RefArray::zeros(t.type());
    EXPECT_TRUE(zeros.to_tensor().identical(Tensor(dtype, {64})));
    EXPECT_EQ(RefArray::zeros(Type(dtype, Shape{0, 3})).size(), 0);
  }
  RefArray short_one = RefArray::zeros(kPair);
  short_one.real().resize(1);
  expect_error(ErrorCode::internal, "a reference gave 1 elements for f64[2]", [&] { short_one.to_tensor(); });
}

}  // namespace
}  // namespace gregale
