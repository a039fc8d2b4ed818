// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <format.pb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "gregale/onnx.hpp"
#include "onnx/tensor_data.hpp"
#include "ops/onnx_node.hpp"

namespace gregale::onnx {

/// A model of one node, for what the format's own suite does not reach. Inputs that are empty are left out.
struct OneNode {
  std::string op_type;
  int64_t opset;
  std::vector<Datum> inputs;
  std::map<std::string, OnnxAttribute> attributes{};
  int outputs = 1;
};

inline void set_attribute(format::Attribute& to, const OnnxAttribute& value) {
  if (const auto* i = std::get_if<int64_t>(&value)) {
    to.set_type(2);
    to.set_i(*i);
  } else if (const auto* f = std::get_if<double>(&value)) {
    to.set_type(1);
    to.set_f(static_cast<float>(*f));
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    to.set_type(3);
    to.set_s(*s);
  } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) {
    to.set_type(7);
    for (int64_t v : *ints) to.add_ints(v);
  } else if (const auto* floats = std::get_if<std::vector<double>>(&value)) {
    to.set_type(6);
    for (double v : *floats) to.add_floats(static_cast<float>(v));
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&value)) {
    to.set_type(8);
    for (const std::string& v : *strings) to.add_strings(v);
  } else {
    to.set_type(4);
    write_tensor(std::get<Tensor>(value), to.mutable_t());
  }
}

/// Runs it with its inputs given by the caller, or (tensors) by the file.
inline std::vector<Datum> run_node(const OneNode& n, bool in_the_file) {
  format::Model model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(n.opset);
  format::Graph& graph = *model.mutable_graph();
  format::Node& node = *graph.add_node();
  node.set_op_type(n.op_type);
  std::vector<Datum> given;
  for (size_t i = 0; i < n.inputs.size(); ++i) {
    const std::string name = n.inputs[i].has_value() ? fmt::format("x{}", i) : "";
    node.add_input(name);
    if (name.empty()) continue;
    const Tensor* t = n.inputs[i].tensor();
    if (t != nullptr && in_the_file) {
      write_tensor(*t, graph.add_initializer());
      graph.mutable_initializer(graph.initializer_size() - 1)->set_name(name);
      continue;
    }
    format::ValueInfo& input = *graph.add_input();
    input.set_name(name);
    input.mutable_type()->mutable_tensor_type()->set_elem_type(t != nullptr ? element_type(t->dtype())
                                                                            : kStringElements);
    given.push_back(n.inputs[i]);
  }
  for (const auto& [name, value] : n.attributes) {
    format::Attribute& a = *node.add_attribute();
    a.set_name(name);
    set_attribute(a, value);
  }
  for (int i = 0; i < n.outputs; ++i) {
    node.add_output(fmt::format("y{}", i));
    format::ValueInfo& output = *graph.add_output();
    output.set_name(fmt::format("y{}", i));
  }
  ExecutionContext context(make_thread_team(1));
  return Model::parse(model.SerializeAsString()).run(context, given);
}

/// Both ways, which agree; the first output.
inline Datum result_of(const OneNode& n) {
  const Datum y = run_node(n, false).at(0), again = run_node(n, true).at(0);
  EXPECT_EQ(y.tensor() != nullptr, again.tensor() != nullptr) << n.op_type;
  if (y.tensor() != nullptr && again.tensor() != nullptr) {
    EXPECT_TRUE(y.tensor()->identical(*again.tensor())) << n.op_type;
  }
  return y;
}

template <class T>
void expect_values(const Datum& y, const Extents& extents, const std::vector<T>& values) {
  ASSERT_NE(y.tensor(), nullptr) << to_string(y);
  ASSERT_EQ(to_string(y), to_string(Datum(Tensor(dtype_v<T>, extents))));
  const auto got = y.tensor()->as<T>();
  EXPECT_EQ(std::vector<T>(got.begin(), got.end()), values);
}

/// 0, 1, 2, ... of T.
template <class T>
Tensor counted(Extents extents) {
  Tensor t(dtype_v<T>, std::move(extents));
  for (int64_t i = 0; i < t.size(); ++i) t.as<T>()[static_cast<size_t>(i)] = static_cast<T>(i);
  return t;
}

inline Tensor integers(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

}  // namespace gregale::onnx
