// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gregale/error.hpp"
#include "onnx/code_points.hpp"
#include "onnx/model_for_tests.hpp"
#include "onnx/regex.hpp"

namespace gregale::onnx {
namespace {

using namespace test;

TEST(OnnxStrings, RegularExpressions) {
  const auto check = [](const std::string& pattern, const std::vector<std::string>& yes,
                        const std::vector<std::string>& no) {
    const Regex regex(pattern);
    for (const auto& text : yes) EXPECT_TRUE(regex.matches(text)) << pattern << " " << text;
    for (const auto& text : no) EXPECT_FALSE(regex.matches(text)) << pattern << " " << text;
  };
  check("", {""}, {"a"});
  check("a|bc|", {"a", "bc", ""}, {"ab", "b"});
  check("(ab)*c+?d?", {"c", "ababcc", "abcd"}, {"ab", "abd"});
  check("a{2}b{1,}c{0,2}", {"aab", "aabbcc"}, {"ab", "aabccc"});
  check("x{a}", {"x{a}"}, {"x"});
  check("[^a-c\\d][\\]x-]", {"d]", "z-", "\xC3\xBCx"}, {"a]", "1]"});
  check("[[:alpha:]_]+@\\w+\\.(com|org)", {"a_b@c1.org"}, {"@c.org", "a@c_org"});
  check("^a$", {"a"}, {"ba"});
  check("a.b",
        {"axb",
         "a\xC3\xA4"
         "b"},
        {"a\nb", "ab"});
  check("\\bfoo\\b.*\\Bx", {"foo xx"}, {"foo x", "foox"});
  check("(?i)str[a-b]sse\\x21", {"STRASSE!", "strbsse!"}, {"strcsse!"});
  check("(?:a*)*b", {"aaab"}, {"aaa"});
  check("(a?){3}", {"", "aaa"}, {"aaaa"});
  for (const char* wrong : {"(", ")", "[a", "*", "a**b(", "[z-a]", "\\", "a{3,2}", "[[:no:]]", "\\xZZ"})
    EXPECT_THROW(Regex{wrong}, Error) << wrong;
  for (const char* other : {"(?=a)", "a++", "\\1", "\\p{L}", "((a{1000}){1000}){1000}", "a{1001}"}) {
    try {
      Regex regex(other);
      ADD_FAILURE() << other;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported) << e.what();
    }
  }
  EXPECT_THROW(Regex(std::string(100'000, '(')), Error);
  EXPECT_THROW(Regex(std::string(1'000, '(')), Error);
  EXPECT_THROW(Regex("a" + std::string(10'000, '*')), Error);
  // Exponential in others.
  check("(a+)+$", {std::string(3000, 'a')}, {std::string(3000, 'a') + "b"});
  check("(a|aa)+", {}, {std::string(3000, 'a') + "b"});
}

TEST(OnnxStrings, CodePoints) {
  const std::string text = "a\xC3\x84\xD0\x96\xCE\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xFF\xC3";
  EXPECT_EQ(utf8_of(code_points(text)), text);
  EXPECT_EQ(code_points("\xE2\x82").size(), 2U);
  EXPECT_EQ(code_points("\xC0\x80").size(), 2U) << "overlong";
  for (uint32_t p = 0; p < 0x2000; ++p) {
    if (upper_of(p) != p && p != 0x3C2) {
      EXPECT_EQ(lower_of(upper_of(p)), p) << p;
    }
    if (lower_of(p) != p) {
      EXPECT_EQ(upper_of(lower_of(p)), p) << p;
    }
  }
}

std::vector<Datum> run(const ModelOf& m, const std::vector<Datum>& inputs) {
  ExecutionContext context(make_thread_team(1, TeamKind::caller));
  return m.parse().run(context, inputs);
}

TEST(OnnxStrings, MoveAsNumbersDo) {
  ModelOf m;
  auto g = m.graph().input("s", kStringElements).input("i", 7).input("c", 9);
  g.node("Gather", {"s", "i"}, {"picked"});
  set(g.node("Concat", {"picked", "s"}, {"all"}), "axis", int64_t{0});
  g.node("Where", {"c", "s", "picked"}, {"chosen"});
  g.node("Equal", {"s", "picked"}, {"same"});
  g.node("Shape", {"all"}, {"shape"});
  g.output("all").output("chosen").output("same").output("shape");
  const auto results =
      run(m, {Strings{{2}, {"b", "a"}}, Tensor::from<int64_t>({1, 1}, {2}), Tensor::from<bool>({true, false}, {2})});
  EXPECT_EQ(*results[0].strings(), (Strings{{4}, {"a", "a", "b", "a"}}));
  EXPECT_EQ(*results[1].strings(), (Strings{{2}, {"b", "a"}}));
  EXPECT_TRUE(results[2].tensor()->identical(Tensor::from<bool>({false, true}, {2})));
  EXPECT_TRUE(results[3].tensor()->identical(Tensor::from<int64_t>({4}, {1})));
}

TEST(OnnxStrings, CastBothWays) {
  const auto cast = [](const Datum& from, int32_t element, int64_t to) {
    ModelOf m;
    auto g = m.graph().input("x", element);
    set(g.node("Cast", {"x"}, {"y"}), "to", to);
    g.output("y");
    return run(m, {from})[0];
  };
  const Strings texts{{4}, {"1.5", "-INF", " nan", "+1e-7"}};
  const Datum numbers = cast(texts, kStringElements, 1);
  EXPECT_EQ(numbers.tensor()->as<float>()[0], 1.5F);
  EXPECT_EQ(numbers.tensor()->as<float>()[3], 1e-7F);
  EXPECT_EQ(*cast(numbers, 1, kStringElements).strings(), (Strings{{4}, {"1.5", "-INF", "NaN", "1e-07"}}));
  const Strings large{{1}, {"9223372036854775807"}};
  EXPECT_EQ(*cast(cast(large, kStringElements, 7), 7, kStringElements).strings(), large);
  for (const char* wrong : {"", "x", "1.5", "9223372036854775808", "1 "})
    EXPECT_THROW(cast(Strings{{1}, {wrong}}, kStringElements, 7), Error) << wrong;
  EXPECT_THROW(cast(Strings{{1}, {"0x1"}}, kStringElements, 1), Error);
}

TEST(OnnxStrings, HostileFeatures) {
  const auto vectorizer = [](const std::vector<int64_t>& begins, const std::vector<int64_t>& places) {
    ModelOf m;
    auto g = m.graph().input("x", 7);
    auto& node = g.node("TfIdfVectorizer", {"x"}, {"y"});
    set(node, "mode", std::string("TF"));
    set(node, "min_gram_length", int64_t{1});
    set(node, "max_gram_length", INT64_MAX);
    set(node, "max_skip_count", INT64_MAX);
    set(node, "pool_int64s", std::vector<int64_t>{1, 1, 2});
    set(node, "ngram_counts", begins);
    set(node, "ngram_indexes", places);
    g.output("y");
    return run(m, {Tensor::from<int64_t>({1, 2, 1}, {3})})[0];
  };
  const Datum y = vectorizer({0, 1}, {1, 0});  // "1", then "1 2"
  EXPECT_TRUE(y.tensor()->identical(Tensor::from<float>({1, 2}, {2})));
  EXPECT_THROW(vectorizer({0, 2}, {0, 1}), Error);
  EXPECT_THROW(vectorizer({0, 5}, {0, 1}), Error);
  EXPECT_THROW(vectorizer({-1, 1}, {0, 1}), Error);
  EXPECT_THROW(vectorizer({0, 1}, {0, -1}), Error);
  EXPECT_THROW(vectorizer({0, 1}, {0, INT64_MAX}), Error);
  EXPECT_THROW(vectorizer({0, 1}, {0}), Error);
}

TEST(OnnxSequences, HostilePositionsAndParts) {
  const auto at = [](const std::string& op, int64_t position) {
    ModelOf m(17);
    auto g = m.graph().input("x").input("i", 7);
    g.node("SequenceConstruct", {"x", "x"}, {"s"});
    g.node(op, op == "SequenceInsert" ? std::vector<std::string>{"s", "x", "i"} : std::vector<std::string>{"s", "i"},
           {"y"});
    g.node("SequenceLength", {"s"}, {"n"});
    g.output("n");
    return run(m, {Tensor(DType::f32, {1}), Tensor::scalar(position)})[0];
  };
  for (const char* op : {"SequenceAt", "SequenceErase", "SequenceInsert"}) {
    const int64_t last = op == std::string("SequenceInsert") ? 2 : 1;
    for (int64_t i : {int64_t{-2}, last}) EXPECT_NO_THROW(at(op, i)) << op << i;
    for (int64_t i : {INT64_MIN, int64_t{-3}, last + 1, INT64_MAX}) EXPECT_THROW(at(op, i), Error) << op << i;
  }
  const auto split = [](const Tensor& parts) {
    ModelOf m;
    auto g = m.graph().input("x").input("p", 7);
    g.node("SplitToSequence", {"x", "p"}, {"s"});
    set(g.node("ConcatFromSequence", {"s"}, {"y"}), "axis", int64_t{-1});
    g.output("y");
    return run(m, {Tensor::from<float>({1, 2, 3}, {3}), parts})[0];
  };
  for (const Tensor& good :
       {Tensor::scalar<int64_t>(2), Tensor::scalar<int64_t>(INT64_MAX), Tensor::from<int64_t>({0, 3, 0}, {3})})
    EXPECT_EQ(split(good).tensor()->extents(), Extents{3});
  for (const Tensor& wrong :
       {Tensor::scalar<int64_t>(0), Tensor::from<int64_t>({2}, {1}), Tensor::from<int64_t>({4}, {1}),
        Tensor::from<int64_t>({-1, 4}, {2}), Tensor::from<int64_t>({INT64_MAX, INT64_MAX, 5}, {3})})
    EXPECT_THROW(split(wrong), Error);
}

}  // namespace
}  // namespace gregale::onnx
