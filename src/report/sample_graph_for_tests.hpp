// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// For tests: made-up compiled graphs as pages.
#pragma once

#include <string>

#include "report/graph_page.hpp"

namespace gregale::report {

inline constexpr const char* kHostileName = "</script><img src=x onerror=alert(1)>&\"'\xff";

/// A residual network of `blocks` blocks of four operators (product, addition, nonlinearity, residual addition), each
/// block a group; levels differ in their numbers of nodes. Times grow with the block's number.
inline GraphPage sample_graph_page(int blocks, const std::string& name = "sample network") {
  GraphPage page;
  page.title = name;
  page.subtitle = "Made up, for tests";
  page.summary = {{"measured", "12 ms"}, {"lower bound", "3.1 MB"}};
  page.notes = {"Bytes are made up."};
  const std::string type = "f32[64,256]";
  constexpr double kBytes = 64 * 256 * 4;
  const auto graph = [&](const std::string& level_name, int per_block, bool groups) {
    GraphLevel level;
    level.name = level_name;
    level.caption = "Level " + level_name + ".";
    level.nodes.push_back({GraphNode::Kind::input, name + " input", {type}});
    for (int b = 0; b < blocks; ++b) {
      const int32_t before = static_cast<int32_t>(level.nodes.size()) - 1;
      for (int i = 0; i < per_block; ++i) {
        static constexpr const char* kOps[] = {"matmul", "add", "gelu", "residual", "cast"};
        static constexpr GraphNode::Kind kKinds[] = {GraphNode::Kind::product, GraphNode::Kind::elementwise,
                                                     GraphNode::Kind::elementwise, GraphNode::Kind::elementwise,
                                                     GraphNode::Kind::move};
        GraphNode node{kKinds[i], groups ? "block " + std::to_string(b) : kOps[i]};
        node.lines = groups ? std::vector<std::string>{"matmul  " + type, "add  " + type, "gelu  " + type}
                            : std::vector<std::string>{type};
        node.name = "layer" + std::to_string(b) + "/" + node.label;
        node.group = groups;
        node.step = b;
        node.details = {{"axis", "1"}, {"weights", "constant, f32[256,256], 262 kB"}};
        const auto at = static_cast<int32_t>(level.nodes.size());
        level.edges.push_back({at - 1, at, kBytes, type});
        if (i == 3) level.edges.push_back({before, at, kBytes / 4, "bf16[64,128]"});
        level.nodes.push_back(std::move(node));
      }
    }
    const auto last = static_cast<int32_t>(level.nodes.size());
    level.nodes.push_back({GraphNode::Kind::output, "y", {type}});
    level.edges.push_back({last - 1, last, kBytes, type});
    page.levels.push_back(std::move(level));
  };
  graph("imported", 5, false);
  graph("rewritten", 4, false);
  graph("fused", 1, true);
  graph("tiled", 1, true);
  for (int b = 0; b < blocks; ++b) {
    GraphStep step;
    step.label = "matmul add gelu";
    step.lowering = "tile program";
    step.operators = {"matmul  " + type, "add  " + type, "gelu  " + type};
    step.program = "program \"matmul add gelu\" {\n  dim a \"rows\" 64 step 16\n}";
    step.flops = 2.0 * 64 * 256 * 256;
    step.predicted_bytes = 1.1e6;
    step.counted_bytes = 1.2e6;
    step.least_bytes = 0.9e6;
    step.ceiling_seconds = 1e-4;
    step.predicted_seconds = 2e-4;
    step.seconds = 1e-4 * (1 + b % 17 + 0.001 * b);
    step.memory = {{"reads", "arena + 0, 65.5 kB"}};
    page.steps.push_back(std::move(step));
  }
  return page;
}

}  // namespace gregale::report
