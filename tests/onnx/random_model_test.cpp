// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "gregale/error.hpp"
#include "gregale/onnx.hpp"
#include "onnx/random_model.hpp"

namespace gregale::onnx {
namespace {

/// Values of two engines that round otherwise, through a chain of operators: relative to the greatest of the tensor.
void expect_near(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(got.type(), expected.type()) << what;
  if (!is_real_float(got.dtype())) {
    EXPECT_TRUE(got.identical(expected)) << what;
    return;
  }
  const Tensor a = got.cast(DType::f64), b = expected.cast(DType::f64);
  double greatest = 0;
  for (double v : b.as<double>())
    if (std::isfinite(v)) greatest = std::max(greatest, std::abs(v));
  for (size_t i = 0; i < a.as<double>().size(); ++i) {
    const double x = a.as<double>()[i], y = b.as<double>()[i];
    const bool same =
        x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= 1e-4 * greatest + 1e-3 * std::abs(y) + 1e-6;
    ASSERT_TRUE(same) << what << ", element " << i << " is " << x << ", not " << y;
  }
}

/// Compiled, interpreted, and after export: all the same. GREGALE_RANDOM_MODELS sets how many; the default keeps the
/// test short.
TEST(OnnxRandomModels, AgreeWithTheInterpreter) {
  EXPECT_GE(random_model_operators().size(), 60u);
  const char* many = std::getenv("GREGALE_RANDOM_MODELS");
  const int count = many != nullptr ? std::atoi(many) : 150;
  ExecutionContext context;
  for (int seed = 0; seed < count && !testing::Test::HasFailure(); ++seed) {
    const RandomModel random = random_model(static_cast<uint64_t>(seed));
    const std::string what = "seed " + std::to_string(seed);
    try {
      const Model model = Model::parse(random.model.SerializeAsString());
      std::vector<Tensor> inputs;
      std::vector<Type> types;
      for (const auto& [name, tensor] : random.inputs) {
        inputs.push_back(tensor);
        types.push_back(tensor.type());
      }
      const std::vector<Tensor> got = model.run(context, inputs);
      const Graph graph = model.graph(types);
      const std::vector<Tensor> expected = interpret(graph, inputs);
      const Model again = Model::parse(export_model(graph));
      const std::vector<Tensor> exported = again.run(context, inputs);
      for (size_t i = 0; i < expected.size(); ++i) {
        expect_near(got[i], expected[i], what + ", " + model.outputs()[i].name);
        expect_near(exported[i], expected[i], what + ", exported, " + model.outputs()[i].name);
      }
    } catch (const Error& e) {
      ADD_FAILURE() << what << ": " << e.what();
    }
  }
}

}  // namespace
}  // namespace gregale::onnx
