// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "gregale/error.hpp"
#include "gregale/onnx.hpp"
#include "gregale/ops.hpp"

namespace gregale::onnx {
namespace {

/// Floats in single precision, as most files have them.
Tensor single(const Tensor& t) {
  if (t.dtype() == DType::f64) return t.cast(DType::f32);
  return t.dtype() == DType::c128 ? t.cast(DType::c64) : t;
}

/// What a file has for it: the parts of complex numbers as a last axis.
Tensor in_file(Tensor t) {
  if (!is_complex(t.dtype())) return t;
  Extents extents = t.extents();
  extents.push_back(2);
  return Tensor::borrow(t.data(), real_of(t.dtype()), extents).clone();
}

void expect_round_trip(const Tensor& got, const Tensor& expected, const std::string& what) {
  ASSERT_EQ(got.type(), expected.type()) << what;
  const Tensor a = got.cast(DType::f64), b = expected.cast(DType::f64);
  double greatest = 0;
  for (const double v : b.as<double>())
    if (std::isfinite(v)) greatest = std::max(greatest, std::abs(v));
  for (size_t i = 0; i < b.as<double>().size(); ++i) {
    const double x = a.as<double>()[i], y = b.as<double>()[i];
    EXPECT_TRUE(x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= 2e-5 * greatest + 1e-6)
        << what << ", element " << i << " is " << x << ", not " << y;
    if (testing::Test::HasFailure()) return;
  }
}

/// Every operator that can be written, on the samples that its own tests have: written, read again and run, it gives
/// what its reference gives.
TEST(OnnxExport, OperatorsComeBack) {
  ExecutionContext context;
  std::set<std::string> written, refused;
  for (const OpDef* op : ops::standard_ops().all()) {
    if (!op->samples) continue;
    int number = 0;
    for (const Sample& sample : op->samples()) {
      const std::string what = op->name + " of sample " + std::to_string(number++);
      Graph g("one");
      std::vector<Tensor> inputs;
      std::vector<Value> values;
      std::string file;
      std::vector<Tensor> expected;
      try {
        for (const Tensor& t : sample.inputs) {
          inputs.push_back(single(t));
          values.push_back(g.add_input("in" + std::to_string(values.size()), inputs.back().type()));
        }
        g.set_outputs(g.add(*op, values, sample.attributes, sample.regions));
        expected = interpret(g, inputs);
        file = export_model(g);
      } catch (const Error& e) {  // not of single precision, or not to be written
        EXPECT_NE(e.code(), ErrorCode::internal) << what << ": " << e.what();
        refused.insert(op->name);
        continue;
      }
      try {
        for (Tensor& t : inputs) t = in_file(t);
        const std::vector<Tensor> got = Model::parse(file).run(context, inputs);
        ASSERT_EQ(got.size(), expected.size()) << what;
        for (size_t i = 0; i < got.size(); ++i) expect_round_trip(got[i], in_file(expected[i]), what);
      } catch (const Error& e) {
        ADD_FAILURE() << what << ": " << e.what();
      }
      written.insert(op->name);
    }
  }
  for (const std::string& name : written) refused.erase(name);
  std::string list;
  for (const std::string& name : refused) list += " " + name;
  testing::Test::RecordProperty("never written", list);
  EXPECT_GE(written.size(), 100u) << "never written:" << list;
}

}  // namespace
}  // namespace gregale::onnx
