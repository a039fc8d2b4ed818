// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "tools/networks.hpp"

/// ONNX files as subcommands take them. Built without ONNX, without_onnx.cpp has all of this, and refuses.
namespace gregale::tools {

/// Whether a model is named by its file, and not one of the built-in ones.
bool is_onnx_file(const std::string& name);

/// The wanted inputs of a file and everything else that can be wrong with the options, before any work.
void check_onnx_options(const NetworkOptions& options);
/// The model as one graph for these inputs, its weights among it. Throws ErrorCode::unsupported where what runs depends
/// on values that are computed.
Workload make_onnx_workload(const NetworkOptions& options, ThreadTeam& team, uint64_t seed);
/// `gregale bench model FILE.onnx`.
int bench_onnx(const Common& common, const NetworkOptions& options, std::optional<int64_t> runs);

/// `gregale info FILE.onnx`: a document for --json, and lines for a person.
struct OnnxDescription {
  nlohmann::json document;
  std::vector<std::pair<std::string, std::string>> lines;
};
OnnxDescription describe_onnx(const std::string& path);

}  // namespace gregale::tools
