// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

std::string argument_message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Linear, MultipliesTheLastAxisWhateverTheRank) {
  for (const Shape& shape : {Shape{2}, Shape{3, 2}, Shape{2, 3, 2}, Shape{Dim::symbol("n"), 3, 2}}) {
    Graph g;
    const Value x = g.add_input("x", Type(DType::f32, shape));
    Scope scope(g);
    const Value y = linear(scope, "l", x, 3);
    g.set_outputs({y});
    Shape expected = shape;
    expected[shape.rank() - 1] = Dim(3);
    EXPECT_EQ(g.type(y), Type(DType::f32, expected));

    const Graph bound = bind_symbols(g, {{"n", 2}});
    Tensor in(DType::f32, bound.type(bound.inputs()[0]).shape.extents());
    for (size_t i = 0; i < in.as<float>().size(); ++i) in.as<float>()[i] = static_cast<float>(i + 1);
    VariableValues state{{"l/weight", Tensor::from(std::vector<float>{1, 2, 3, 10, 20, 30}, {2, 3})},
                         {"l/bias", Tensor::from(std::vector<float>{0.5f, 0, -1}, {3})}};
    const Tensor out = interpret(bound, {in}, &state)[0];
    const auto row = [&](int64_t r, int64_t c) { return out.as<float>()[static_cast<size_t>(3 * r + c)]; };
    EXPECT_EQ(row(0, 0), 21.5f);
    EXPECT_EQ(row(0, 1), 42.0f);
    EXPECT_EQ(row(0, 2), 62.0f);
    if (out.size() > 3) {
      EXPECT_EQ(row(out.size() / 3 - 1, 1), 2 * static_cast<float>(in.size() - 1) + 20 * static_cast<float>(in.size()));
    }
  }
}

TEST(LayerNorm, StartsAsPlainNormalisation) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {1, 4}));
  Scope scope(g);
  g.set_outputs({layer_norm(scope, "n", x)});
  VariableValues state = scope.initial_values(0);
  const Tensor y = interpret(g, {Tensor::from(std::vector<float>{1, 2, 3, 6}, {1, 4})}, &state)[0];
  const double deviation = std::sqrt(3.5);
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(y.as<float>()[i], (std::vector<double>{1, 2, 3, 6}[i] - 3) / deviation, 1e-5);
  for (const Parameter& p : scope.parameters()) EXPECT_FALSE(p.decay);
}

TEST(Dropout, IsNothingWithoutAKeyOrARate) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {8}));
  const Value key = g.add_input("key", Type(DType::i64, {2}));
  Scope inference(g), training(g, key);
  EXPECT_EQ(dropout(inference, x, 0.5), x);
  EXPECT_EQ(dropout(training, x, 0), x);
  const Value first = dropout(training, x, 0.5), second = dropout(training, x, 0.5);
  EXPECT_NE(first, x);
  g.set_outputs({first, second});
  Tensor ones = Tensor::full(DType::f32, {8}, 1);
  const auto out = interpret(g, {ones, Tensor::from(std::vector<int64_t>{5, 0}, {2})});
  EXPECT_FALSE(out[0].identical(out[1])) << "each use draws for itself";
  EXPECT_THROW(dropout(training, x, 1), Error);
}

TEST(Mlp, ChecksItsOptions) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {8, 2}));
  Scope scope(g);
  EXPECT_EQ(argument_message_of([&] { mlp(scope, "m", x, {.activation = "gelou"}); }),
            "[mlp] activation 'gelou' is none of gelu, relu, silu, tanh");
  EXPECT_NE(argument_message_of([&] { mlp(scope, "m", x, {.width = 0}); }).find("width 0"), std::string::npos);
}

TEST(Mlp, StartsAsHeSays) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {8, 50}));
  Scope scope(g);
  mlp(scope, "m", x, {.width = 200, .depth = 2, .out = 3});
  ASSERT_EQ(scope.parameters().size(), 6u);
  EXPECT_DOUBLE_EQ(scope.parameters()[0].initialiser.scale, std::sqrt(2.0 / 50));
  EXPECT_DOUBLE_EQ(scope.parameters()[2].initialiser.scale, std::sqrt(2.0 / 200));
  EXPECT_DOUBLE_EQ(scope.parameters()[4].initialiser.scale, std::sqrt(1.0 / 200));
  EXPECT_EQ(scope.parameters()[4].name, "m/out/weight");
}

TEST(Afno, ChecksItsOptions) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {1, 2, 8, 12}));
  Scope scope(g);
  EXPECT_EQ(argument_message_of([&] { afno(scope, "n", x, {.width = 60}); }),
            "[afno] width 60 is not a multiple of blocks 8");
  EXPECT_EQ(argument_message_of([&] { afno(scope, "n", x, {.patch = 5}); }),
            "[afno] 8 x 12 points are not a multiple of patch 5");
  const Value y = g.add_input("y", Type(DType::f32, {1, 8, 12, 6}));
  EXPECT_NE(argument_message_of([&] { afno_filter(scope, "f", y, {.blocks = 4}); }).find("width 6 is not a multiple"),
            std::string::npos);
  EXPECT_NE(argument_message_of([&] {
              afno_filter(scope, "f", y, {.blocks = 3, .hidden_factor = 0.7});
            }).find("whole number"),
            std::string::npos);
}

