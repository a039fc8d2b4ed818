// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// What the conformance suites do not reach of the elementwise, reduction, quantisation and random families: early
// operator sets, attributes that are wrong, sums too long for f32.
#include <gtest/gtest.h>

#include <cmath>

#include "onnx/node_model_for_tests.hpp"

namespace gregale::onnx {
namespace {

using testing::NodeModel;

std::vector<float> floats(const Tensor& t) {
  const auto all = t.as<float>();
  return {all.begin(), all.end()};
}

void expect_refused(const NodeModel& model, const std::vector<Tensor>& inputs, ErrorCode code,
                    const std::string& word) {
  try {
    model.run(inputs);
    ADD_FAILURE() << model.op << " was accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
  }
}

TEST(OnnxElementwise, EarlyBroadcastingBeginsAtAnAxis) {
  const Tensor a = Tensor::from<float>({0, 0, 0, 0, 0, 0, 0, 0}, {2, 2, 2}), b = Tensor::from<float>({1, 2}, {2});
  const NodeModel add{"Add", 6, {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}}};
  EXPECT_EQ(floats(add.run({a, b})[0]), (std::vector<float>{1, 1, 2, 2, 1, 1, 2, 2}));
  const NodeModel wrong{"Add", 6, {{"broadcast", int64_t{1}}, {"axis", int64_t{3}}}};
  expect_refused(wrong, {a, b}, ErrorCode::corrupt_data, "axis 3");
}

TEST(OnnxElementwise, EarlySoftmaxIsOverAllAxesFromOneOn) {
  const Tensor x = Tensor::full(DType::f32, {2, 2, 3}, 1);
  EXPECT_FLOAT_EQ(floats(NodeModel{"Softmax", 11}.run({x})[0])[0], 1.0f / 6);
  EXPECT_FLOAT_EQ(floats(NodeModel{"Softmax", 13}.run({x})[0])[0], 1.0f / 3);
  EXPECT_FLOAT_EQ(floats(NodeModel{"Hardmax", 11}.run({x})[0])[3], 0);
}

TEST(OnnxElementwise, IntegersDivideAndWrap) {
  const Tensor a = Tensor::from<int32_t>({7, -7, 5, INT32_MIN}, {4}), b = Tensor::from<int32_t>({2, 2, 0, -1}, {4});
  for (const bool optimize : {false, true}) {
    const Tensor q = NodeModel{"Div", 14}.run({a, b}, optimize)[0];
    EXPECT_TRUE(q.identical(Tensor::from<int32_t>({3, -3, 0, INT32_MIN}, {4})));
    const Tensor r = NodeModel{"Mod", 13}.run({a, b}, optimize)[0];
    EXPECT_TRUE(r.identical(Tensor::from<int32_t>({1, 1, 0, 0}, {4})));
  }
  const Tensor big = Tensor::from<uint64_t>({UINT64_MAX, 10}, {2}), three = Tensor::from<uint64_t>({3, 3}, {2});
  EXPECT_TRUE(NodeModel({"Div", 14}).run({big, three})[0].identical(Tensor::from<uint64_t>({UINT64_MAX / 3, 3}, {2})));
}

TEST(OnnxElementwise, ActivationsKeepTheirDigitsInTheTails) {
  const std::vector<float> xs{-30, -12, -1, 0, 1, 12, 30};
  const Tensor x = Tensor::from(xs, {7});
  const std::vector<float> softplus = floats(NodeModel{"Softplus", 1}.run({x})[0]);
  const std::vector<float> mish = floats(NodeModel{"Mish", 18}.run({x})[0]);
  for (size_t i = 0; i < xs.size(); ++i) {
    const double v = xs[i], s = std::fmax(v, 0) + std::log1p(std::exp(-std::abs(v)));
    EXPECT_NEAR(softplus[i], s, 1e-6 * s) << v;
    EXPECT_NEAR(mish[i], v * std::tanh(s), 1e-6 * std::abs(v * std::tanh(s))) << v;
  }
}

TEST(OnnxReduction, OfNothing) {
  const Tensor x(DType::f32, {2, 0, 3}), axes = Tensor::from<int64_t>({1}, {1});
  EXPECT_EQ(floats(NodeModel{"ReduceMax", 20, {{"keepdims", int64_t{0}}}}.run({x, axes})[0]),
            std::vector<float>(6, -INFINITY));
  EXPECT_EQ(floats(NodeModel{"ReduceProd", 18}.run({x, axes})[0]), std::vector<float>(6, 1));
  const Tensor integers(DType::i32, {0});
  EXPECT_EQ(NodeModel({"ReduceMin", 20}).run({integers})[0].as<int32_t>()[0], INT32_MAX);
  expect_refused({"ReduceSum", 11, {{"axes", std::vector<int64_t>{3}}}}, {x}, ErrorCode::corrupt_data, "axis 3");
  expect_refused({"ReduceSum", 11, {{"axes", std::vector<int64_t>{1, -2}}}}, {x}, ErrorCode::corrupt_data, "twice");
  expect_refused({"ArgMax", 13, {{"axis", int64_t{-4}}}}, {x}, ErrorCode::corrupt_data, "axis -4");
}

TEST(OnnxReduction, LogSumExpOfInfinities) {
  const Tensor x = Tensor::from<float>({-INFINITY, -INFINITY, 1000, INFINITY}, {2, 2});
  const NodeModel model{"ReduceLogSumExp", 13, {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}}};
  EXPECT_EQ(floats(model.run({x})[0]), (std::vector<float>{-INFINITY, INFINITY}));
}

