// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <format.pb.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "gregale/onnx.hpp"

// What ONNX's backend tests do not reach of convolutions, products, pooling and images: forms of old operator sets, and
// nodes that must be refused.

namespace gregale::onnx {
namespace {

using Number = std::variant<int64_t, float, std::string, std::vector<int64_t>>;
using Numbers = std::map<std::string, Number>;

void put(format::Attribute& a, int64_t v) { a.set_type(2), a.set_i(v); }
void put(format::Attribute& a, float v) { a.set_type(1), a.set_f(v); }
void put(format::Attribute& a, const std::string& v) { a.set_type(3), a.set_s(v); }
void put(format::Attribute& a, const std::vector<int64_t>& v) {
  a.set_type(7);
  for (int64_t i : v) a.add_ints(i);
}

/// The first result of a model of one node; those of `inputs` that are no f32 are constants of it.
Tensor run_one(const std::string& op, int64_t opset, const std::vector<Tensor>& inputs,
               const Numbers& attributes = {}) {
  format::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  format::Graph& graph = *model.mutable_graph();
  format::Node& node = *graph.add_node();
  node.set_op_type(op);
  node.add_output("y");
  std::vector<Tensor> operands;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = inputs[i].size() == 0 ? "" : "x" + std::to_string(i);
    node.add_input(name);
    if (name.empty()) continue;
    if (inputs[i].dtype() == DType::f32) {
      format::ValueInfo& port = *graph.add_input();
      port.set_name(name);
      port.mutable_type()->mutable_tensor_type()->set_elem_type(1);
      operands.push_back(inputs[i]);
    } else {  // i64, or f64 that stands for f32
      format::Tensor& t = *graph.add_initializer();
      t.set_name(name);
      t.set_data_type(inputs[i].dtype() == DType::i64 ? 7 : 1);
      for (int64_t e : inputs[i].extents()) t.add_dims(e);
      const Tensor wide = inputs[i].cast(DType::f64);
      for (double v : wide.as<double>()) {
        if (inputs[i].dtype() == DType::i64)
          t.add_int64_data(static_cast<int64_t>(v));
        else
          t.add_float_data(static_cast<float>(v));
      }
    }
  }
  for (const auto& [name, value] : attributes) {
    format::Attribute& a = *node.add_attribute();
    a.set_name(name);
    std::visit([&](const auto& v) { put(a, v); }, value);
  }
  format::ValueInfo& result = *graph.add_output();
  result.set_name("y");
  result.mutable_type()->mutable_tensor_type()->set_elem_type(1);
  ExecutionContext context;
  return Model::parse(model.SerializeAsString()).run(context, operands)[0];
}

Tensor image(Extents extents) {
  Tensor t(DType::f32, std::move(extents));
  auto values = t.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return t;
}

std::vector<float> values(const Tensor& t) { return {t.as<float>().begin(), t.as<float>().end()}; }
using Ints = std::vector<int64_t>;

TEST(ImportImage, OldForms) {
  EXPECT_EQ(values(run_one("Gemm", 6, {image({2, 2}), image({2, 2}), image({2})},
                           {{"broadcast", int64_t{1}}, {"alpha", 2.0F}, {"beta", 0.5F}})),
            (std::vector<float>{4, 6.5, 12, 22.5}));
  EXPECT_EQ(values(run_one("GlobalLpPool", 1, {image({1, 1, 2, 2})}, {{"p", 1.0F}})), (std::vector<float>{6}));
  EXPECT_EQ(values(run_one("Upsample", 1, {image({1, 1, 1, 2})}, {{"height_scale", 2.0F}, {"width_scale", 1.5F}})),
            (std::vector<float>{0, 0, 1, 0, 0, 1}));
  EXPECT_EQ(run_one("Resize", 13, {image({1, 1, 2, 2}), {}, {}, Tensor::from(Ints{1, 1, 0, 3}, {4})}).extents(),
            (Extents{1, 1, 0, 3}));
}

TEST(ImportImage, RefusesWhatIsWrong) {
  const Tensor x = image({1, 2, 4, 4}), weights = image({2, 2, 3, 3});
  const auto refused = [](const std::string& op, int64_t opset, const std::vector<Tensor>& inputs,
                          const Numbers& attributes) {
    EXPECT_THROW(run_one(op, opset, inputs, attributes), Error) << op;
  };
  const auto huge = int64_t{1} << 62;
  for (const char* op : {"Conv", "ConvTranspose"}) {
    refused(op, 11, {x, weights}, {{"strides", Ints{0, 1}}});
    refused(op, 11, {x, weights}, {{"dilations", Ints{huge, huge}}});
    refused(op, 11, {x, weights}, {{"pads", Ints{-1, 0, 0, 0}}});
    refused(op, 11, {x, weights}, {{"pads", Ints{0, 0}}});
    refused(op, 11, {x, weights}, {{"kernel_shape", Ints{2, 3}}});
    refused(op, 11, {x, weights}, {{"group", int64_t{0}}});
    refused(op, 11, {x, weights}, {{"group", int64_t{3}}});
    refused(op, 11, {x, image({2, 2, 3})}, {});
    refused(op, 11, {image({4}), weights}, {});
  }
  refused("Conv", 11, {x, weights}, {{"auto_pad", std::string("SOME")}});
  refused("ConvTranspose", 11, {x, weights}, {{"output_shape", Ints{huge, 4}}});
  refused("ConvTranspose", 11, {x, weights}, {{"pads", Ints{9, 9, 9, 9}}});
  for (const char* op : {"MaxPool", "AveragePool", "LpPool"}) {
    refused(op, 11, {x}, {});
    refused(op, 11, {x}, {{"kernel_shape", Ints{5, 5}}});
    refused(op, 11, {x}, {{"kernel_shape", Ints{0, 1}}});
    refused(op, 11, {x}, {{"kernel_shape", Ints{huge, 1}}});
    refused(op, 11, {image({1, 2, 0, 4})}, {{"kernel_shape", Ints{1, 1}}});
  }
  for (const double scale : {0.0, -1.0, 1e30, std::nan("")})
    refused("Upsample", 9, {x, Tensor::from(std::vector<double>{1, 1, scale, 1}, {4})}, {});
  refused("Resize", 13, {x}, {});
  refused("Resize", 13, {x, {}, {}, Tensor::from(Ints{1, 2, huge, 4}, {4})}, {});
  refused("Resize", 13, {x, {}, {}, Tensor::from(Ints{1, 2, 4}, {3})}, {});
  refused("Resize", 18, {x, {}, {}, Tensor::from(Ints{4, 4}, {2})}, {{"axes", Ints{2, 2}}});
  refused("Resize", 13, {x, {}, {}, Tensor::from(Ints{1, 2, 5, 4}, {4})}, {{"mode", std::string("best")}});
  for (const char* equation : {"ij,jk", "ijk->i", "abcd->e", "abcd->aa", "....->a", "a$cd"})
    refused("Einsum", 12, {x}, {{"equation", std::string(equation)}});
  refused("Einsum", 12, {x}, {{"equation", std::string("abbd->a")}});  // a diagonal of 2 and 4
  refused("Col2Im", 18, {image({1, 4, 4}), Tensor::from(Ints{3, 3}, {2}), Tensor::from(Ints{huge, 2}, {2})}, {});
  refused("Col2Im", 18, {image({1, 4, 5}), Tensor::from(Ints{3, 3}, {2}), Tensor::from(Ints{2, 2}, {2})}, {});
  refused("MaxUnpool", 11, {image({1, 1, 1, 2}), Tensor::from(Ints{0, 99}, {1, 1, 1, 2})},
          {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  refused("RoiAlign", 16, {x, image({1, 4}), Tensor::from(Ints{7}, {1})}, {});
  refused("GridSample", 16, {x, image({1, 2, 2, 3})}, {});
  refused("AffineGrid", 20, {image({1, 2, 3}), Tensor::from(Ints{1}, {1})}, {});
  refused("MatMul", 13, {x, image({3, 4})}, {});
  refused("Gemm", 13, {image({2, 3}), image({3, 2}), image({5, 2})}, {});
}

}  // namespace
}  // namespace gregale::onnx
