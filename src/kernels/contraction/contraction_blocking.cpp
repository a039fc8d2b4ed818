// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction/contraction_blocking.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/kernel.hpp"

namespace gregale::kernels {
namespace {

/// Rows cut into as few blocks as possible, as equal as possible: 14 + 14 + 1 would leave most of the multiply-adds of
/// the last without company.
std::vector<RowRun> cut_rows(int64_t m, int most) {
  std::vector<RowRun> runs;
  if (m == 0) return runs;
  const int64_t blocks = (m + most - 1) / most, larger = m % blocks;
  const int rows = static_cast<int>(m / blocks);
  if (larger > 0) runs.push_back({rows + 1, larger});
  if (blocks > larger) runs.push_back({rows, blocks - larger});
  return runs;
}

bool is_half(const VectorUnit& unit, const ColumnRun& column) {
  return unit.halves && column.tail > 0 && column.tail <= unit.lanes / 2;
}

/// Time of a strip of columns for one k, in full-width multiply-adds.
double cost_of(const VectorUnit& unit, const ColumnRun& column) {
  const bool half = is_half(unit, column);
  // One and a half registers leave a tenth of the unit idle (measured).
  const double width = half && column.vectors == 2 ? 1.65 : column.vectors - (half ? 0.5 : 0.0);
  // Every block reads b again, of deep sums from L2: few blocks of many rows (measured: 2 to 4% of convolutional
  // networks, on AVX-512 that needs many chains).
  const double reads_b = (unit.evex && !unit.small_blocks ? 0.5 : 0.02) * column.vectors;
  double cost = 0;
  for (const RowRun& run : column.rows) {
    // Loads share the front end with the multiply-adds; they matter in narrow blocks.
    const double block = std::max(
        {run.rows * width, static_cast<double>(unit.chains), (run.rows + column.vectors + run.rows * width) * 0.55});
    cost += static_cast<double>(run.count) * (block + 0.3 + reads_b);
  }
  return cost * static_cast<double>(column.count);
}

/// Rows of the largest block as wide as `column`.
int max_rows(const VectorUnit& unit, const ColumnRun& column, bool few_pointers) {
  constexpr int kWide[] = {0, 24, 14, 9, 6, 5, 4, 3, 2}, kNarrow[] = {0, 12, 6, 4, 2, 2, 1, 1};
  constexpr int kSmall[] = {0, 12, 7, 4, 4, 3, 3, 2, 2};
  const bool small = unit.small_blocks && !(column.vectors == 1 && is_half(unit, column));
  const int rows = (!unit.evex ? kNarrow : small ? kSmall : kWide)[column.vectors];
  return few_pointers ? std::min(rows, 15) : rows;
}

}  // namespace

Blocking choose_blocking(const VectorUnit& unit, int64_t m, int64_t n, const BlockLimits& limits) {
  Blocking best;
  if (m == 0 || n == 0) return best;
  const auto strip = [&](int vectors, int tail, int64_t count) {
    ColumnRun column{vectors, tail, count, 0, {}};
    column.max_rows = max_rows(unit, column, limits.few_pointers);
    if (m != kAtCall) column.rows = cut_rows(m, column.max_rows);
    return column;
  };
  if (n == kAtCall) {  // every width is compiled, so they are few
    const int widest = std::min(2, limits.max_vectors);
    // Strips of a panel's part end the row: the next would not begin where a panel does.
    const int finest = limits.exact ? limits.min_vectors * unit.lanes : 0;
    for (int columns = 1; columns < finest; ++columns) {
      ColumnRun column = strip((columns + unit.lanes - 1) / unit.lanes, columns % unit.lanes, 1);
      column.max_rows = std::min(column.max_rows, 4);
      if (m != kAtCall) column.rows = cut_rows(m, column.max_rows);
      best.columns.push_back(column);
    }
    for (int width = limits.exact ? limits.min_vectors : 1; width <= widest; ++width) {
      best.columns.push_back(strip(width, limits.exact ? 0 : ColumnRun::kTailAtCall, 1));
    }
    // AVX2 pays for masks; AVX-512 does not.
    if (!limits.exact && !unit.evex) best.columns.push_back(strip(widest, 0, 1));
    return best;
  }
  const int64_t vectors = (n + unit.lanes - 1) / unit.lanes;
  const int tail = static_cast<int>(n % unit.lanes);
  double best_cost = -1;
  for (int width = limits.min_vectors; width <= limits.max_vectors; ++width) {
    const int64_t strips = (vectors + width - 1) / width, larger = vectors % strips;
    const int narrow = static_cast<int>(vectors / strips);
    if (narrow + (larger > 0 ? 1 : 0) > limits.max_vectors) continue;
    Blocking cut;
    if (larger > 0) cut.columns.push_back(strip(narrow + 1, 0, larger));
    if (strips > larger) cut.columns.push_back(strip(narrow, 0, strips - larger));
    if (tail > 0) {  // in the last strip
      const ColumnRun last = strip(cut.columns.back().vectors, tail, 1);
      if (--cut.columns.back().count == 0) cut.columns.pop_back();
      cut.columns.push_back(last);
    }
    double cost = 0;
    if (m == kAtCall) {  // the largest block is what most of the time goes to
      for (ColumnRun column : cut.columns) {
        column.rows = {{column.max_rows, 1}};
        cost += cost_of(unit, column) / column.max_rows;
      }
    } else {
      for (const ColumnRun& column : cut.columns) cost += cost_of(unit, column);
    }
    if (best_cost < 0 || cost < best_cost) {
      best_cost = cost;
      best = cut;
    }
  }
  return best;
}

std::string to_string(const Blocking& blocking, const VectorUnit& unit) {
  std::string text;
  for (const ColumnRun& column : blocking.columns) {
    const int width = (column.vectors - (column.tail > 0 ? 1 : 0)) * unit.lanes + std::max(column.tail, 0);
    const auto add = [&](int64_t count, int rows, const char* more) {
      if (!text.empty()) text += ", ";
      text +=
          fmt::format("{} of {}{}x{}{}", count, more, rows, column.tail == ColumnRun::kTailAtCall ? "<=" : "", width);
    };
    for (const RowRun& run : column.rows) add(run.count * column.count, run.rows, "");
    if (column.rows.empty()) add(column.count, column.max_rows, "<=");
  }
  return text.empty() ? "no blocks" : "blocks: " + text;
}

}  // namespace gregale::kernels
