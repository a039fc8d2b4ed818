// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "ops/graphs_for_tests.hpp"

// Golden values: golden.py.
namespace gregale::ops {
namespace {

void expect_relative(const Tensor& tensor, const std::vector<double>& expected, double tolerance) {
  const auto given = values_of<double>(tensor);
  ASSERT_EQ(given.size(), expected.size());
  for (size_t i = 0; i < given.size(); ++i)
    EXPECT_NEAR(given[i], expected[i], tolerance * std::max(1e-300, std::abs(expected[i]))) << "element " << i;
}

TEST(Normalization, SoftmaxEqualsItsGoldenValues) {
  const auto apply = [](const Tensor& x) {
    return evaluate({x}, [](Graph& g, const std::vector<Value>& v) { return softmax(g, v[0]); });
  };
  expect_relative(apply(Tensor::from<double>({1, -2, 0.5, 3.25}, {4})),
                  {0.0897339549040779, 0.004467590547728147, 0.05442639486659406, 0.8513720596815998}, 1e-15);
  expect_relative(apply(Tensor::from<double>({1000, 1001, 998.5}, {1, 3})),
                  {0.25371618163502524, 0.6896720861245036, 0.05661173224047129}, 1e-15);
}

TEST(Normalization, SoftmaxOfSpecialValues) {
  const Tensor y = evaluate({Tensor::from<double>({0, -INFINITY, 1, std::nan("")}, {2, 2})},
                            [](Graph& g, const std::vector<Value>& v) { return softmax(g, v[0]); });
  const auto values = values_of<double>(y);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 0);
  EXPECT_TRUE(std::isnan(values[2]) && std::isnan(values[3]));
}

TEST(Normalization, GeluEqualsItsGoldenValues) {
  const Tensor y = evaluate({Tensor::from<double>({-8, -3, -0.5, 0, 0.5, 1, 3}, {7})},
                            [](Graph& g, const std::vector<Value>& v) { return gelu(g, v[0]); });
  expect_relative(y,
                  {-4.9767684594174555e-15, -0.004049694094890287, -0.15426876936299344, 0, 0.34573123063700656,
                   0.8413447460685429, 2.99595030590511},
                  5e-14);  // the left tail's condition number is x^2
}

TEST(Normalization, LayerNormEqualsItsGoldenValues) {
  const auto apply = [](const Tensor& x, const Tensor& gamma, const Tensor& beta) {
    return evaluate({x, gamma, beta},
                    [](Graph& g, const std::vector<Value>& v) { return layer_norm(g, v[0], v[1], v[2], 1e-5); });
  };
  expect_relative(apply(Tensor::from<double>({1, 2, 4, 8}, {4}), Tensor::from<double>({1, 0.5, 2, -1}, {4}),
                        Tensor::from<double>({0, 1, -1, 0.25}, {4})),
                  {-1.025754575496193, 0.6736235441603022, -0.8134991680916013, -1.3352570712213894}, 1e-14);
  // A large offset cancels in two passes; the mean of squares less the square of the mean would lose it.
  expect_relative(apply(Tensor::from<double>({1000001, 1000002, 1000004, 1000008}, {1, 4}),
                        Tensor::full(DType::f64, {4}, 1), Tensor(DType::f64, {4})),
                  {-1.025754575496193, -0.6527529116793956, 0.09325041595419938, 1.5852570712213894}, 1e-9);
}

TEST(Normalization, ExpansionsEqualTheOperators) {
  const auto expect_expands = [](const std::string& name, const std::vector<Sample>& samples) {
    const OpDef& op = standard_ops().at(name);
    for (const Sample& sample : samples) {
      Graph g;
      std::vector<Value> inputs;
      for (const Tensor& t : sample.inputs) inputs.push_back(g.add_input(fmt::format("x{}", inputs.size()), t.type()));
      std::vector<Value> outputs = g.add(op, inputs, sample.attributes);
      const Node node = g.nodes().back();
      const NodeView view = view_of(g, node);
      ExpandContext context{g, view, inputs};
      const std::vector<Value> expanded = op.expand(context);
      ASSERT_EQ(expanded.size(), outputs.size());
      outputs.insert(outputs.end(), expanded.begin(), expanded.end());
      g.set_outputs(outputs);
      const std::vector<Tensor> results = interpret(g, sample.inputs);
      for (size_t i = 0; i < expanded.size(); ++i) {
        const auto a = values_of<double>(results[i]), b = values_of<double>(results[i + expanded.size()]);
        ASSERT_EQ(a.size(), b.size());
        for (size_t j = 0; j < a.size(); ++j) EXPECT_NEAR(a[j], b[j], 1e-12) << name << " result " << i;
      }
    }
  };
  for (const char* name : {"softmax", "softmax_gradient", "layer_norm", "layer_norm_gradient"})
    expect_expands(name, standard_ops().at(name).samples());
}

TEST(Normalization, RefusesWhatDoesNotFit) {
  Graph g;
  const Value x = g.add_input("x", Type(DType::f32, {3, 4})), wide = g.add_input("w", Type(DType::f32, {3}));
  const Value scalar_x = g.add_input("s", Type(DType::f32, {}));
  EXPECT_ERROR(softmax(g, x, 3), "[softmax] axis 3 is out of range for rank 2");
  EXPECT_ERROR(softmax(g, scalar_x), "[softmax] axis -1 is out of range for rank 0");
  EXPECT_ERROR(layer_norm(g, x, wide, wide), "[layer_norm] gamma is f32[3]; the last extent of x is 4");
  EXPECT_ERROR(layer_norm(g, scalar_x, wide, wide), "[layer_norm] x is a scalar; it needs a last axis to normalise");
}

TEST(AdamUpdate, EqualsItsGoldenValues) {
  const Tensor rate = Tensor::scalar(0.01), scale = Tensor::scalar(0.5);
  Tensor p = Tensor::scalar(0.75), m = Tensor::scalar(0.0), v = Tensor::scalar(0.0);
  double step = 0;
  for (double gradient : {0.5, -0.25, 2.0}) {
    const std::vector<Tensor> inputs{p, m, v, Tensor::scalar(gradient), rate, Tensor::scalar(++step), scale};
    Graph g;
    std::vector<Value> x;
    for (const Tensor& t : inputs) x.push_back(g.add_input(fmt::format("x{}", x.size()), t.type()));
    AdamOptions options;
    options.weight_decay = 0.1;
    const AdamResult next = adam_update(g, x[0], x[1], x[2], x[3], x[4], x[5], x[6], options);
    g.set_outputs({next.parameter, next.m, next.v});
    const std::vector<Tensor> results = interpret(g, inputs);
    p = results[0];
    m = results[1];
    v = results[2];
  }
  expect_relative(p, {0.7284050563956778}, 1e-14);
  expect_relative(m, {0.10899999999999997}, 1e-14);
  expect_relative(v, {0.001077984437500001}, 1e-14);
}

TEST(AdamUpdate, RefusesWhatDoesNotFit) {
  Graph g;
  const Value p = g.add_input("p", Type(DType::f32, {3})), s = g.add_input("s", Type(DType::f32, {}));
  const Value other = g.add_input("o", Type(DType::f32, {4}));
  EXPECT_ERROR(adam_update(g, p, p, other, p, s, s, s, {}), "[adam_update] v is f32[4], not f32[3] as parameter");
  EXPECT_ERROR(adam_update(g, p, p, p, p, p, s, s, {}), "[adam_update] learning_rate is f32[3]; expected a scalar");
  AdamOptions options;
  options.beta1 = 1;
  EXPECT_ERROR(adam_update(g, p, p, p, p, s, s, s, options), "[adam_update] beta1 is 1; expected [0, 1)");
}

}  // namespace
}  // namespace gregale::ops
