// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <format.pb.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "gregale/context.hpp"
#include "gregale/onnx.hpp"
#include "onnx/tensor_data.hpp"

/// Models of one node.
namespace gregale::onnx::testing {

using TestAttribute = std::variant<int64_t, float, std::string, std::vector<int64_t>>;

struct NodeModel {
  std::string op;
  int64_t opset = 21;
  std::map<std::string, TestAttribute> attributes = {};
  std::string domain = "";
  int outputs = 1;

  std::string bytes(const std::vector<Tensor>& inputs) const {
    format::Model model;
    model.set_ir_version(8);
    auto* set = model.add_opset_import();
    set->set_domain(domain);
    set->set_version(opset);
    auto* graph = model.mutable_graph();
    graph->set_name("one node");
    auto* node = graph->add_node();
    node->set_op_type(op);
    node->set_domain(domain);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = "x" + std::to_string(i);
      node->add_input(name);
      auto* in = graph->add_input();
      in->set_name(name);
      auto* type = in->mutable_type()->mutable_tensor_type();
      type->set_elem_type(element_type(inputs[i].dtype()));
      for (int64_t e : inputs[i].extents()) type->mutable_shape()->add_dim()->set_dim_value(e);
    }
    for (int i = 0; i < outputs; ++i) {
      const std::string name = "y" + std::to_string(i);
      node->add_output(name);
      auto* out = graph->add_output();
      out->set_name(name);
      out->mutable_type()->mutable_tensor_type()->set_elem_type(1);
    }
    for (const auto& [name, value] : attributes) {
      auto* a = node->add_attribute();
      a->set_name(name);
      if (const auto* i = std::get_if<int64_t>(&value)) {
        a->set_i(*i);
        a->set_type(2);
      } else if (const auto* f = std::get_if<float>(&value)) {
        a->set_f(*f);
        a->set_type(1);
      } else if (const auto* s = std::get_if<std::string>(&value)) {
        a->set_s(*s);
        a->set_type(3);
      } else {
        for (int64_t v : std::get<std::vector<int64_t>>(value)) a->add_ints(v);
        a->set_type(7);
      }
    }
    return model.SerializeAsString();
  }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs, bool optimize = true) const {
    LoadOptions options;
    options.compile.optimize = optimize;
    ExecutionContext context(make_thread_team(2));
    return Model::parse(bytes(inputs), options).run(context, inputs);
  }
};

}  // namespace gregale::onnx::testing
