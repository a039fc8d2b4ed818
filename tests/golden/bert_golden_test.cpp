// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "data/safetensors.hpp"
#include "gregale/exec.hpp"
#include "gregale/nn.hpp"

/// The encoder layer of BERT against golden values that NumPy computed in f64 (bert_golden.py).
namespace gregale {
namespace {

class BertGolden : public testing::Test {
 protected:
  BertGolden() : file_(data::read_safetensors(GREGALE_GOLDEN)) {}

  const Tensor& golden(const std::string& what) const { return file_.tensors.at(what); }
  VariableValues weights(DType dtype) const {
    VariableValues values;
    for (const auto& [name, tensor] : file_.tensors)
      if (name.starts_with("layer/")) values[name] = tensor.cast(dtype);
    return values;
  }
  Graph layer(DType dtype, bool symbolic = false, int64_t heads = 3) const {
    Graph g("layer");
    Shape shape(golden("x").extents());
    if (symbolic) shape[0] = Dim::symbol("batch");
    const Value x = g.add_input("x", Type(dtype, shape));
    nn::Scope scope(g, {}, dtype);
    g.set_outputs({nn::bert_layer(scope, "layer", x, {.heads = heads, .hidden = 20})}, {"y"});
    EXPECT_EQ(scope.parameters().size(), weights(dtype).size());
    return g;
  }
  double greatest_difference(const Tensor& y) const {
    EXPECT_EQ(y.extents(), golden("y").extents());
    const Tensor wide = y.cast(DType::f64);
    double greatest = 0;
    for (size_t i = 0; i < wide.as<double>().size(); ++i) {
      const double d = std::fabs(wide.as<double>()[i] - golden("y").as<double>()[i]);
      greatest = d <= greatest ? greatest : d;  // NaN stays
    }
    return greatest;
  }

 private:
  data::Safetensors file_;
};

TEST_F(BertGolden, InterpretedInF64) {
  VariableValues state = weights(DType::f64);
  EXPECT_LT(greatest_difference(interpret(layer(DType::f64), {golden("x")}, &state)[0]), 1e-12);
}

TEST_F(BertGolden, CompiledInF32) {
  const Executable program = compile(freeze(layer(DType::f32), weights(DType::f32)));
  ExecutionContext context;
  EXPECT_EQ(program.reference_steps(), 0) << program.describe();
  EXPECT_LT(greatest_difference(program.run(context, {golden("x").cast(DType::f32)})[0]), 1e-5);
}

TEST_F(BertGolden, ASymbolicBatchGivesTheSame) {
  VariableValues state = weights(DType::f64);
  const Graph g = bind_symbols(layer(DType::f64, true), {{"batch", golden("x").extent(0)}});
  EXPECT_LT(greatest_difference(interpret(g, {golden("x")}, &state)[0]), 1e-12);
}

TEST_F(BertGolden, TheHeadsMatter) {
  VariableValues state = weights(DType::f64);
  EXPECT_GT(greatest_difference(interpret(layer(DType::f64, false, 2), {golden("x")}, &state)[0]), 1e-3);
}

}  // namespace
}  // namespace gregale
