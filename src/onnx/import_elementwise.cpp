// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "gregale/ops.hpp"
#include "onnx/operators.hpp"

namespace gregale::onnx {

std::vector<OnnxMapping> elementwise_mappings() { return {}; }

}  // namespace gregale::onnx
