// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Products of whole numbers, as quantised networks have them, in bf16: which are, and that no bit of them changes.
#include "passes/compiled_case_for_tests.hpp"

namespace gregale::passes {
namespace {

/// Whole numbers in [low, high].
Tensor whole(DType dtype, const Extents& extents, int64_t low, int64_t high, uint32_t stream) {
  Tensor t(DType::i64, extents);
  for (uint64_t i = 0; int64_t & x : t.as<int64_t>())
    x = low + static_cast<int64_t>(random_below({3, 4, stream}, i++, static_cast<uint64_t>(high - low + 1)));
  return t.cast(dtype);
}

int products_in_bf16(const Graph& graph) {
  int count = 0;
  for (const Node& n : graph.nodes())
    if ((n.op->name == "matmul" || n.op->name == "conv2d_nhwc") && graph.type(n.inputs[0]).dtype == DType::bf16)
      ++count;
  return count;
}

/// round(x) + zero in [0, 255], less zero: what a quantised activation is.
Value activation(Graph& g, Value x, Value zero) {
  const Value q = ops::add(g, ops::round(g, x), zero);
  const Value cut = ops::minimum(g, ops::relu(g, q), ops::scalar(g, DType::f32, 255));
  return ops::sub(g, ops::cast(g, ops::cast(g, cut, DType::u8, true), DType::f32), zero);
}

TEST(NarrowIntegers, TakesProductsOfBytes) {
  Case c("bytes");
  Graph& g = c.graph;
  const Value x = ops::mul(g, c.input({16, 32}), 90.0), zero = ops::scalar(g, DType::f32, 7);
  const Value a = ops::reshape(g, activation(g, x, zero), Shape{4, 4, 32});
  const Value w = g.constant(whole(DType::f32, {32, 24}, -127, 127, 1));
  const Value image = ops::pad(g, ops::reshape(g, a, Shape{1, 4, 4, 32}), {0, 1, 1, 0}, {0, 1, 1, 0});
  const Value taps = g.constant(whole(DType::f32, {3, 3, 32, 16}, -128, 255, 2));
  g.set_outputs({ops::matmul(g, a, w), ops::conv2d_nhwc(g, image, taps, {})});
  const Graph narrow = narrow_integers(g);
  EXPECT_EQ(products_in_bf16(narrow), 2) << print(narrow);
  const std::vector<Tensor> expected = interpret(g, c.inputs), got = interpret(narrow, c.inputs);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].identical(expected[i])) << "result " << i;
  // All of it, on whatever this machine has: sums below 2^24 are exact.
  ExecutionContext context(make_thread_team(2));
  const std::vector<Tensor> run = compile(g, CompileOptions{}).run(context, c.inputs);
  for (size_t i = 0; i < run.size(); ++i) EXPECT_TRUE(run[i].identical(expected[i])) << "result " << i;
}

TEST(NarrowIntegers, LeavesWhatBf16DoesNotHold) {
  const auto count = [](const std::function<Value(Case&, Value)>& left, const Tensor& right) {
    Case c("product");
    const Value a = left(c, c.input({8, 16}));
    c.graph.set_outputs({ops::matmul(c.graph, a, c.graph.constant(right))});
    return products_in_bf16(narrow_integers(c.graph));
  };
  const Tensor bytes = whole(DType::f32, {16, 8}, -127, 127, 3);
  const auto clamped = [](double most) {
    return [most](Case& c, Value x) {
      Graph& g = c.graph;
      const Value q = ops::round(g, ops::mul(g, x, 400.0));
      return ops::minimum(g, ops::maximum(g, q, ops::scalar(g, DType::f32, -most)), ops::scalar(g, DType::f32, most));
    };
  };
  EXPECT_EQ(count(clamped(256), bytes), 1);
  EXPECT_EQ(count(clamped(257), bytes), 0);
  EXPECT_EQ(count([](Case& c, Value x) { return ops::round(c.graph, x); }, bytes), 0) << "they may be any size";
  EXPECT_EQ(count([](Case&, Value x) { return x; }, bytes), 0);
  Tensor off = bytes.clone();
  off.as<float>()[5] = 0.5f;
  EXPECT_EQ(count(clamped(255), off), 0);
  off.as<float>()[5] = 300;
  EXPECT_EQ(count(clamped(255), off), 0);
}

}  // namespace
}  // namespace gregale::passes
