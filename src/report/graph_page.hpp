// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// A compiled graph as an interactive page: levels of its transformation to switch between, the steps it runs in, what
/// each of them costs. Plain data, so that whoever has a graph can show it (tools/inspect_page.cpp makes it from a
/// compiled program). All texts are untrusted.
namespace gregale::report {

/// A name and what stands behind it.
struct GraphDetail {
  std::string name, text;
};

/// A box of one level.
struct GraphNode {
  enum class Kind : uint8_t { input, output, product, elementwise, move, state, other };
  Kind kind = Kind::other;         ///< of a group: of what it grew around
  std::string label;               ///< the operator, or what the group is called
  std::vector<std::string> lines;  ///< below it: a type; of a group its operators
  std::string name;                ///< of what it makes, where it has one: found by the search, too
  bool group = false;              ///< several operators in one box
  int32_t step = -1;               ///< of GraphPage::steps: the one it runs in
  std::vector<GraphDetail> details;
};

/// Data that one node hands to another.
struct GraphEdge {
  int32_t from = 0, to = 0;
  double bytes = 0;
  std::string type;
};

struct GraphLevel {
  std::string name;     ///< one word: what the switch says
  std::string caption;  ///< one sentence: what is seen
  std::vector<GraphNode> nodes;
  std::vector<GraphEdge> edges;
};

/// One step of the compiled program and its ledger.
struct GraphStep {
  std::string label;                   ///< in a few words
  std::string lowering;                ///< how it runs: tile program, or the name of a kernel
  std::vector<std::string> operators;  ///< one a line, with their types
  std::string program;                 ///< the tile program's text; empty where there is none
  double flops = 0;
  double predicted_bytes = 0, counted_bytes = 0, least_bytes = 0;  ///< past L2
  double seconds = 0;                                              ///< measured; 0: not measured
  double predicted_seconds = 0, ceiling_seconds = 0;
  std::vector<GraphDetail> memory;  ///< buffers and scratch
};

struct GraphPage {
  std::string title;
  std::string subtitle;              ///< for what and with what it was compiled
  std::vector<GraphDetail> summary;  ///< figures at the top
  std::vector<std::string> notes;    ///< paragraphs below: what the figures mean
  std::vector<GraphLevel> levels;
  std::vector<GraphStep> steps;
};

/// The steps whose time, measured or else predicted, exceeds their ceiling the most, the worst first.
std::vector<int32_t> worst_steps(const GraphPage& page, size_t most = 10);

/// Throws ErrorCode::invalid_argument where an edge or a step names nothing.
std::string to_html(const GraphPage& page);
/// Written whole or not at all (base/file.hpp).
void write_graph_page(const std::string& path, const GraphPage& page);

}  // namespace gregale::report
