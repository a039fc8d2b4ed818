// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "gregale/onnx.hpp"
#include "tools/onnx.hpp"

/// What `run`, `bench model` and `inspect` have in common of ONNX files: their inputs.
namespace gregale::tools {

/// Reads the model for these options. What is wrong with the file is told with its path.
onnx::Model load_onnx(const std::string& path, CompileOptions options);

struct OnnxInputs {
  std::vector<onnx::Datum> values;  ///< in the order of the model's inputs
  std::vector<std::string> notes;   ///< what was chosen, and not given
};
/// What --input and --input-shape say of the model's inputs: arrays of files; else random numbers, standard normal
/// ones, or 0 and 1 for integers. The others: refused where `all_given` is wanted, with a list of the inputs, and drawn
/// otherwise, 1 for every dim that nothing given tells.
OnnxInputs make_onnx_inputs(const onnx::Model& model, const OnnxInputOptions& options, bool all_given, ThreadTeam& team,
                            uint64_t seed);

}  // namespace gregale::tools
