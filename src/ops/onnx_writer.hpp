// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ops/onnx_node.hpp"

namespace gregale {

/// Where an operator's to_onnx writes one node of a graph: as nodes of ONNX's operator set 17, whoever keeps the file.
/// Values are names. ONNX has no complex numbers there: a complex value is a real tensor with a last axis of two, its
/// real and imaginary parts.
class OnnxWriter {
 public:
  using Names = std::vector<std::string>;
  using OnnxAttributeList = std::vector<std::pair<std::string, OnnxAttribute>>;
  virtual ~OnnxWriter() = default;
  virtual const NodeView& view() const = 0;
  virtual const Names& inputs() const = 0;
  /// Appends a node and gives its results' names; an empty input name is one left out.
  virtual Names add(const std::string& op_type, Names inputs, OnnxAttributeList attributes = {}, int outputs = 1) = 0;
  virtual std::string constant(const Tensor& tensor) = 0;
  /// What stands for result i.
  virtual void set_output(int64_t i, std::string name) = 0;
  /// A body written where it stands: the names of its results.
  virtual Names write_graph(const Graph& body, const Names& inputs) = 0;
  /// Whether Fourier transforms are to be matrix products, for readers without DFT.
  virtual bool fft_as_matmul() const = 0;

  const std::string& input(int64_t i) const { return inputs().at(static_cast<size_t>(i)); }
  std::string add1(const std::string& op_type, Names inputs, OnnxAttributeList attributes = {}) {
    return add(op_type, std::move(inputs), std::move(attributes))[0];
  }
  std::string integers(const std::vector<int64_t>& values);
  std::string scalar(DType dtype, double value);
  /// Extents of operand i or of the result in the file: with the parts of complex numbers as a last axis.
  Extents extents(int64_t i) const;
  Extents output_extents(int64_t i = 0) const;
  /// Result 0 is `op_type` of all operands.
  void same(const std::string& op_type, OnnxAttributeList attributes = {}) {
    set_output(0, add1(op_type, inputs(), std::move(attributes)));
  }

  [[noreturn]] void unsupported(const std::string& why) const;  ///< ErrorCode::unsupported naming the operator
};

/// A to_onnx for operators that are one node of ONNX with the same operands; of real or integer dtypes.
std::function<void(OnnxWriter&)> one_node(std::string op_type);

/// Real and imaginary part of a complex value in the file, and back.
std::pair<std::string, std::string> onnx_parts(OnnxWriter& w, const std::string& pair);
std::string onnx_pair(OnnxWriter& w, const std::string& re, const std::string& im);

/// The same for complex numbers in parts (gregale/fourier.hpp): their last axis has all real parts, then all imaginary.
std::string onnx_pair_of_halves(OnnxWriter& w, const std::string& halves);
std::string onnx_halves(OnnxWriter& w, const std::string& pair);

/// The discrete Fourier transform along one axis of a real or complex value of these extents (without the parts' axis),
/// as a complex value with `modes` of the axis's n frequencies; not scaled.
std::string onnx_dft(OnnxWriter& w, const std::string& x, const Extents& extents, bool is_complex, int64_t axis,
                     int64_t modes, bool inverse);
/// The real inverse along one axis, n from its n/2+1 modes; not scaled.
std::string onnx_real_inverse_dft(OnnxWriter& w, const std::string& z, const Extents& extents, int64_t axis, int64_t n);

/// A transform over n points, scaled as `norm` says (fft's). `bare`: it is not scaled yet; otherwise the file's DFT has
/// scaled the inverse of `scaled` points (n where 0) by 1/scaled already.
std::string onnx_scaled(OnnxWriter& w, const std::string& z, DType dtype, const std::string& norm, bool inverse,
                        int64_t n, bool bare, int64_t scaled = 0);

/// Operand i, indices, as i64.
std::string onnx_indices(OnnxWriter& w, int64_t i);
/// The attribute `reduction` of scatter_elements and scatter_nd in set 17, which has none, add and mul.
std::string onnx_scatter_reduction(OnnxWriter& w);

}  // namespace gregale
