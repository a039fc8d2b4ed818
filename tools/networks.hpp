// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "gregale/exec.hpp"
#include "tools/command.hpp"

/// The built-in networks of `bench model` and `inspect`, with random weights drawn from a seed.
namespace gregale::tools {

struct NetworkOptions {
  std::string name, precision = "fp32", mode = "infer", tune = "off";
  std::optional<int64_t> batch, length, width, depth;
  bool no_fusion = false;
};

void add_network_options(CLI::App& command, NetworkOptions& options);
/// Everything that can be wrong, before any work: ErrorCode::usage.
void check_network(const NetworkOptions& options);
/// The network with its weights as constants: one input, one result.
Graph build_network(const NetworkOptions& options, uint64_t seed);
CompileOptions compile_options(const NetworkOptions& options, int threads);
/// Standard normal numbers.
Tensor draw_input(ThreadTeam& team, const Type& type, uint64_t seed);

}  // namespace gregale::tools
