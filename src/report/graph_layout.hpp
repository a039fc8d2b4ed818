// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace gregale::report {

struct Point {
  double x = 0, y = 0;
};

struct LayoutBox {
  double width = 0, height = 0;
};

/// Where boxes and the lines between them go. Data flows down; deep graphs are broken into columns that are read from
/// left to right, so that the whole has about the proportions of a screen.
struct GraphLayout {
  std::vector<Point> boxes;  ///< upper left corners
  /// From the source's lower edge to the target's upper edge, through points where the line is vertical; between
  /// columns from the source's right edge to the target's left edge, where it is horizontal.
  struct Line {
    bool across = false;
    std::vector<Point> points;
  };
  std::vector<Line> lines;
  double width = 0, height = 0;
  int columns = 1;
};

/// A line to be drawn. The heavier, the straighter.
struct LayoutEdge {
  int32_t from = 0, to = 0;
  double weight = 1;   ///< above 0
  bool loose = false;  ///< goes straight across the boxes in between, and moves none of them
};

/// Layers by longest paths, as late as their readers allow; orders by barycentres; positions by least squares within
/// an order (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures", 1981).
/// Edges that close a cycle do not count for layers. `aspect`: width over height
/// aimed at.
GraphLayout lay_out(const std::vector<LayoutBox>& boxes, const std::vector<LayoutEdge>& edges, double aspect = 1.35);

}  // namespace gregale::report
