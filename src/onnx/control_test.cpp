// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Control flow: whether it becomes part of a graph or runs between programs, results are the same.
#include <fmt/format.h>

#include <numeric>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gregale/error.hpp"
#include "onnx/model_for_tests.hpp"

namespace gregale::onnx {
namespace {

using namespace test;
using testing::ElementsAre;

constexpr int32_t kFloat = 1, kInt64 = 7, kBool = 9;

class Control : public testing::Test {
 protected:
  std::unique_ptr<ExecutionContext> context_ = std::make_unique<ExecutionContext>(make_thread_team(2));

  std::vector<Datum> run(const Model& model, const std::vector<Datum>& inputs) { return model.run(*context_, inputs); }
  static std::vector<float> floats(const Datum& d) {
    const auto all = d.tensor()->as<float>();
    return {all.begin(), all.end()};
  }
  static Tensor counting(Extents extents, float from = 1) {
    Tensor t(DType::f32, extents);
    std::iota(t.as<float>().begin(), t.as<float>().end(), from);
    return t;
  }
  static Tensor truth(bool b) { return Tensor::scalar<bool>(b); }
  static Tensor number(int64_t n) { return Tensor::scalar<int64_t>(n); }
};

TEST_F(Control, BranchesByRuntimeCondition) {
  ModelOf m;
  auto g = m.graph().input("c", kBool, Extents{}).input("x", kFloat, Extents{-1});
  auto& node = g.node("If", {"c"}, {"y", "z"});
  // The branches give different extents, and outer values as they are.
  auto yes = body(node, "then_branch");
  yes.node("Add", {"x", "x"}, {"twice"});
  yes.output("twice").output("x");
  auto no = body(node, "else_branch");
  set(no.node("Concat", {"x", "x"}, {"both"}), "axis", int64_t{0});
  no.output("both").output("x");
  g.node("Add", {"y", "y"}, {"w"});
  g.output("w").output("z");
  const Model model = m.parse();
  const Tensor x = counting({2});
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_THAT(floats(run(model, {truth(true), x})[0]), ElementsAre(4, 8));
    const auto results = run(model, {truth(false), x});
    EXPECT_THAT(floats(results[0]), ElementsAre(2, 4, 2, 4));
    EXPECT_THAT(floats(results[1]), ElementsAre(1, 2));
    EXPECT_NE(results[1].tensor()->data(), x.data());
  }
  EXPECT_THROW(model.graph({Type(DType::boolean, Shape()), x.type()}), Error);
  const Graph fixed = model.graph({Type(DType::boolean, Shape()), x.type()}, {{"c", truth(false)}});
  EXPECT_EQ(fixed.type(fixed.outputs()[0]).shape, Shape{4});
}

/// y = x + 1 + 2 + ... for `count` turns, at most until `limit`; all of them as a table.
ModelOf sum_model() {
  ModelOf m;
  auto g = m.graph().input("count", kInt64, Extents{}).input("limit", kInt64, Extents{}).input("x", kFloat);
  g.initializer("one", Tensor::scalar<int64_t>(1)).initializer("first", Tensor::scalar<bool>(true));
  auto& node = g.node("Loop", {"count", "first", "x"}, {"y", "all"});
  auto b = body(node, "body");
  b.input("i", kInt64, Extents{}).input("go", kBool, Extents{}).input("s", kFloat);
  b.node("Add", {"i", "one"}, {"next"});
  set(b.node("Cast", {"next"}, {"more"}), "to", int64_t{1});
  b.node("Add", {"s", "more"}, {"sum"});
  b.node("Less", {"next", "limit"}, {"on"});
  b.node("Identity", {"sum"}, {"seen"});
  b.output("on", kBool).output("sum", kFloat, Extents{2}).output("seen", kFloat, Extents{2});
  g.output("y").output("all");
  return m;
}

TEST_F(Control, TripCountsAndEarlyStops) {
  const Model model = sum_model().parse();
  const Tensor x = counting({2});
  const auto check = [&](int64_t count, int64_t limit, int64_t turns) {
    const auto results = run(model, {number(count), number(limit), x});
    const auto sum = static_cast<float>(turns * (turns + 1) / 2);
    EXPECT_THAT(floats(results[0]), ElementsAre(1 + sum, 2 + sum)) << count << " " << limit;
    EXPECT_EQ(results[1].tensor()->extents(), (Extents{turns, 2}));
    if (turns > 0) {
      EXPECT_EQ(floats(results[1]).back(), 2 + sum);
    }
  };
  check(3, 100, 3);
  check(100, 4, 4);
  check(1, 100, 1);
  check(0, 100, 0);
  check(-5, 100, 0);
  check(300, 1000, 300);  // more than are written out
  // Known beforehand, it is one graph.
  const std::vector<Type> types{number(0).type(), number(0).type(), x.type()};
  const Graph graph = model.graph(types, {{"count", number(3)}, {"limit", number(100)}});
  EXPECT_EQ(graph.type(graph.outputs()[1]).shape, (Shape{3, 2}));
}

TEST_F(Control, CarriedValuesGrow) {
  ModelOf m;
  auto g = m.graph().input("count", kInt64, Extents{}).input("x", kFloat, Extents{-1});
  auto& node = g.node("Loop", {"count", "", "x"}, {"y"});
  auto b = body(node, "body");
  b.input("i", kInt64).input("go", kBool).input("s", kFloat);
  set(b.node("Concat", {"s", "x"}, {"longer"}), "axis", int64_t{0});
  b.output("go", kBool).output("longer");
  g.output("y");
  const Model model = m.parse();
  EXPECT_THAT(floats(run(model, {number(2), counting({2})})[0]), ElementsAre(1, 2, 1, 2, 1, 2));
  EXPECT_EQ(run(model, {number(20), counting({3})})[0].tensor()->extents(), Extents{63});
}

TEST_F(Control, NestedBodiesSeeWhatIsAround) {
  ModelOf m;
  auto g = m.graph().input("count", kInt64, Extents{}).input("c", kBool, Extents{}).input("x", kFloat);
  g.initializer("ten", Tensor::from<float>({10}, {1}));
  g.node("Add", {"x", "ten"}, {"outer"});
  auto& loop = g.node("Loop", {"count", "", "x"}, {"y"});
  auto b = body(loop, "body");
  b.input("i", kInt64).input("go", kBool).input("s", kFloat);
  auto& branch = b.node("If", {"c"}, {"t"});
  auto yes = body(branch, "then_branch");
  auto& inner = yes.node("Loop", {"count", "", "s"}, {"r"});
  auto deep = body(inner, "body");
  deep.input("j", kInt64).input("on", kBool).input("q", kFloat);
  deep.node("Add", {"q", "outer"}, {"more"});
  deep.node("Add", {"more", "ten"}, {"most"});
  deep.output("on", kBool).output("most");
  yes.output("r");
  auto no = body(branch, "else_branch");
  no.output("outer");  // as it is, two blocks further out
  b.output("go", kBool).output("t");
  g.output("y");
  const Model model = m.parse();
  const Tensor x = counting({1});  // outer 11
  EXPECT_THAT(floats(run(model, {number(2), truth(true), x})[0]), ElementsAre(1 + 4 * 21));
  EXPECT_THAT(floats(run(model, {number(2), truth(false), x})[0]), ElementsAre(11));
  EXPECT_THAT(floats(run(model, {number(0), truth(true), x})[0]), ElementsAre(1));
}

TEST_F(Control, BodiesThatReturnOuterValues) {
  ModelOf m;
  auto g = m.graph().input("count", kInt64, Extents{}).input("x", kFloat, Extents{2});
  const Tensor weight = Tensor::from<float>({5, 6}, {2});
  g.initializer("w", weight);
  auto& node = g.node("Loop", {"count", "", "x", "x"}, {"a", "b", "xs", "ws"});
  auto b = body(node, "body");
  b.input("i", kInt64).input("go", kBool).input("s", kFloat).input("t", kFloat);
  b.output("go", kBool).output("w").output("t").output("x").output("w");
  g.output("a").output("b").output("xs").output("ws");
  const Model model = m.parse();
  for (int turn = 0; turn < 2; ++turn) {
    auto results = run(model, {number(2), counting({2})});
    EXPECT_THAT(floats(results[0]), ElementsAre(5, 6));
    EXPECT_THAT(floats(results[1]), ElementsAre(1, 2));
    EXPECT_THAT(floats(results[2]), ElementsAre(1, 2, 1, 2));
    EXPECT_THAT(floats(results[3]), ElementsAre(5, 6, 5, 6));
    for (Datum& d : results)  // the caller's own: the next turn finds the weights as they were
      for (float& v : std::get<Tensor>(d.value).as<float>()) v = -1;
  }
}

/// s' = s + x_k along axis 1, backwards; sums are prepended along axis 1.
ModelOf scan_model() {
  ModelOf m;
  auto g = m.graph().input("s", kFloat).input("x", kFloat);
  auto& node = g.node("Scan", {"s", "x"}, {"last", "all"});
  set(node, "num_scan_inputs", int64_t{1});
  for (const char* name : {"scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"})
    set(node, name, std::vector<int64_t>{1});
  auto b = body(node, "body");
  b.input("t", kFloat).input("e", kFloat);
  b.node("Add", {"t", "e"}, {"sum"});
  b.node("Identity", {"sum"}, {"seen"});
  b.output("sum", kFloat, Extents{2}).output("seen", kFloat, Extents{2});
  g.output("last").output("all");
  return m;
}

TEST_F(Control, ScansBackwardsAlongAxes) {
  const Model model = scan_model().parse();
  const Tensor zero(DType::f32, {2});
  const auto results = run(model, {zero, counting({2, 3})});
  EXPECT_THAT(floats(results[0]), ElementsAre(6, 15));
  EXPECT_THAT(floats(results[1]), ElementsAre(6, 5, 3, 15, 11, 6));
  // Too long to be written out, and of no turn.
  constexpr int64_t kLong = 400;
  const auto many = run(model, {zero, Tensor::full(DType::f32, {2, kLong}, 1)});
  EXPECT_THAT(floats(many[0]), ElementsAre(kLong, kLong));
  EXPECT_EQ(many[1].tensor()->extents(), (Extents{2, kLong}));
  EXPECT_EQ(floats(many[1])[0], kLong);
  EXPECT_EQ(floats(many[1])[kLong - 1], 1);
  const auto none = run(model, {counting({2}), Tensor(DType::f32, {2, 0})});
  EXPECT_THAT(floats(none[0]), ElementsAre(1, 2));
  EXPECT_EQ(none[1].tensor()->extents(), (Extents{2, 0}));
}

TEST_F(Control, SequencesThatGrowNeedNoNewPrograms) {
  ModelOf m;
  auto g = m.graph().input("count", kInt64, Extents{}).input("x", kFloat);
  g.node("SequenceEmpty", {}, {"none"});
  auto& node = g.node("Loop", {"count", "", "none"}, {"parts"});
  auto b = body(node, "body");
  b.input("i", kInt64).input("go", kBool);
  b.input("s", kFloat);
  b.node("SequenceInsert", {"s", "x"}, {"longer"});
  b.output("go", kBool).output("longer");
  set(g.node("ConcatFromSequence", {"parts"}, {"y"}), "axis", int64_t{0});
  g.output("y").sequence_output("parts");
  const Model model = m.parse();
  auto results = run(model, {number(3), counting({2})});
  EXPECT_THAT(floats(results[0]), ElementsAre(1, 2, 1, 2, 1, 2));
  // Items are the caller's too, and not each other's.
  auto& items = std::get<Sequence>(results[1].value).items;
  std::get<Tensor>(items[0].value).as<float>()[0] = -1;
  EXPECT_THAT(floats(items[1]), ElementsAre(1, 2));
  EXPECT_EQ(run(model, {number(1000), counting({2})})[0].tensor()->extents(), Extents{2000});
}

TEST_F(Control, ResultsAreTheCallers) {
  ModelOf m;
  auto g = m.graph().input("n", kInt64, Extents{}).input("x", kFloat, Extents{2});
  g.initializer("w", Tensor::from<float>({5, 6}, {2}));
  g.node("Identity", {"x"}, {"same"});
  g.node("Identity", {"w"}, {"known"});
  g.node("SequenceConstruct", {"w", "x"}, {"s"});
  g.node("SequenceAt", {"s", "n"}, {"item"});  // runs between programs: `known` is one's of an earlier stage
  g.output("same").output("x").output("known").output("w").output("item").sequence_output("s");
  const Model model = m.parse();
  const Tensor x = counting({2});
  for (int turn = 0; turn < 2; ++turn) {
    auto results = run(model, {number(0), x});
    const std::vector<float> expected[] = {{1, 2}, {1, 2}, {5, 6}, {5, 6}, {5, 6}};
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(floats(results[i]), expected[i]) << i;
    auto& items = std::get<Sequence>(results[5].value).items;
    EXPECT_THAT(floats(items[0]), ElementsAre(5, 6));
    for (Datum* d : {&results[0], &results[1], &results[2], &results[3], &results[4], &items[0], &items[1]}) {
      std::get<Tensor>(d->value).as<float>()[0] = -1;
      std::get<Tensor>(d->value).as<float>()[1] = static_cast<float>(d - results.data());
    }
  }
  EXPECT_EQ(x.as<float>()[0], 1);
}

TEST_F(Control, ThreadsShareAModel) {
  const Model model = sum_model().parse();
  const Model growing = scan_model().parse();
  std::vector<std::string> wrong(8);
  std::vector<std::thread> threads;
  for (size_t k = 0; k < wrong.size(); ++k)
    threads.emplace_back([&, k] {
      try {
        ExecutionContext context(make_thread_team(1, TeamKind::caller));
        for (int64_t turn = 0; turn < 20; ++turn) {
          // The same extents in all threads, then ones of their own.
          const int64_t width = turn % 2 == 0 ? 2 : 2 + static_cast<int64_t>(k), count = 1 + turn % 5;
          const auto results = model.run(context, std::vector<Datum>{number(count), number(100), counting({width})});
          const auto sum = static_cast<float>(count * (count + 1) / 2);
          if (floats(results[0])[1] != 2 + sum || results[1].tensor()->extents() != Extents{count, width})
            wrong[k] = fmt::format("turn {}: {}", turn, floats(results[0])[1]);
          const auto scanned = growing.run(
              context, std::vector<Datum>{Tensor(DType::f32, {width}), Tensor::full(DType::f32, {width, count}, 1)});
          if (floats(scanned[0])[0] != static_cast<float>(count)) wrong[k] = fmt::format("scan of turn {}", turn);
        }
      } catch (const std::exception& e) {
        wrong[k] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  for (const std::string& w : wrong) EXPECT_EQ(w, "");
}

TEST_F(Control, WrongBodies) {
  const auto refuse = [&](ModelOf& m, const std::vector<Datum>& inputs, const std::string& fact) {
    try {
      run(m.parse(), inputs);
      ADD_FAILURE() << "accepted, not refused: " << fact;
    } catch (const Error& e) {
      EXPECT_NE(e.code(), ErrorCode::internal) << e.what();
      EXPECT_THAT(e.what(), testing::HasSubstr(fact));
    }
  };
  for (const bool known : {false, true}) {
    ModelOf m;
    auto g = m.graph();
    if (known)
      g.initializer("n", number(2));
    else
      g.input("n", kInt64, Extents{});
    g.input("x", kFloat);
    auto& node = g.node("Loop", {"n", "", "x"}, {"y"});
    auto b = body(node, "body");
    b.input("i", kInt64).input("go", kBool);  // none for the carried value
    b.output("go", kBool).output("x");
    g.output("y");
    std::vector<Datum> inputs{counting({2})};
    if (!known) inputs.insert(inputs.begin(), number(2));
    refuse(m, inputs, "for 1 carried values");
  }
  {
    ModelOf m;
    auto g = m.graph().input("c", kBool, Extents{});
    g.node("If", {"c"}, {"y"});
    g.output("y");
    refuse(m, {truth(true)}, "'then_branch' is missing");
  }
  {
    ModelOf m;
    auto g = m.graph().input("s", kFloat).input("x", kFloat);
    auto& node = g.node("Scan", {"s", "x"}, {"y"});
    set(node, "num_scan_inputs", int64_t{7});
    body(node, "body").output("s");
    g.output("y");
    refuse(m, {counting({2}), counting({2})}, "num_scan_inputs");
  }
}

}  // namespace
}  // namespace gregale::onnx
