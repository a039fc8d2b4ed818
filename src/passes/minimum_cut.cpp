// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/minimum_cut.hpp"

#include <algorithm>

#include "gregale/error.hpp"

namespace gregale::passes {

int32_t MinimumCut::add_vertex() {
  out_.emplace_back();
  return static_cast<int32_t>(out_.size()) - 1;
}

void MinimumCut::add_edge(int32_t from, int32_t to, double capacity) {
  GREGALE_ASSERT(capacity >= 0);
  out_[static_cast<size_t>(from)].push_back(static_cast<int32_t>(edges_.size()));
  edges_.push_back({to, capacity});
  out_[static_cast<size_t>(to)].push_back(static_cast<int32_t>(edges_.size()));
  edges_.push_back({from, 0});
}

bool MinimumCut::find_levels() {
  level_.assign(out_.size(), -1);
  level_[kSource] = 0;
  std::vector<int32_t> open{kSource};
  for (size_t i = 0; i < open.size(); ++i)
    for (const int32_t e : out_[static_cast<size_t>(open[i])]) {
      const Edge& edge = edges_[static_cast<size_t>(e)];
      if (edge.left <= 0 || level_[static_cast<size_t>(edge.to)] >= 0) continue;
      level_[static_cast<size_t>(edge.to)] = level_[static_cast<size_t>(open[i])] + 1;
      open.push_back(edge.to);
    }
  return level_[kSink] >= 0;
}

double MinimumCut::push(int32_t vertex, double most) {
  if (vertex == kSink) return most;
  const auto v = static_cast<size_t>(vertex);
  for (size_t& i = next_[v]; i < out_[v].size(); ++i) {
    const auto e = static_cast<size_t>(out_[v][i]);
    if (edges_[e].left <= 0 || level_[static_cast<size_t>(edges_[e].to)] != level_[v] + 1) continue;
    const double pushed = push(edges_[e].to, std::min(most, edges_[e].left));
    if (pushed <= 0) continue;
    edges_[e].left -= pushed;
    edges_[e ^ 1].left += pushed;
    return pushed;
  }
  return 0;
}

std::vector<bool> MinimumCut::solve() {
  while (find_levels()) {
    next_.assign(out_.size(), 0);
    for (;;) {
      const double pushed = push(kSource, kInfinite);
      GREGALE_ASSERT(pushed < kInfinite);  // source and sink joined by what must not be cut
      if (pushed <= 0) break;
    }
  }
  std::vector<bool> side(out_.size());
  for (size_t v = 0; v < side.size(); ++v) side[v] = level_[v] >= 0;
  return side;
}

}  // namespace gregale::passes
