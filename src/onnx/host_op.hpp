// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "onnx/block.hpp"

namespace gregale::onnx {

/// A node that runs between programs, with the values of its operands.
class HostNode : public OnnxAttributes {
 public:
  /// `run_body` runs one of the node's bodies; null where the node runs while a model is traced.
  using RunBody = std::function<std::vector<Datum>(const std::string& name, std::vector<Datum> inputs)>;
  HostNode(const BlockNode& node, std::vector<Datum> inputs, RunBody run_body = {})
      : node_(node), inputs_(std::move(inputs)), run_body_(std::move(run_body)) {}

  const std::string& op_type() const override { return node_.op_type; }
  int64_t opset() const override { return node_.opset; }
  const OnnxAttribute* attribute(std::string_view name) const override;
  const BlockNode& node() const { return node_; }

  int64_t input_count() const { return static_cast<int64_t>(inputs_.size()); }
  bool has_input(int64_t i) const;
  const Datum& input(int64_t i) const;  ///< throws where there is none so far to the right
  const Tensor& tensor(int64_t i) const;
  const Strings& strings(int64_t i) const;
  const Sequence& sequence(int64_t i) const;
  std::vector<int64_t> integers(int64_t i) const;  ///< of any integer dtype or boolean, flattened
  int64_t integer(int64_t i) const;
  std::vector<double> reals(int64_t i) const;
  using OnnxAttributes::integer;
  using OnnxAttributes::integers;
  using OnnxAttributes::reals;
  using OnnxAttributes::strings;
  using OnnxAttributes::tensor;

  const Block& body(const std::string& name) const;  ///< throws where the attribute is missing
  std::vector<Datum> run_body(const std::string& name, std::vector<Datum> inputs) const;

 private:
  const BlockNode& node_;
  std::vector<Datum> inputs_;
  RunBody run_body_;
};

/// An operator of ONNX that is no operator of the graph: its results' extents depend on values, or it holds strings,
/// sequences or optionals, or runs bodies.
struct HostOp {
  std::string name;
  int64_t since = 1;
  std::function<std::vector<Datum>(const HostNode&)> run;
  /// Which nodes it is for; null for all. Operators that mostly are in graphs but for some operands.
  std::function<bool(const BlockNode&)> only;
  std::string domain = "";
  bool of_strings = false;  ///< taken only where an operand holds strings; numbers are for the operator's mapping
};

/// Families, each a file of its own; operators.cpp lists them.
std::vector<HostOp> shape_host_ops();  ///< NonZero, Unique, Compress, NonMaxSuppression
std::vector<HostOp> string_host_ops();
std::vector<HostOp> feature_host_ops();   ///< TfIdfVectorizer, and what ai.onnx.ml prepares operands with
std::vector<HostOp> sequence_host_ops();  ///< sequences and optionals
std::vector<HostOp> control_host_ops();   ///< If, Loop, Scan

}  // namespace gregale::onnx
