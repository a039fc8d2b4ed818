// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <format.pb.h>

#include <optional>
#include <string>

#include "gregale/onnx.hpp"

/// Tensors and types of an ONNX file against ours.
namespace gregale::onnx {

inline constexpr int32_t kStringElements = 8;  ///< the format's number for strings
/// The format's number of a dtype, and back; nothing where we have no such dtype.
int32_t element_type(DType dtype);
std::optional<DType> dtype_of_element(int32_t element_type);
/// The same, throwing ErrorCode::unsupported ("[onnx] element type float8e4m3fn") or corrupt_data.
DType require_dtype(int32_t element_type);

/// Checks extents and the amount of data before anything is allocated. `folder`: of external data, which is refused
/// where this is empty, and outside of it.
Datum read_tensor(const format::Tensor& tensor, const std::string& folder);
/// To dense; refused above 256 MiB.
Tensor read_sparse_tensor(const format::SparseTensor& tensor, const std::string& folder);
Datum read_sequence(const format::SequenceValue& sequence);
Datum read_optional(const format::OptionalValue& optional);
/// A file of the test suite (input_0.pb): by what the model says of it.
Datum read_datum(const std::string& bytes, const Port& port);

Port read_port(const std::string& name, const format::Type& type);

void write_tensor(const Tensor& tensor, format::Tensor* to);

}  // namespace gregale::onnx
