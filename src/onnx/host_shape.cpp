// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/operators.hpp"

namespace gregale::onnx {

std::vector<HostOp> shape_host_ops() { return {}; }

}  // namespace gregale::onnx