/// A network without layers that maps every patch onto itself: the patches must come back where they were.
TEST(Afno, PutsPatchesBack) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {2, 3, 4, 6}));
  Scope scope(g);
  const AfnoOptions options{.patch = 2, .width = 12, .depth = 0, .blocks = 1, .out = 3};
  g.set_outputs({afno(scope, "n", x, options)});
  VariableValues state = scope.initial_values(0);
  // Embedding keeps (c, p, p); the head wants (p, p, c).
  state["n/embed/weight"] = Tensor(DType::f32, {12, 12});
  state["n/head/weight"] = Tensor(DType::f32, {12, 12});
  state["n/position"] = Tensor(DType::f32, {2, 3, 12});
  for (size_t i = 0; i < 12; ++i) {
    state["n/embed/weight"].as<float>()[13 * i] = 1;
    state["n/head/weight"].as<float>()[12 * i + (i % 4) * 3 + i / 4] = 1;
  }
  Tensor in(DType::f32, {2, 3, 4, 6});
  for (size_t i = 0; i < 144; ++i) in.as<float>()[i] = static_cast<float>(i);
  EXPECT_TRUE(interpret(g, {in}, &state)[0].identical(in));
}

TEST(Afno, TakesASymbolicBatchAndMayStartAtZero) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {Dim::symbol("b", 64), 2, 4, 6}));
  Scope scope(g);
  AfnoOptions options{.patch = 2, .width = 8, .depth = 1, .blocks = 2, .out = 2};
  options.zero_head = true;
  const Value y = afno(scope, "n", x, options);
  g.set_outputs({y});
  EXPECT_EQ(g.type(y), g.type(x));
  VariableValues state = scope.initial_values(0);
  const Tensor out = interpret(bind_symbols(g, {{"b", 3}}), {Tensor::full(DType::f32, {3, 2, 4, 6}, 1)}, &state)[0];
  for (float v : out.as<float>()) EXPECT_EQ(v, 0);
}

TEST(BertLayer, HasTheSizeOfTheBaseModel) {
  Graph g;
  const Type type(DType::f32, {2, 5, 768});
  const Value x = g.add_input("x", type);
  Scope scope(g);
  const Value y = bert_layer(scope, "l", x, {});
  EXPECT_EQ(g.type(y), type);
  EXPECT_EQ(scope.parameter_count(), 7087872);  // of 12 layers of the published model, each
}

TEST(BertLayer, ChecksItsOptions) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {2, 5, 8}));
  Scope scope(g);
  EXPECT_EQ(argument_message_of([&] { bert_layer(scope, "l", x, {}); }),
            "[bert_layer] width 8 is not a multiple of heads 12");
  EXPECT_EQ(argument_message_of([&] { bert_layer(scope, "l", x, {.heads = 0}); }),
            "[bert_layer] heads 0 must be positive");
  EXPECT_EQ(argument_message_of([&] { bert_layer(scope, "l", x, {.heads = 2, .hidden = 0}); }),
            "[bert_layer] hidden 0 must be positive");
  EXPECT_THROW(bert_layer(scope, "l", g.add_input("y", Type(DType::f32, {5, 8})), {.heads = 2}), Error);
}

TEST(Resnet, HasTheSizeOfThePublishedModel) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {Dim::symbol("b"), 3, 224, 224}));
  Scope scope(g);
  const Value y = resnet(scope, "r", x, {});
  g.set_outputs({y});
  EXPECT_EQ(g.type(y), Type(DType::f32, {Dim::symbol("b"), 1000}));
  // 25 557 032 with the scales and shifts of 53 normalisations, 26 560 channels in all; folded, a bias for the two.
  EXPECT_EQ(scope.parameter_count(), 25557032 - 26560);
  std::vector<int64_t> rows;  // 7x7 before the mean
  for (const Node& node : g.nodes())
    if (node.op->name == "conv2d" || node.op->name == "max_pool2d")
      rows.push_back(g.type(node.outputs[0]).shape[2].value());
  EXPECT_EQ(rows.size(), 54u);
  EXPECT_EQ(rows.front(), 112);
  EXPECT_EQ(rows[1], 56);
  EXPECT_EQ(rows.back(), 7);
}

TEST(Resnet, ChecksItsOptions) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {2, 3, 32, 32}));
  Scope scope(g);
  EXPECT_EQ(argument_message_of([&] { resnet(scope, "r", x, {.depth = 18}); }),
            "[resnet] depth 18 is none of 50, 101, 152");
  EXPECT_NE(argument_message_of([&] { resnet(scope, "r", x, {.width = 0}); }).find("width 0"), std::string::npos);
  EXPECT_THROW(resnet(scope, "r", g.add_input("y", Type(DType::f32, {2, 3, 32})), {}), Error);
}

}  // namespace
}  // namespace gregale::nn
