// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Products of dequantised operands: of their integers, times their scales.
#include <gtest/gtest.h>

#include <cmath>

#include "gregale/onnx.hpp"
#include "onnx/model_for_tests.hpp"

namespace gregale::onnx {
namespace {

/// A model whose input x is quantised and made real again in front of the operator, as its weights are.
class Dequantised {
 public:
  Dequantised(const std::string& op, const Tensor& weights, const Tensor& scale, const Tensor& zero, int64_t axis,
              const std::function<void(format::Node&)>& attributes) {
    test::GraphOf g = model_.graph();
    g.input("x").output("y");
    g.initializer("w", weights).initializer("ws", scale).initializer("wz", zero);
    g.initializer("xs", Tensor::scalar(0.02f)).initializer("xz", Tensor::scalar<uint8_t>(131));
    g.initializer("bias", Tensor::from<float>({0.5f, -0.25f, 2}, {3}));
    g.node("QuantizeLinear", {"x", "xs", "xz"}, {"q"});
    g.node("DequantizeLinear", {"q", "xs", "xz"}, {"xr"});
    test::set(g.node("DequantizeLinear", {"w", "ws", "wz"}, {"wr"}), "axis", axis);
    std::vector<std::string> operands{"xr", "wr"};
    if (op != "MatMul") operands.emplace_back("bias");
    attributes(g.node(op, operands, {"y"}));
  }
  Tensor run(const Tensor& x) const {
    ExecutionContext context(make_thread_team(1));
    return model_.parse().run(context, std::vector<Tensor>{x})[0];
  }

 private:
  test::ModelOf model_;
};

Tensor bytes(const Extents& extents) {
  Tensor t(DType::i8, extents);
  for (int64_t i = 0; i < t.size(); ++i)
    t.as<int8_t>()[static_cast<size_t>(i)] = static_cast<int8_t>(37 * i % 251 - 125);
  return t;
}
Tensor wave(const Extents& extents) {
  Tensor t(DType::f32, extents);
  for (int64_t i = 0; i < t.size(); ++i)
    t.as<float>()[static_cast<size_t>(i)] = static_cast<float>(3 * std::sin(0.7 * static_cast<double>(i)));
  return t;
}
/// What x is once it was quantised.
double rounded(float x) { return 0.02f * (std::clamp(std::nearbyint(x / 0.02f) + 131, 0.0f, 255.0f) - 131); }

const Tensor kScales = Tensor::from<float>({0.01f, 0.03f, 0.002f}, {3}), kZeros = Tensor::from<int8_t>({0, -3, 5}, {3});

TEST(OnnxQuantized, ConvolutionWithAScaleForEachChannel) {
  const Tensor w = bytes({3, 2, 3, 3}), x = wave({1, 2, 5, 6});
  const Dequantised model("Conv", w, kScales, kZeros, 0, [](format::Node& n) {
    test::set(n, "pads", std::vector<int64_t>{1, 1, 1, 1});
  });
  const Tensor y = model.run(x);
  ASSERT_EQ(y.extents(), (Extents{1, 3, 5, 6}));
  const double bias[] = {0.5, -0.25, 2};
  for (int64_t k = 0; k < 3; ++k)
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t j = 0; j < 6; ++j) {
        double sum = bias[k];
        for (int64_t c = 0; c < 2; ++c)
          for (int64_t r = 0; r < 3; ++r)
            for (int64_t s = 0; s < 3; ++s) {
              const int64_t row = i + r - 1, column = j + s - 1;
              if (row < 0 || row >= 5 || column < 0 || column >= 6) continue;
              const auto at = static_cast<size_t>(((k * 2 + c) * 3 + r) * 3 + s);
              sum += (w.as<int8_t>()[at] - kZeros.as<int8_t>()[static_cast<size_t>(k)]) *
                     double{kScales.as<float>()[static_cast<size_t>(k)]} *
                     rounded(x.as<float>()[static_cast<size_t>((c * 5 + row) * 6 + column)]);
            }
        EXPECT_NEAR(y.as<float>()[static_cast<size_t>((k * 5 + i) * 6 + j)], sum, 1e-4);
      }
}

TEST(OnnxQuantized, ProductsOfMatrices) {
  const Tensor x = wave({4, 7});
  const auto check = [&](const Tensor& y, const Tensor& w, bool transposed, bool biased, bool per_column) {
    ASSERT_EQ(y.extents(), (Extents{4, 3}));
    const double bias[] = {0.5, -0.25, 2};
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 3; ++j) {
        double sum = biased ? bias[j] : 0;
        const auto column = static_cast<size_t>(per_column ? j : 0);
        for (int64_t k = 0; k < 7; ++k)
          sum +=
              (w.as<int8_t>()[static_cast<size_t>(transposed ? j * 7 + k : k * 3 + j)] - kZeros.as<int8_t>()[column]) *
              double{kScales.as<float>()[column]} * rounded(x.as<float>()[static_cast<size_t>(i * 7 + k)]);
        EXPECT_NEAR(y.as<float>()[static_cast<size_t>(i * 3 + j)], sum, 1e-4);
      }
  };
  const auto none = [](format::Node&) {};
  const auto transposed_b = [](format::Node& n) { test::set(n, "transB", int64_t{1}); };
  const Tensor tall = bytes({7, 3}), wide = bytes({3, 7});
  const Tensor one_scale = Tensor::scalar(0.01f), one_zero = Tensor::scalar<int8_t>(0);
  check(Dequantised("MatMul", tall, kScales, kZeros, 1, none).run(x), tall, false, false, true);
  check(Dequantised("MatMul", tall, one_scale, one_zero, 1, none).run(x), tall, false, false, false);
  check(Dequantised("Gemm", wide, kScales, kZeros, 0, transposed_b).run(x), wide, true, true, true);
  check(Dequantised("Gemm", tall, kScales, kZeros, 1, none).run(x), tall, false, true, true);
}

/// A scale for each place along the sum cannot wait until the sum is made.
TEST(OnnxQuantized, ScalesAlongTheSum) {
  const Tensor w = bytes({3, 3}), x = wave({4, 3});
  const Tensor y = Dequantised("MatMul", w, kScales, kZeros, 0, [](format::Node&) {}).run(x);
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 3; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < 3; ++k)
        sum += (w.as<int8_t>()[static_cast<size_t>(k * 3 + j)] - kZeros.as<int8_t>()[static_cast<size_t>(k)]) *
               double{kScales.as<float>()[static_cast<size_t>(k)]} *
               rounded(x.as<float>()[static_cast<size_t>(i * 3 + k)]);
      EXPECT_NEAR(y.as<float>()[static_cast<size_t>(i * 3 + j)], sum, 1e-4);
    }
}

}  // namespace
}  // namespace gregale::onnx
