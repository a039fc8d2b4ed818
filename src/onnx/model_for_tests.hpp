// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: models made of nodes.
#pragma once

#include <format.pb.h>

#include <optional>
#include <string>
#include <vector>

#include "gregale/onnx.hpp"
#include "onnx/tensor_data.hpp"

namespace gregale::onnx::test {

/// A graph, or a body of one.
class GraphOf {
 public:
  explicit GraphOf(format::Graph* graph) : graph_(graph) { graph_->set_name("g"); }

  /// Extents of -1 are open; without extents, the rank is.
  GraphOf& input(const std::string& name, int32_t element = 1, std::optional<Extents> extents = {}) {
    return port(graph_->add_input(), name, element, extents);
  }
  GraphOf& output(const std::string& name, int32_t element = 1, std::optional<Extents> extents = {}) {
    return port(graph_->add_output(), name, element, extents);
  }
  GraphOf& sequence_output(const std::string& name) {
    auto* info = graph_->add_output();
    info->set_name(name);
    info->mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type()->set_elem_type(1);
    return *this;
  }
  GraphOf& initializer(const std::string& name, const Tensor& value) {
    auto* t = graph_->add_initializer();
    write_tensor(value, t);
    t->set_name(name);
    return *this;
  }
  format::Node& node(const std::string& op, const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs, const std::string& domain = "") {
    auto* n = graph_->add_node();
    n->set_op_type(op);
    n->set_domain(domain);
    for (const auto& name : inputs) n->add_input(name);
    for (const auto& name : outputs) n->add_output(name);
    return *n;
  }

 private:
  GraphOf& port(format::ValueInfo* info, const std::string& name, int32_t element, std::optional<Extents> extents) {
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(element);
    if (!extents) return *this;
    auto* shape = tensor->mutable_shape();
    for (int64_t e : *extents) {
      auto* dim = shape->add_dim();
      if (e >= 0) dim->set_dim_value(e);
    }
    return *this;
  }
  format::Graph* graph_;
};

inline format::Attribute& attribute(format::Node& node, const std::string& name, int32_t type) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(type);
  return *a;
}
inline void set(format::Node& node, const std::string& name, int64_t value) { attribute(node, name, 2).set_i(value); }
inline void set(format::Node& node, const std::string& name, const std::string& v) {
  attribute(node, name, 3).set_s(v);
}
inline void set(format::Node& node, const std::string& name, const std::vector<int64_t>& values) {
  auto& a = attribute(node, name, 7);
  for (int64_t v : values) a.add_ints(v);
}
inline void set(format::Node& node, const std::string& name, const std::vector<std::string>& values) {
  auto& a = attribute(node, name, 8);
  for (const auto& v : values) a.add_strings(v);
}
inline GraphOf body(format::Node& node, const std::string& name) {
  return GraphOf(attribute(node, name, 5).mutable_g());
}

class ModelOf {
 public:
  explicit ModelOf(int64_t opset = 17) {
    model_.set_ir_version(8);
    import("", opset);
  }
  void import(const std::string& domain, int64_t version) {
    auto* set = model_.add_opset_import();
    set->set_domain(domain);
    set->set_version(version);
  }
  GraphOf graph() { return GraphOf(model_.mutable_graph()); }
  std::string bytes() const { return model_.SerializeAsString(); }
  Model parse() const { return Model::parse(bytes()); }

 private:
  format::Model model_;
};

}  // namespace gregale::onnx::test
