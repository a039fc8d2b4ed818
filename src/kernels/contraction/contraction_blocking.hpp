// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gregale::kernels {

/// The vector registers a register block may use.
struct VectorUnit {
  bool evex = false;    ///< AVX-512: 32 registers, masks, broadcasts from memory
  int lanes = 8;        ///< accumulators in a full register
  int chains = 8;       ///< multiply-adds in flight that hide their latency
  bool halves = false;  ///< a register of half the width takes half the time
  /// Few chains fill the unit: small blocks, whose beginning overlaps the stores of the one before (measured: 4 x 64
  /// at 99% of the peak, 14 x 32 at 97%).
  bool small_blocks = false;
  int widen_a = 0;  ///< instructions that compete with multiply-adds for every value of a,
  int widen_b = 0;  ///< and for every register of b
};

/// `count` blocks of `rows` rows, one below the other.
struct RowRun {
  int rows = 0;
  int64_t count = 0;
};

/// `count` strips of `vectors` registers, side by side.
struct ColumnRun {
  static constexpr int kTailAtCall = -1;
  int vectors = 0;
  int tail = 0;  ///< columns in the last register, 0: all, kTailAtCall: 1 to all
  int64_t count = 0;
  int max_rows = 0;
  std::vector<RowRun> rows;  ///< empty where m is given at the call
};

/// How c is cut into blocks of accumulators that stay in registers. Bits do not depend on it.
struct Blocking {
  /// Where n is given at the call: ever wider strips, of which the widest that fits is taken. (One whose tail is given
  /// at the call fits from one column more than the one before.)
  std::vector<ColumnRun> columns;
};

struct BlockLimits {
  /// Rows are reached through a few registers, because the distance between them is known at the call alone.
  bool few_pointers = false;
  int min_vectors = 1, max_vectors = 4;  ///< in a strip; the last may be narrower
  bool exact = false;                    ///< no registers whose number of columns is known at the call alone
};

/// The cheapest cut. m and n may be kAtCall.
Blocking choose_blocking(const VectorUnit& unit, int64_t m, int64_t n, const BlockLimits& limits);
std::string to_string(const Blocking& blocking, const VectorUnit& unit);

}  // namespace gregale::kernels
