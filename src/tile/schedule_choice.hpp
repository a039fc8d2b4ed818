// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gregale/error.hpp"

namespace gregale::tile {

/// How a fused group is cut into blocks and in which order they run: only what no bit of a result depends on. (Blocks
/// of k are part of the numerical recipe, so there is no choice of them.) Zero and `formula` leave it to the formulas
/// of lower_region.
struct ScheduleChoice {
  enum class Order : uint8_t {
    formula,
    rows,     ///< blocks that follow each other share columns last: a row of blocks after another
    columns,  ///< a column of blocks after another
    curve,    ///< along a Hilbert curve
  };
  enum class Right : uint8_t {
    formula,
    packed,  ///< what is multiplied from the right is packed first
    direct,  ///< it is read where it is
  };
  int64_t rows = 0;     ///< of a block
  int64_t columns = 0;  ///< of a block: a task's of a product, a call's in a chain, a tile's of an expression
  Order order = Order::formula;
  Right right = Right::formula;
  bool operator==(const ScheduleChoice&) const = default;
};

/// "rows=96 columns=128 order=curve right=packed", in this order and without what is left to the formulas; "" for the
/// formulas' own schedule.
std::string to_string(const ScheduleChoice& choice);
/// Reads exactly what to_string writes; the error says what it found.
Result<ScheduleChoice> parse_schedule_choice(const std::string& text);

/// What may be chosen for a group, and what the formulas took.
struct ScheduleFreedom {
  ScheduleChoice made;                    ///< `formula` and 0 where there is nothing to choose
  int64_t rows = 1, columns = 1;          ///< that are cut
  int64_t row_unit = 1, column_unit = 1;  ///< what blocks should be multiples of
};

/// The schedules around the formulas' own, which comes first: half and twice the rows and columns, the other orders,
/// the other way to read what is multiplied from the right.
std::vector<ScheduleChoice> schedules_around(const ScheduleFreedom& freedom);

}  // namespace gregale::tile
