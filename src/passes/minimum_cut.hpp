// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace gregale::passes {

/// The cheapest way to part the vertices of a directed graph into those on the source's side and those on the sink's:
/// the sum of the capacities that lead from the former to the latter is least. It answers questions of two choices for
/// each of many things, whose costs are of single things or of pairs that choose differently.
///
/// Method: augmenting paths of fewest edges in levels (Dinic, Soviet Math. Doklady 11, 1970).
class MinimumCut {
 public:
  static constexpr double kInfinite = std::numeric_limits<double>::infinity();
  static constexpr int32_t kSource = 0, kSink = 1;

  int32_t add_vertex();
  /// Adds to what it costs that `from` is on the source's side and `to` on the sink's; at least 0.
  void add_edge(int32_t from, int32_t to, double capacity);
  /// For each vertex whether it is on the source's side; of several cheapest cuts the one with the fewest there.
  std::vector<bool> solve();

 private:
  struct Edge {
    int32_t to = 0;
    double left = 0;
  };
  bool find_levels();
  double push(int32_t vertex, double most);

  std::vector<Edge> edges_;  ///< an edge and the way back follow each other
  std::vector<std::vector<int32_t>> out_ = std::vector<std::vector<int32_t>>(2);
  std::vector<int32_t> level_;
  std::vector<size_t> next_;
};

}  // namespace gregale::passes
