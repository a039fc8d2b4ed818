// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Printer and parser: what is printed reads back, and hostile text is refused with line and column.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "gregale/random.hpp"
#include "ir/ops_for_tests.hpp"

namespace gregale {
namespace {

using namespace ir_test;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

Graph parse(const std::string& text, const Blobs& blobs = {}) { return parse_graph(text, test_ops(), blobs); }

Graph everything() {
  const Type type(DType::f64, Shape{2});
  Graph inner("inner \"body\"");
  const Value i = inner.add_input("", type);
  inner.set_outputs({inner.add1(plus(), {i, i})});
  Graph body("body");
  const Value b = body.add_input("b", type);
  body.set_outputs(body.add(call(), {b}, {}, {inner}));

  Graph g("main\nof \"all\" \\ \x01 \xc3\xa9");
  const Value x = g.add_input("x \"quoted\"\n", type);
  g.add_input("", Type(DType::c64, Shape{Dim::symbol("n", 64), 3}));
  const int64_t a = g.add_variable("layer.0/weights \"w\"", type);
  const Value old = g.read(a);
  g.write(a, g.add1(plus(), {old, x}));
  g.write(a, g.add1(plus(), {g.read(a), old}));
  const Value version_one = g.add1(core::read_op(), {}, {{"variable", a}, {"version", int64_t{1}}});
  const auto tagged =
      g.add(tag(), {version_one},
            {{"integer", std::numeric_limits<int64_t>::min()},
             {"real", -0.0},
             {"boolean", true},
             {"string", std::string("a \"b\" \\ \n\0 c", 12)},
             {"integers", std::vector<int64_t>{}},
             {"reals", std::vector<double>{kNan, kInf, -kInf, -0.0, 5e-324, 1.7976931348623157e308, 1e20, 0.1, 3}},
             {"dtype", DType::boolean},
             {"tensor", Tensor(DType::f32, {0, 3})}});
  g.set_name(tagged[1], "tagged \"second\"");
  g.set_outputs({g.add(call(), {tagged[1]}, {}, {body})[0], x, x}, {"y\n", "", "same"});
  return g;
}

TEST(GraphText, RoundTrips) {
  const Graph g = everything();
  verify(g);
  const std::string text = print(g);
  const Graph parsed = parse(text);
  EXPECT_EQ(print(parsed), text);
  EXPECT_EQ(parsed.name(), g.name());
  EXPECT_EQ(parsed.output_names(), g.output_names());
  EXPECT_EQ(parsed.variables()[0].name, g.variables()[0].name);
  EXPECT_EQ(parsed.version(0), 2);
  EXPECT_EQ(parsed.name_of(parsed.inputs()[0]), g.name_of(g.inputs()[0]));
  const Attributes& attributes = parsed.nodes()[parsed.nodes().size() - 2].attributes;
  EXPECT_EQ(std::get<std::string>(attributes.at("string")).size(), 12u);
  EXPECT_TRUE(std::signbit(std::get<double>(attributes.at("real"))));
  const auto& reals = std::get<std::vector<double>>(attributes.at("reals"));
  ASSERT_EQ(reals.size(), 9u);
  EXPECT_TRUE(std::isnan(reals[0]));
  EXPECT_EQ(reals[1], kInf);
  EXPECT_EQ(reals[2], -kInf);
  EXPECT_TRUE(std::signbit(reals[3]));
  EXPECT_EQ(reals[4], 5e-324);
  EXPECT_EQ(reals[5], 1.7976931348623157e308);
  EXPECT_EQ(reals[7], 0.1);
}

TEST(GraphText, RoundTripsConstantsOfEveryDtype) {
  for (int code = 0; code < kDTypeCount; ++code) {
    const auto dtype = static_cast<DType>(code);
    SCOPED_TRACE(std::string(name_of(dtype)));
    Tensor t(dtype, {2, 16});
    auto* bytes = static_cast<unsigned char*>(t.data());
    for (int64_t i = 0; i < t.bytes(); ++i)
      bytes[i] = dtype == DType::boolean ? static_cast<unsigned char>(i % 2) : static_cast<unsigned char>(i * 41 + 7);
    // NaN has one spelling, so patterns of other NaNs do not come back: keep them out.
    if (is_differentiable(dtype))
      for (int64_t i = size_of(is_complex(dtype) ? real_of(dtype) : dtype) - 1; i < t.bytes();
           i += size_of(is_complex(dtype) ? real_of(dtype) : dtype))
        bytes[i] &= 0xbb;
    Graph g;
    g.set_outputs({g.constant(t)});
    const Graph parsed = parse(print(g));
    EXPECT_TRUE(std::get<Tensor>(parsed.nodes()[0].attributes.at("value")).identical(t));

    Blobs blobs;
    const std::string text = print(g, &blobs, 31);
    EXPECT_THAT(text, testing::HasSubstr("blob(0)"));
    ASSERT_EQ(blobs.size(), 1u);
    EXPECT_EQ(blobs[0].data(), t.data()) << "a blob shares the buffer";
    EXPECT_TRUE(std::get<Tensor>(parse(text, blobs).nodes()[0].attributes.at("value")).identical(t));
    blobs.clear();
    print(g, &blobs, 32);
    EXPECT_TRUE(blobs.empty());
  }
}

TEST(GraphText, RefusesBadText) {
  const auto node = [](const std::string& line) {
    return "graph \"g\"(%0 \"x\": f64[2]) {\n  " + line + "\n  return\n}";
  };
  const auto constant = [&](const std::string& value, const std::string& type) {
    return node("%1 = constant() {value = " + value + "} : " + type);
  };
  struct Case {
    std::string text, error;
  };
  const Case cases[] = {
      {"", "line 1, column 1: expected 'graph'"},
      {"graph", "line 1, column 6: expected '\"'"},
      {"graph \"unfinished", "line 1, column 18: unfinished string"},
      {"graph \"g\\", "unfinished string"},
      {"graph \"g\\x", "bad escape"},
      {"graph \"g\\x1\"", "bad escape"},
      {"graph \"g\"(%1 \"x\": f64[2]) {", "column 25: expected %0 here"},
      {"graph \"g\"(%0 \"x\": f65[2]) {", "f65"},
      {"graph \"g\"(%0 \"x\": f64[2) {", "missing ']' in a type"},
      {"graph \"g\"(%0 \"x\": f64[-2]) {", "column 19"},
      {"graph \"g\"(%0 \"x\": f64[99999999999999999999]) {", "column 19"},
      {"graph \"g\"(%99999999999999999999 \"x\": f64[]) {", "column 12: an integer is out of range"},
      {"graph \"g\"(", "expected '%'"},
      {"graph \"g\"() {", "expected a name"},
      {"graph \"g\"() {\n  return\n}\nx", "line 4, column 1: text after the end"},
      {"graph \"g\"() { returned", "no operator is called 'returned'"},
      {"graph \"g\"() { return %0 }", "%0 is not defined here"},
      {node("%1 = minus(%0, %0) : f64[2]"), "line 2, column 8: no operator is called 'minus'"},
      {node("%1 = plus(%0, %1) : f64[2]"), "line 2, column 19: %1 is not defined here"},
      {node("%1 = plus(%0, %-1) : f64[2]"), "%-1 is not defined here"},
      {node("%1 = plus(%0) : f64[2]"), "line 2, column 8: [plus] takes 2 operands, got 1"},
      {node("%1 = plus(%0, %0) : f64[3]"), "line 2, column 8: plus gives f64[2] here"},
      {node("%1 = plus(%0, %0)"), "line 3, column 3: expected ':'"},
      {node("%1, %2 = plus(%0, %0) : f64[2], f64[2]"), "plus gives 1 results"},
      {node("plus(%0, %0)"), "plus gives 1 results"},
      {node("%2 = plus(%0, %0) : f64[2]"), "expected %1 here"},
      {node("%1, = plus(%0, %0) : f64[2]"), "line 2, column 7: expected '%'"},
      {node("%1, %2 = variance_tag(%0) {colour = 1} : f64[2], f64[2]"), "has no attribute 'colour'"},
      {node("%1, %2 = variance_tag(%0) {integer = 1, integer = 2} : f64[2], f64[2]"),
       "attribute 'integer' is given twice"},
      {node("%1, %2 = variance_tag(%0) {integer = x} : f64[2], f64[2]"), "line 2, column 40: expected an integer"},
      {node("%1, %2 = variance_tag(%0) {integer = 9223372036854775808} : f64[2], f64[2]"),
       "an integer is out of range"},
      {node("%1, %2 = variance_tag(%0) {integer = 1.5} : f64[2], f64[2]"), "expected ','"},
      {node("%1, %2 = variance_tag(%0) {real = 1e999} : f64[2], f64[2]"), "a number is out of range"},
      {node("%1, %2 = variance_tag(%0) {real = nanny} : f64[2], f64[2]"), "expected"},
      {node("%1, %2 = variance_tag(%0) {boolean = 1} : f64[2], f64[2]"), "expected 'false'"},
      {node("%1, %2 = variance_tag(%0) {dtype = f128} : f64[2], f64[2]"), "f128"},
      {node("%1, %2 = variance_tag(%0) {integers = [1, 2"), "expected"},
      {node("%1 = careless(%0) : f64[2]"), "attribute 'axis' is missing"},
      {node("%1 = careless(%0) {axis = 1} : f64[2]"), "line 2, column 8"},  // its inference throws std::out_of_range
      {node("%1 = careless(%0) {axis = -1} : f64[2]"), "line 2, column 8"},
      {constant("blob(0)", "f32[2]"), "there is no blob 0"},
      {constant("blob(-1)", "f32[2]"), "there is no blob -1"},
      {constant("f32[n] (1)", "f32[n]"), "a constant is dense with constant extents"},
      {constant("f32[2]@(data: shard 0) (1, 2)", "f32[2]"), "a constant is dense"},
      {constant("f32[3] (1, 2)", "f32[3]"), "expected ','"},
      {constant("f32[1] (1, 2)", "f32[1]"), "expected ')'"},
      {constant("f32[16777217] (1)", "f32[16777217]"), "a constant this large must be a blob"},
      {constant("f32[16777216] (1)", "f32[16777216]"), "expected ','"},
      {constant("f32[4294967296,4294967296] (1)", "f32[1]"), "line 2, column"},
      {constant("f32[1] (1e39)", "f32[1]"), "1e+39 does not fit f32"},
      {constant("f16[1] (65536)", "f16[1]"), "65536 does not fit f16"},
      {constant("c64[1] (0, -1e39)", "c64[1]"), "-1e+39 does not fit c64"},
      {constant("i8[1] (128)", "i8[1]"), "line 2, column 35: 128 does not fit i8"},
      {constant("i8[1] (-129)", "i8[1]"), "-129 does not fit i8"},
      {constant("u8[1] (-1)", "u8[1]"), "-1 does not fit u8"},
      {constant("u32[1] (4294967296)", "u32[1]"), "4294967296 does not fit u32"},
      {constant("u64[1] (-1)", "u64[1]"), "expected an integer"},
      {constant("i64[1] (9223372036854775808)", "i64[1]"), "an integer is out of range"},
      {constant("bool[1] (2)", "bool[1]"), "2 does not fit bool"},
      {node("write(%0) {variable = 0, version = 1}"), "[write] no variable 0"},
      {node("var \"a\": f64[2]\n  write(%0) {variable = 0, version = 2}"),
       "line 3, column 3: [write] version 2 of variable 'a'"},
      {node("var \"a\": f64[2]\n  %1 = read() {variable = 0, version = 1} : f64[2]"),
       "version 1 of variable 'a' does not exist"},
      {node("var \"a\": f64[2]\n  var \"a\": f64[2]"), "line 3, column 6: [add_variable] 'a' is declared twice"},
      {node("%1 = call(%0) : f64[2]"), "[call] takes one body"},
      {node("%1 = call(%0) : f64[2]\n region graph \"b\"(%0 \"x\": f64[2]) {\n var \"a\": f64[2]\n return %0 }"),
       "line 4, column 5: a region declares no variables"},
      {"graph \"g\"(%0 \"x\": f64[2]) {\n  return %0 \"a\", %0\n}", "either all results have names or none"},
      {"graph \"g\"(%0 \"x\": f64[2]) {\n  return %0 %0\n}", "line 2, column 13: expected ','"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    expect_error(ErrorCode::corrupt_data, "[parse_graph] line ", [&] { parse(c.text); });
    expect_error(ErrorCode::corrupt_data, c.error, [&] { parse(c.text); });
  }
}

std::string nested(int depth) {
  const std::string head = "graph \"g\"(%0 \"x\": f64[2]) {\n";
  std::string text = head;
  for (int i = 0; i < depth; ++i) text += "%1 = call(%0) : f64[2] region " + head;
  text += "return %0 }\n";
  for (int i = 0; i < depth; ++i) text += "return %1 }\n";
  return text;
}

TEST(GraphText, LimitsNesting) {
  EXPECT_EQ(parse(nested(16)).nodes().size(), 1u);
  for (const int depth : {17, 100000})
    expect_error(ErrorCode::corrupt_data, "regions are nested too deeply", [&] { parse(nested(depth)); });
}

TEST(GraphText, SurvivesMutation) {
  const std::string whole = print(everything());
  int64_t accepted = 0, refused = 0;
  for (uint32_t round = 0; round < 3000; ++round) {
    const RandomKey key{17, round, 0};
    std::string text = whole;
    for (uint64_t edit = 0; edit <= random_below(key, 0, 3); ++edit) {
      const uint64_t at = random_below(key, 4 * edit + 1, text.size());
      const uint64_t what = random_below(key, 4 * edit + 2, 4);
      const uint64_t other = random_below(key, 4 * edit + 3, whole.size());
      if (what == 0)
        text[at] = whole[other];
      else if (what == 1)
        text.erase(at, 1 + other % 5);
      else if (what == 2)
        text.insert(at, whole.substr(other, 1 + other % 7));
      else
        text.resize(at + 1);
    }
    try {
      const Graph g = parse(text);
      EXPECT_EQ(print(parse(print(g))), print(g)) << text;
      ++accepted;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::corrupt_data) << e.what() << '\n' << text;
      ++refused;
    }
  }
  EXPECT_GT(accepted, 10);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace gregale
