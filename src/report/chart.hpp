// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gregale::report {

/// One curve of a chart; NaN breaks it.
struct Curve {
  std::string name;
  std::vector<double> y;  ///< one value for each of the chart's x
  std::string colour;     ///< "c0" to "c7", or "ct" (the truth)
  bool dashed = false;
  bool dots = false;
  bool thin = false;  ///< what the main curve is compared with
};

/// Curves over common x values, drawn as SVG with axes, units and legend; a script shows the values at the pointer.
struct Chart {
  std::string title;
  std::string x_label, y_label, units;  ///< units follow the values under the pointer
  std::vector<double> x;
  std::vector<std::string> categories;  ///< x is 0, 1, 2, ... with these names; empty: numbers
  std::vector<Curve> curves;
  bool log_x = false, log_y = false;
  bool reference = false;  ///< draw a line at reference_value
  double reference_value = 0;
  std::string note;  ///< one sentence: how to read it
};

/// A <figure>. A chart without a finite point says so in words.
std::string chart_figure(const Chart& chart);

/// Round numbers for an axis from low to high, about `count` of them.
std::vector<double> nice_ticks(double low, double high, int count);
/// Powers of ten within [low, high], with 2 and 5 times them where there would be fewer than three.
std::vector<double> log_ticks(double low, double high);

/// A horizontal interval about zero, for a table cell, from -limit to limit; an arrow where the middle lies beyond.
std::string whisker(double low, double middle, double high, double limit, std::string_view description);

}  // namespace gregale::report
