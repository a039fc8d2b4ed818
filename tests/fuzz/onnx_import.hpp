// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "gregale/error.hpp"
#include "gregale/onnx.hpp"

namespace gregale::fuzz {

/// Everything that reading a file does: it is parsed, and made a graph for small extents where it declares its inputs.
/// Errors are the answer to most files, and pass.
inline void import_onnx(std::string_view bytes) {
  const onnx::Model model = onnx::Model::parse(bytes);
  std::vector<Type> types;
  for (const onnx::Port& port : model.inputs()) {
    Extents extents;
    for (const Dim& d : port.shape.dims()) extents.push_back(d.is_constant() ? d.value() : 2);
    types.emplace_back(port.dtype, Shape(extents));
  }
  model.operators();
  model.graph(types);
}

}  // namespace gregale::fuzz
