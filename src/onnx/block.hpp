// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gregale/onnx.hpp"
#include "ops/onnx_node.hpp"

/// A model as it was read: names are resolved to slots, functions stand where they are called, nothing is computed yet.
namespace gregale::onnx {

struct Block;
struct StageTree;

/// One node. Operands and results are slots of the block it stands in; -1 for optional ones that are left out.
struct BlockNode {
  std::string name, op_type, domain;
  int64_t opset = 1;  ///< version of its domain
  std::vector<int> inputs, outputs;
  std::map<std::string, OnnxAttribute, std::less<>> attributes;
  std::map<std::string, std::shared_ptr<Block>, std::less<>> bodies;  ///< attributes that are graphs
  std::map<std::string, Port, std::less<>> types;                     ///< attributes that are types
  std::shared_ptr<Block> function;  ///< what the node stands for, where the file defines its operator

  /// "node 'conv1' (Conv)" for errors; a node without a name is called by its first result.
  std::string label;
};

/// A graph of the file: the model's own, a body of control flow, or a function at one of its calls. Values are slots,
/// each written once: inputs, captures and initializers first, then results in the order of the nodes.
struct Block {
  std::string name;
  std::vector<std::string> names;  ///< of slots
  std::vector<int> inputs, outputs;
  std::vector<Port> input_ports, output_ports;
  std::vector<std::pair<int, Datum>> initializers;
  std::vector<BlockNode> nodes;
  std::vector<std::pair<int, int>> captures;  ///< (slot of the block around this one, slot here)
  std::vector<int> last_use;          ///< of slots: the last node that reads it, nodes.size() for outputs, or -1
  std::shared_ptr<StageTree> stages;  ///< the programs it was compiled to (stages.hpp)

  Block();
  int64_t slots() const { return static_cast<int64_t>(names.size()); }
};

struct ReadModel {
  std::shared_ptr<Block> block;
  std::map<std::string, std::string> metadata;
  int64_t opset = 1, parameters = 0;
};

/// Reads and checks a file's bytes; `folder`: where tensors kept in files of their own may be.
ReadModel read_model(std::string_view bytes, const std::string& folder);

}  // namespace gregale::onnx
