// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <format.pb.h>

#include <set>

#include "gregale/error.hpp"
#include "ir/core_ops.hpp"
#include "ir/inference.hpp"
#include "ir/rewrite.hpp"
#include "onnx/tensor_data.hpp"
#include "ops/onnx_writer.hpp"

namespace gregale::onnx {
namespace {

constexpr int64_t kOpset = 17, kIrVersion = 8;

/// A graph of the file that is written to, node by node.
class Writer : public OnnxWriter {
 public:
  Writer(format::Graph& file, const ExportOptions& options) : file_(file), options_(options) {}

  const NodeView& view() const override { return *view_; }
  const Names& inputs() const override { return inputs_; }
  bool fft_as_matmul() const override { return options_.fft_as_matmul; }

  Names add(const std::string& op_type, Names inputs, OnnxAttributeList attributes, int outputs) override {
    format::Node& node = *file_.add_node();
    node.set_op_type(op_type);
    Names results;
    for (int i = 0; i < outputs; ++i) results.push_back(fresh(op_type));
    node.set_name(results[0]);
    for (std::string& name : inputs) node.add_input(std::move(name));
    for (const std::string& name : results) node.add_output(name);
    for (const auto& [name, value] : attributes) write_attribute(name, value, *node.add_attribute());
    return results;
  }

  std::string constant(const Tensor& tensor) override {
    // Small ones are often the same: scalars, axes.
    std::string key;
    if (tensor.bytes() <= 256) {
      key = gregale::to_string(tensor.type()) +
            std::string(static_cast<const char*>(tensor.data()), static_cast<size_t>(tensor.bytes()));
      if (const auto at = constants_.find(key); at != constants_.end()) return at->second;
    }
    bytes_ += tensor.bytes();
    GREGALE_CHECK(bytes_ < (int64_t{1} << 31) - (1 << 20), unsupported,
                  "[onnx] weights above 2 GiB do not fit into one file");
    format::Tensor& to = *file_.add_initializer();
    if (is_complex(tensor.dtype())) {
      Extents extents = tensor.extents();
      extents.push_back(2);
      write_tensor(Tensor::borrow(const_cast<void*>(tensor.data()), real_of(tensor.dtype()), extents), &to);
    } else {
      write_tensor(tensor, &to);
    }
    to.set_name(fresh("constant"));
    if (!key.empty()) constants_[key] = to.name();
    return to.name();
  }

  void set_output(int64_t i, std::string name) override { outputs_.at(static_cast<size_t>(i)) = std::move(name); }

  Names write_graph(const Graph& body, const Names& inputs) override {
    std::map<Value, std::string> names;
    for (size_t i = 0; i < inputs.size(); ++i) names[body.inputs()[i]] = inputs[i];
    for (const Node& node : body.nodes()) write_node(body, node, names);
    Names results;
    for (Value v : body.outputs()) results.push_back(names.at(v));
    return results;
  }

  /// A name that nothing has yet; characters outside of ASCII stay, names in ONNX are any text.
  std::string fresh(const std::string& like) {
    std::string name = like;
    for (int64_t& i = counters_[like]; !taken_.insert(name).second;) name = fmt::format("{}_{}", like, ++i);
    return name;
  }

 private:
  void write_node(const Graph& graph, const Node& node, std::map<Value, std::string>& names) {
    const OpDef& op = *node.op;
    if (op.name == kConstantOp) {
      names[node.outputs[0]] = constant(std::get<Tensor>(node.attributes.at("value")));
      return;
    }
    GREGALE_CHECK(op.name != kReadOp && op.name != kWriteOp, unsupported,
                  "[onnx] variable {} of '{}' has no value here: freeze() the graph before it is exported",
                  std::get<int64_t>(node.attributes.at("variable")), graph.name());
    const NodeView view = view_of(graph, node);
    // Bodies write nodes of their own while this one is being written.
    const NodeView* outer_view = std::exchange(view_, &view);
    Names operands, results(node.outputs.size());
    for (Value v : node.inputs) operands.push_back(names.at(v));
    std::swap(inputs_, operands);
    std::swap(outputs_, results);
    if (op.to_onnx) {
      op.to_onnx(*this);
    } else if (op.expand) {
      Graph parts(graph.name());
      std::vector<Value> inputs;
      for (const Type& t : view.inputs()) inputs.push_back(parts.add_input("", t));
      ExpandContext context{parts, view, inputs};
      parts.set_outputs(op.expand(context));
      outputs_ = write_graph(parts, Names(inputs_));
    } else {
      unsupported("no operator of set 17 says it");
    }
    std::swap(inputs_, operands);
    std::swap(outputs_, results);
    view_ = outer_view;
    for (size_t i = 0; i < node.outputs.size(); ++i) names[node.outputs[i]] = results[i];
  }