TEST(OnnxQuantization, LongSumsOfProductsAreExact) {
  // 255 * 255 * 4001 needs 28 bits; the odd end must not be rounded away.
  const int64_t k = 4001;
  Tensor a(DType::u8, {1, k}), b(DType::u8, {k, 2});
  int64_t sums[2] = {0, 0};
  for (int64_t i = 0; i < k; ++i) {
    a.as<uint8_t>()[static_cast<size_t>(i)] = static_cast<uint8_t>(255 - i % 2);
    for (int64_t j = 0; j < 2; ++j) {
      b.as<uint8_t>()[static_cast<size_t>(2 * i + j)] = static_cast<uint8_t>(255 - i % (3 + j));
      sums[j] += (255 - i % 2) * (255 - i % (3 + j));
    }
  }
  const Tensor y = NodeModel{"MatMulInteger", 10}.run({a, b})[0];
  ASSERT_EQ(y.dtype(), DType::i32);
  EXPECT_EQ(y.as<int32_t>()[0], sums[0]);
  EXPECT_EQ(y.as<int32_t>()[1], sums[1]);

  const Tensor x = a.reshaped({1, k, 1}), w = b.reshaped({2, k, 1});
  int64_t expected = 0;
  for (int64_t i = 0; i < k; ++i)
    expected += int64_t{a.as<uint8_t>()[static_cast<size_t>(i)]} * w.as<uint8_t>()[static_cast<size_t>(i)];
  EXPECT_EQ(NodeModel({"ConvInteger", 10}).run({x, w})[0].as<int32_t>()[0], expected);
}

TEST(OnnxQuantization, BlocksMustFit) {
  const Tensor x(DType::f32, {2, 5}), scale = Tensor::full(DType::f32, {2, 3}, 1);
  EXPECT_NO_THROW((NodeModel{"QuantizeLinear", 21, {{"block_size", int64_t{2}}}}.run({x, scale})));
  expect_refused({"QuantizeLinear", 21, {{"block_size", int64_t{4}}}}, {x, scale}, ErrorCode::corrupt_data, "blocks");
  expect_refused({"QuantizeLinear", 21, {{"block_size", INT64_MAX}}}, {x, scale}, ErrorCode::corrupt_data, "blocks");
  expect_refused({"QuantizeLinear", 21, {{"axis", int64_t{2}}}}, {x, scale}, ErrorCode::corrupt_data, "axis 2");
}

TEST(OnnxRandom, DrawsFollowTheSeed) {
  const std::vector<int64_t> shape{64};
  const NodeModel model{"RandomUniform", 1, {{"shape", shape}, {"seed", 7.0f}, {"low", 2.0f}, {"high", 3.0f}}};
  const std::vector<float> first = floats(model.run({})[0]);
  EXPECT_EQ(first, floats(model.run({})[0]));
  for (float v : first) EXPECT_TRUE(v >= 2 && v < 3) << v;
  const NodeModel other{"RandomUniform", 1, {{"shape", shape}, {"seed", 8.0f}}};
  EXPECT_NE(first, floats(other.run({})[0]));
}

TEST(OnnxRandom, MultinomialDrawsWhatIsLikely) {
  const Tensor x = Tensor::from<float>({-100, 0, -100}, {1, 3});
  const Tensor y = NodeModel{"Multinomial", 7, {{"sample_size", int64_t{20}}}}.run({x})[0];
  ASSERT_EQ(y.type(), Type(DType::i32, {1, 20}));
  for (int32_t v : y.as<int32_t>()) EXPECT_EQ(v, 1);
}

}  // namespace
}  // namespace gregale::onnx
