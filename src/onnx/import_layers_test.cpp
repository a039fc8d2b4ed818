// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <format.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "gregale/error.hpp"
#include "gregale/onnx.hpp"
#include "onnx/model_for_tests.hpp"
#include "onnx/tensor_data.hpp"

// Normalisations and recurrent layers, where the format's own tests do not reach.
namespace gregale::onnx {
namespace {

using test::attribute;
using test::set;
using Named = std::vector<std::pair<std::string, Tensor>>;
using Attribute = std::function<void(format::Node&)>;

/// What a model of one node gives, the first input being the model's and the others constants; those without a name
/// are absent.
std::vector<Tensor> run_named(const std::string& op, int64_t opset, const Named& inputs, int outputs,
                              const Attribute& attributes, const std::string& domain) {
  format::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  if (!domain.empty()) {
    model.add_opset_import()->set_domain(domain);
    model.mutable_opset_import(1)->set_version(1);
  }
  auto& graph = *model.mutable_graph();
  auto& node = *graph.add_node();
  node.set_op_type(op);
  node.set_domain(domain);
  for (const auto& [name, value] : inputs) {
    node.add_input(name);
    if (&value == &inputs[0].second) {
      graph.add_input()->set_name(name);
      graph.mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(element_type(value.dtype()));
    } else if (!name.empty()) {
      write_tensor(value, graph.add_initializer());
      graph.mutable_initializer(graph.initializer_size() - 1)->set_name(name);
    }
  }
  for (int i = 0; i < outputs; ++i) {
    node.add_output("y" + std::to_string(i));
    auto& output = *graph.add_output();
    output.set_name(node.output(i));
    output.mutable_type()->mutable_tensor_type()->set_elem_type(1);
  }
  attributes(node);
  ExecutionContext context;
  return Model::parse(model.SerializeAsString()).run(context, std::vector<Tensor>{inputs[0].second});
}

Tensor f32(const std::vector<float>& values, Extents extents) { return Tensor::from(values, std::move(extents)); }

std::vector<Tensor> run_layer(const std::string& op, int64_t opset, const std::vector<Tensor>& inputs, int outputs,
                              const Attribute& attributes, const std::string& domain = "") {
  Named named;
  for (const Tensor& t : inputs) named.emplace_back("x" + std::to_string(named.size()), t);
  return run_named(op, opset, named, outputs, attributes, domain);
}

void expect_near(const Tensor& got, const std::vector<float>& expected, float tolerance = 1e-5f) {
  ASSERT_EQ(got.size(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(got.as<float>()[i], expected[i], tolerance) << i;
}

// x of two examples, two channels and two elements; statistics of each element where an old model says so.
const std::vector<float> kX{1, 2, 3, 4, 5, 6, 7, 8};

TEST(OnnxNormalization, BatchNormalizationOfEachElement) {
  const Tensor scale = f32({1, 2, 3, 4}, {2, 2}), zero = f32({0, 0, 0, 0}, {2, 2}), one = f32({1, 1, 1, 1}, {2, 2});
  const auto y = run_layer("BatchNormalization", 7, {f32(kX, {2, 2, 2}), scale, zero, zero, one}, 1,
                           [](format::Node& n) { set(n, "spatial", int64_t{0}); });
  expect_near(y[0], {1, 4, 9, 16, 5, 12, 21, 32}, 1e-3f);
}

TEST(OnnxNormalization, OldBatchNormalizationTrainsWhereItsOutputsSaySo) {
  const Tensor one = f32({1, 1}, {2}), zero = f32({0, 0}, {2});
  const auto none = [](format::Node&) {};
  const auto trained = run_layer("BatchNormalization", 9, {f32(kX, {2, 2, 2}), one, zero, zero, one}, 5, none);
  expect_near(trained[1], {0.1f * 3.5f, 0.1f * 5.5f});
  expect_near(trained[2], {0.9f + 0.1f * 4.25f, 0.9f + 0.1f * 4.25f});
  expect_near(trained[3], {3.5f, 5.5f});
  expect_near(trained[4], {4.25f, 4.25f});
  const auto tested = run_layer("BatchNormalization", 6, {f32(kX, {2, 2, 2}), one, zero, zero, one}, 1,
                                [](format::Node& n) { set(n, "is_test", int64_t{1}); });
  expect_near(tested[0], kX, 1e-3f);
}

TEST(OnnxNormalization, ScaleMayVaryAlongOtherAxes) {
  const Tensor scale = f32({1, 2}, {2, 1});
  const auto y = run_layer("LayerNormalization", 17, {f32({1, 3, 2, 6}, {2, 2}), scale}, 3, [](format::Node&) {});
  expect_near(y[0], {-1, 1, -2, 2}, 1e-3f);
  expect_near(y[1], {2, 4});
  expect_near(y[2], {1, 0.5f}, 1e-3f);
}

TEST(OnnxNormalization, GroupsHadNumbersOfTheirOwn) {
  const auto y = run_layer("GroupNormalization", 18, {f32({1, 3, 2, 6}, {1, 4, 1}), f32({1, 2}, {2}), f32({0, 1}, {2})},
                           1, [](format::Node& n) { set(n, "num_groups", int64_t{2}); });
  expect_near(y[0], {-1, 1, -1, 3}, 1e-3f);
}

TEST(OnnxNormalization, WindowsOfChannels) {
  for (const int64_t size : {1, 2, 3, 4, 7, 1000}) {
    const std::vector<float> x{1, -2, 3, 0.5f, 4};
    const auto y = run_layer("LRN", 13, {f32(x, {1, 5})}, 1, [&](format::Node& n) {
      set(n, "size", size);
      attribute(n, "alpha", 1).set_f(0.5f);
    });
    std::vector<float> expected;
    for (int64_t c = 0; c < 5; ++c) {
      double sum = 0;
      for (int64_t k = std::max<int64_t>(0, c - (size - 1) / 2); k <= std::min<int64_t>(4, c + size / 2); ++k)
        sum += x[static_cast<size_t>(k)] * x[static_cast<size_t>(k)];
      expected.push_back(
          static_cast<float>(x[static_cast<size_t>(c)] / std::pow(1 + 0.5 / static_cast<double>(size) * sum, 0.75)));
    }
    expect_near(y[0], expected);
  }
}

TEST(OnnxNormalization, SkipsAreAdded) {
  const auto y = run_layer(
      "SkipLayerNormalization", 17,
      {f32({1, 2}, {1, 1, 2}), f32({0, 1}, {1, 1, 2}), f32({1, 1}, {2}), f32({0, 1}, {2})}, 1, [](format::Node&) {},
      "com.microsoft");
  expect_near(y[0], {-1, 2}, 1e-3f);
}

TEST(OnnxNormalization, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::string& op, const std::vector<Tensor>& inputs, const std::string& name,
                          int64_t value) {
    EXPECT_THROW(run_layer(op, 21, inputs, 1, [&](format::Node& n) { set(n, name, value); }), Error) << op;
  };
  const Tensor x = f32(kX, {2, 2, 2}), three = f32({1, 1, 1}, {3});
  refused("BatchNormalization", {x, three, three, three, three}, "training_mode", 0);
  refused("GroupNormalization", {x, three, three}, "num_groups", 0);
  refused("LayerNormalization", {x, three}, "axis", 3);
  refused("LRN", {x}, "size", 0);
}

constexpr int64_t kSteps = 3, kBatch = 2, kInput = 2, kHidden = 3;

/// Numbers in [-1, 1] that depend on the seed.
Tensor numbers(Extents extents, int seed) {
  std::vector<float> v(static_cast<size_t>(element_count(extents)));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(std::sin(12.9898 * static_cast<double>(i + 1) + seed));
  return Tensor::from(v, std::move(extents));
}

/// Y of a layer.
Tensor run_layer(const std::string& op, const Named& inputs, const Attribute& attributes,
                 const std::string& domain = "", int64_t opset = 14) {
  return run_named(op, opset, inputs, 1, attributes, domain)[0];
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
float at(const Tensor& t, int64_t i) { return t.as<float>()[static_cast<size_t>(i)]; }

// Every part of the cell at once, against the equations.
TEST(OnnxRecurrent, LstmWithPeepholesClippedAndCoupled) {
  const Tensor x = numbers({kSteps, kBatch, kInput}, 1), w = numbers({1, 4 * kHidden, kInput}, 2),
               r = numbers({1, 4 * kHidden, kHidden}, 3), b = numbers({1, 8 * kHidden}, 4),
               h0 = numbers({1, kBatch, kHidden}, 5), c0 = numbers({1, kBatch, kHidden}, 6),
               p = numbers({1, 3 * kHidden}, 7), lengths = Tensor::from<int32_t>({3, 2}, {kBatch});
  const double clip = 0.6;
  const Tensor y = run_layer(
      "LSTM", {{"X", x}, {"W", w}, {"R", r}, {"B", b}, {"L", lengths}, {"H", h0}, {"C", c0}, {"P", p}},
      [&](format::Node& n) {
        set(n, "hidden_size", kHidden);
        set(n, "input_forget", int64_t{1});
        set(n, "direction", std::string("reverse"));
        set(n, "activations", std::vector<std::string>{"HardSigmoid", "Tanh", "Affine"});
        attribute(n, "clip", 1).set_f(static_cast<float>(clip));
        auto& alpha = attribute(n, "activation_alpha", 6);
        alpha.add_floats(0.3f);
        alpha.add_floats(2);
        auto& beta = attribute(n, "activation_beta", 6);
        beta.add_floats(0.4f);
        beta.add_floats(0.1f);
      },
      "", 7);
  ASSERT_EQ(y.extents(), (Extents{kSteps, 1, kBatch, kHidden}));
  const auto cut = [&](double v) { return std::clamp(v, -clip, clip); };
  const auto f = [&](double v) { return std::clamp(0.3 * cut(v) + 0.4, 0.0, 1.0); };
  for (int64_t s = 0; s < kBatch; ++s) {
    const int64_t length = s == 0 ? 3 : 2;
    std::vector<double> h, c;
    for (int64_t u = 0; u < kHidden; ++u) {
      h.push_back(at(h0, s * kHidden + u));
      c.push_back(at(c0, s * kHidden + u));
    }
    for (int64_t t = kSteps - 1; t >= length; --t)
      for (int64_t u = 0; u < kHidden; ++u) EXPECT_EQ(at(y, (t * kBatch + s) * kHidden + u), 0);
    for (int64_t t = length - 1; t >= 0; --t) {
      std::vector<double> next;
      for (int64_t u = 0; u < kHidden; ++u) {
        const auto gate = [&](int64_t g) {
          const int64_t row = g * kHidden + u;
          double sum = at(b, row) + at(b, 4 * kHidden + row);
          for (int64_t k = 0; k < kInput; ++k) sum += at(w, row * kInput + k) * at(x, (t * kBatch + s) * kInput + k);
          for (int64_t k = 0; k < kHidden; ++k) sum += at(r, row * kHidden + k) * h[static_cast<size_t>(k)];
          return sum;
        };
        double& cell = c[static_cast<size_t>(u)];
        const double input = f(gate(0) + at(p, u) * cell);
        cell = (1 - input) * cell + input * std::tanh(cut(gate(3)));
        next.push_back(f(gate(1) + at(p, kHidden + u) * cell) * (2 * cell + 0.1));
        EXPECT_NEAR(at(y, (t * kBatch + s) * kHidden + u), next.back(), 1e-5);
      }
      h = next;
    }
  }
}

TEST(OnnxRecurrent, GruResetsAfterTheProduct) {
  const Tensor x = numbers({1, 1, kInput}, 1), w = numbers({1, 3 * kHidden, kInput}, 2),
               r = numbers({1, 3 * kHidden, kHidden}, 3), b = numbers({1, 6 * kHidden}, 4),
               h0 = numbers({1, 1, kHidden}, 5);
  const Tensor y = run_layer("GRU", {{"X", x}, {"W", w}, {"R", r}, {"B", b}, {"", {}}, {"H", h0}},
                             [](format::Node& n) { set(n, "linear_before_reset", int64_t{1}); });
  for (int64_t u = 0; u < kHidden; ++u) {
    const auto of_x = [&](int64_t g) {
      double sum = at(b, g * kHidden + u);
      for (int64_t k = 0; k < kInput; ++k) sum += at(w, (g * kHidden + u) * kInput + k) * at(x, k);
      return sum;
    };
    const auto of_h = [&](int64_t g) {
      double sum = at(b, (3 + g) * kHidden + u);
      for (int64_t k = 0; k < kHidden; ++k) sum += at(r, (g * kHidden + u) * kHidden + k) * at(h0, k);
      return sum;
    };
    const double z = sigmoid(of_x(0) + of_h(0)), reset = sigmoid(of_x(1) + of_h(1));
    EXPECT_NEAR(at(y, u), (1 - z) * std::tanh(of_x(2) + reset * of_h(2)) + z * at(h0, u), 1e-5);
  }
}

/// What x is once it was quantised so that its least and greatest element, and 0, are in range.
Tensor quantised(const Tensor& x) {
  float low = 0, high = 0;
  for (const float v : x.as<float>()) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = (high - low) / 255, zero = std::nearbyint(-low / scale);
  Tensor y = x.clone();
  for (float& v : y.as<float>()) v = (std::clamp(std::nearbyint(v / scale) + zero, 0.0f, 255.0f) - zero) * scale;
  return y;
}

// Bytes with a zero point and a scale for each row are the numbers they stand for, and the input is quantised.
TEST(OnnxRecurrent, LstmOfBytes) {
  constexpr int64_t kRows = 4 * kHidden;
  std::vector<int8_t> w(kInput * kRows), r(kHidden * kRows), zero(kRows);
  std::vector<float> scale(kRows), w_real(w.size()), r_real(r.size());
  for (int64_t g = 0; g < kRows; ++g) {
    scale[static_cast<size_t>(g)] = 0.01f * static_cast<float>(g + 1);
    zero[static_cast<size_t>(g)] = static_cast<int8_t>(g - 5);
  }
  const auto fill = [&](std::vector<int8_t>& q, std::vector<float>& real, int64_t rows) {
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t g = 0; g < kRows; ++g) {
        const auto v = static_cast<int8_t>(17 * k - 7 * g % 31);
        q[static_cast<size_t>(k * kRows + g)] = v;
        real[static_cast<size_t>(g * rows + k)] =
            static_cast<float>(v - zero[static_cast<size_t>(g)]) * scale[static_cast<size_t>(g)];
      }
  };
  fill(w, w_real, kInput);
  fill(r, r_real, kHidden);
  const Tensor x = numbers({kSteps, kBatch, kInput}, 1), scales = Tensor::from(scale, {1, kRows}),
               zeros = Tensor::from(zero, {1, kRows});
  const auto none = [](format::Node&) {};
  const Tensor got = run_layer("DynamicQuantizeLSTM",
                               {{"X", x},
                                {"W", Tensor::from(w, {1, kInput, kRows})},
                                {"R", Tensor::from(r, {1, kHidden, kRows})},
                                {"", {}},
                                {"", {}},
                                {"", {}},
                                {"", {}},
                                {"", {}},
                                {"WS", scales},
                                {"WZ", zeros},
                                {"RS", scales},
                                {"RZ", zeros}},
                               none, "com.microsoft");
  const Tensor expected = run_layer("LSTM",
                                    {{"X", quantised(x)},
                                     {"W", Tensor::from(w_real, {1, kRows, kInput})},
                                     {"R", Tensor::from(r_real, {1, kRows, kHidden})}},
                                    none);
  for (int64_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(at(got, i), at(expected, i), 1e-5);
}

TEST(OnnxRecurrent, RefusesWhatDoesNotFit) {
  const Tensor x = numbers({kSteps, kBatch, kInput}, 1), w = numbers({1, kHidden, kInput}, 2),
               r = numbers({1, kHidden, kHidden}, 3);
  const auto refused = [&](const Named& inputs, const Attribute& attributes) {
    EXPECT_THROW(run_layer("RNN", inputs, attributes), Error);
  };
  const auto none = [](format::Node&) {};
  refused({{"X", x}, {"W", w}, {"R", numbers({1, 4, kHidden}, 3)}}, none);
  refused({{"X", x}, {"W", numbers({1, kHidden, 5}, 2)}, {"R", r}}, none);
  refused({{"X", x}, {"W", w}, {"R", numbers({0, kHidden, kHidden}, 3)}}, none);
  refused({{"X", x}, {"W", w}, {"R", r}, {"B", numbers({1, kHidden}, 4)}}, none);
  const std::vector<std::pair<std::string, Tensor>> inputs{{"X", x}, {"W", w}, {"R", r}};
  refused(inputs, [](format::Node& n) { set(n, "direction", std::string("bidirectional")); });
  refused(inputs, [](format::Node& n) { set(n, "direction", std::string("sideways")); });
  refused(inputs, [](format::Node& n) { set(n, "activations", std::vector<std::string>{"Cubic"}); });
  refused(inputs, [](format::Node& n) { set(n, "hidden_size", int64_t{7}); });
  auto late = inputs;
  late.insert(late.end(), {{"", {}}, {"L", Tensor::from<int32_t>({kSteps + 1, 1}, {kBatch})}});
  refused(late, none);
}

}  // namespace
}  // namespace gregale::onnx
