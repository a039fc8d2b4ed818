// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gregale/exec.hpp"
#include "tools/command.hpp"

/// The networks of `bench model` and `inspect`: built-in ones, with random weights drawn from a seed, and ONNX files.
namespace gregale::tools {

/// What is said of an ONNX model's inputs: NAME=FILE.npy, and NAME=1x3x224x224 for random values.
struct OnnxInputOptions {
  std::vector<std::string> files, shapes;
};
void add_onnx_input_options(Command& command, OnnxInputOptions& options);

struct NetworkOptions {
  std::string name, precision = "fp32", mode = "infer", tune = "off";
  std::optional<std::string> optimizer;    ///< adamw, sgd or none
  std::optional<std::string> memory;       ///< of the whole process, a size such as 1.5GB
  std::optional<std::string> activations;  ///< recompute, keep, bf16 or compress
  std::optional<int64_t> activation_bits;  ///< of compress
  std::optional<int64_t> batch, length, width, depth;
  bool no_fusion = false;
  OnnxInputOptions onnx;
};

void add_network_options(Command& command, NetworkOptions& options);
/// Everything that can be wrong, before any work: ErrorCode::usage.
void check_network(const NetworkOptions& options);

/// What one run takes. To infer: the network with its weights as constants, an input of standard normal numbers, one
/// result. To train: the step on the mean squared error against a second such tensor, and its state; without an
/// optimizer, the gradients of all weights, and of the operand of a layer, are results.
struct Workload {
  Graph graph;
  std::vector<Tensor> inputs;
  VariableValues state;
};
Workload make_workload(const NetworkOptions& options, ThreadTeam& team, uint64_t seed);
/// Compiles the workload within --memory: ErrorCode::out_of_memory tells how much would do.
Executable compile_workload(const NetworkOptions& options, const Workload& work, CompileOptions compile_options);
CompileOptions compile_options(const NetworkOptions& options, int threads);

}  // namespace gregale::tools
