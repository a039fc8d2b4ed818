// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gregale/op.hpp"

namespace gregale {

/// An attribute as an ONNX file has it; graphs and types are the importer's own business.
using OnnxAttribute = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                                   std::vector<std::string>, Tensor>;

/// The attributes of a node of an ONNX model, with its name for errors.
class OnnxAttributes {
 public:
  virtual ~OnnxAttributes() = default;
  virtual const std::string& op_type() const = 0;
  virtual int64_t opset() const = 0;  ///< version of the operator's domain that the model asks for
  virtual const OnnxAttribute* attribute(std::string_view name) const = 0;

  // Attributes with their defaults; throw ErrorCode::corrupt_data naming one of another kind.
  bool has(std::string_view name) const { return attribute(name) != nullptr; }
  int64_t integer(std::string_view name, int64_t otherwise) const;
  double real(std::string_view name, double otherwise) const;
  std::string string(std::string_view name, std::string otherwise) const;
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> otherwise) const;
  std::vector<double> reals(std::string_view name, std::vector<double> otherwise) const;
  std::vector<std::string> strings(std::string_view name, std::vector<std::string> otherwise) const;
  Tensor tensor(std::string_view name) const;  ///< throws where it is absent
  int64_t required_integer(std::string_view name) const;
  std::vector<int64_t> required_integers(std::string_view name) const;

  [[noreturn]] void fail(const std::string& why) const;         ///< ErrorCode::corrupt_data: the model is wrong
  [[noreturn]] void unsupported(const std::string& why) const;  ///< ErrorCode::unsupported: right, but not done here
};

/// What DequantizeLinear made a value of: (integers - zero) scale, all in the graph.
struct OnnxQuantized {
  Value integers, scale;
  Value zero;        ///< invalid: 0
  int64_t axis = 0;  ///< of the integers, along which scale and zero go where they have several elements
};

/// A node of an ONNX model as an operator's mapping sees it, whoever read the file: its operands stand in a graph that
/// the mapping appends to. Extents of operands are constant: a model is imported for the extents it is run with.
class OnnxNode : public OnnxAttributes {
 public:
  virtual Graph& graph() = 0;
  virtual int64_t input_count() const = 0;
  /// Whether optional input i is there.
  virtual bool has_input(int64_t i) const = 0;
  /// Throws where it is absent, or not a tensor.
  virtual Value input(int64_t i) = 0;
  /// The value of input i, where it is known before the run or follows from what is. Where it does not, this does not
  /// return: the importer ends the program before this node, runs it, and comes back with the value.
  virtual Tensor constant(int64_t i) = 0;
  /// Whether constant(i) returns.
  virtual bool is_constant(int64_t i) = 0;
  virtual int64_t output_count() const = 0;      ///< outputs that the file names
  virtual bool has_output(int64_t i) const = 0;  ///< whether output i is named
  /// Input i before it was made real, where that is known; null otherwise.
  virtual const OnnxQuantized* quantized(int64_t i) = 0;
  virtual void note_quantized(Value real, const OnnxQuantized& from) = 0;
  /// What an attribute that is a type says: the dtype of its elements.
  virtual std::optional<DType> element_dtype(std::string_view name) const = 0;

  const Type& type(int64_t i) { return graph().type(input(i)); }
  DType dtype(int64_t i) { return type(i).dtype; }
  Extents extents(int64_t i) { return type(i).shape.extents(); }
  int64_t rank(int64_t i) { return type(i).rank(); }
  std::vector<Value> all_inputs();  ///< throws where one is absent

  // Constant operands.
  std::vector<int64_t> constant_integers(int64_t i);  ///< of any integer dtype or boolean, flattened
  std::vector<double> constant_reals(int64_t i);      ///< of any real dtype, flattened
  int64_t constant_integer(int64_t i);                ///< of one element
  double constant_real(int64_t i);
  /// What became an input with some operator set: the input where it is there, else the attribute, else the default.
  std::vector<int64_t> integers_of(int64_t i, std::string_view name, std::vector<int64_t> otherwise);
  int64_t integer_of(int64_t i, std::string_view name, int64_t otherwise);
  double real_of(int64_t i, std::string_view name, double otherwise);
};

/// The dtype of a number of the format ("to", "dtype" attributes); throws where there is none of ours.
DType dtype_of_onnx(int64_t element_type);
int64_t onnx_element_type(DType dtype);

}  // namespace gregale