  void write_attribute(const std::string& name, const OnnxAttribute& value, format::Attribute& to) {
    to.set_name(name);
    const auto kind = [&](int32_t k) { to.set_type(k); };
    if (const auto* v = std::get_if<int64_t>(&value)) {
      kind(2);
      to.set_i(*v);
    } else if (const auto* v = std::get_if<double>(&value)) {
      kind(1);
      to.set_f(static_cast<float>(*v));
    } else if (const auto* v = std::get_if<std::string>(&value)) {
      kind(3);
      to.set_s(*v);
    } else if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) {
      kind(7);
      for (int64_t i : *v) to.add_ints(i);
    } else if (const auto* v = std::get_if<std::vector<double>>(&value)) {
      kind(6);
      for (double f : *v) to.add_floats(static_cast<float>(f));
    } else if (const auto* v = std::get_if<std::vector<std::string>>(&value)) {
      kind(8);
      for (const std::string& s : *v) to.add_strings(s);
    } else {
      kind(4);
      write_tensor(std::get<Tensor>(value), to.mutable_t());
    }
  }

  format::Graph& file_;
  const ExportOptions& options_;
  const NodeView* view_ = nullptr;
  Names inputs_, outputs_;
  std::map<std::string, std::string> constants_;
  std::set<std::string> taken_;
  std::map<std::string, int64_t> counters_;
  int64_t bytes_ = 0;
};

void write_port(const std::string& name, const Type& type, format::ValueInfo& to) {
  to.set_name(name);
  auto& dense = *to.mutable_type()->mutable_tensor_type();
  dense.set_elem_type(element_type(is_complex(type.dtype) ? real_of(type.dtype) : type.dtype));
  auto& shape = *dense.mutable_shape();
  for (int64_t e : type.shape.extents()) shape.add_dim()->set_dim_value(e);
  if (is_complex(type.dtype)) shape.add_dim()->set_dim_value(2);
}

}  // namespace

std::string export_model(const Graph& graph, const ExportOptions& options) {
  for (Value v : graph.inputs())
    GREGALE_CHECK(graph.type(v).shape.is_constant(), unsupported,
                  "[onnx] input '{}' has symbolic extents: bind them first", graph.name_of(v));
  format::Model model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("gregale");
  model.set_producer_version(GREGALE_VERSION);
  model.add_opset_import()->set_version(kOpset);
  for (const auto& [key, value] : options.metadata) {
    auto& pair = *model.add_metadata_props();
    pair.set_key(key);
    pair.set_value(value);
  }
  format::Graph& file = *model.mutable_graph();
  file.set_name(graph.name());
  Writer writer(file, options);
  // The interface's names first: whatever else is named makes way for them.
  OnnxWriter::Names inputs, outputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Value v = graph.inputs()[i];
    const std::string& name = graph.name_of(v);
    inputs.push_back(writer.fresh(name.empty() ? fmt::format("input{}", i) : name));
    write_port(inputs.back(), graph.type(v), *file.add_input());
  }
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const std::string name = i < graph.output_names().size() ? graph.output_names()[i] : "";
    outputs.push_back(writer.fresh(name.empty() ? fmt::format("output{}", i) : name));
    write_port(outputs.back(), graph.type(graph.outputs()[i]), *file.add_output());
  }
  const OnnxWriter::Names results = writer.write_graph(graph, inputs);
  for (size_t i = 0; i < results.size(); ++i) {  // a result may be an input, a constant, or another result
    format::Node& node = *file.add_node();
    node.set_op_type("Identity");
    node.set_name(outputs[i]);
    node.add_input(results[i]);
    node.add_output(outputs[i]);
  }
  std::string bytes;
  GREGALE_CHECK(model.SerializeToString(&bytes), unsupported, "[onnx] the model does not fit into one file");
  return bytes;
}

}  // namespace gregale::onnx
