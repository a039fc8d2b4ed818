// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "onnx/host_op.hpp"

/// Every operator of ONNX that can be imported: mappings of single operators stand with the operators (OpDef::onnx),
/// those that take several are the families below, each in the file import_FAMILY.cpp, and host_*.cpp hold what runs
/// between programs.
namespace gregale::onnx {

std::vector<OnnxMapping> elementwise_mappings();
std::vector<OnnxMapping> layout_mappings();
std::vector<OnnxMapping> indexing_mappings();
std::vector<OnnxMapping> reduction_mappings();
std::vector<OnnxMapping> contraction_mappings();
std::vector<OnnxMapping> normalization_mappings();
std::vector<OnnxMapping> pooling_mappings();
std::vector<OnnxMapping> image_mappings();
std::vector<OnnxMapping> recurrent_mappings();
std::vector<OnnxMapping> attention_mappings();
std::vector<OnnxMapping> loss_mappings();
std::vector<OnnxMapping> quantization_mappings();
std::vector<OnnxMapping> signal_mappings();
std::vector<OnnxMapping> random_mappings();

/// The mapping or host operator for a node: that of the newest version not above its operator set; null where there is
/// none. `strings`: whether an operand holds strings.
const OnnxMapping* find_mapping(const BlockNode& node);
const HostOp* find_host_op(const BlockNode& node, bool strings);

}  // namespace gregale::onnx
