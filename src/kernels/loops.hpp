// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "kernels/common.hpp"

/// Loops over several strided arrays of the same extents. For drivers; *_isa.cpp files must not include this.
namespace gregale::kernels {

/// `Count` operands over [extents...], as few dims as describe them (at least one).
template <int Count>
struct Loops {
  int rank = 0;
  int64_t extents[kMaxRank] = {};
  int64_t strides[kMaxRank][Count] = {};

  int64_t inner() const { return extents[rank - 1]; }
  int64_t rows() const {
    int64_t rows = 1;
    for (int i = 0; i + 1 < rank; ++i) rows *= extents[i];
    return rows;
  }
};

inline void dense_strides(int rank, const int64_t* extents, int64_t* strides) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    strides[i] = step;
    step *= extents[i];
  }
}

/// Drops extents of 1 and merges neighbours that every operand walks through evenly.
template <int Count>
Loops<Count> collapse(int rank, const int64_t* extents, const int64_t* const (&strides)[Count]) {
  Loops<Count> loops;
  for (int i = 0; i < rank; ++i) {
    if (extents[i] == 1) continue;
    bool merge = loops.rank > 0;
    if (merge) {
      for (int j = 0; j < Count; ++j) merge &= loops.strides[loops.rank - 1][j] == strides[j][i] * extents[i];
    }
    const int at = merge ? loops.rank - 1 : loops.rank++;
    loops.extents[at] = merge ? loops.extents[at] * extents[i] : extents[i];
    for (int j = 0; j < Count; ++j) loops.strides[at][j] = strides[j][i];
  }
  if (loops.rank == 0) {
    loops.rank = 1;
    loops.extents[0] = 1;
  }
  return loops;
}

/// Calls body(offsets, n) for pieces of innermost rows: offsets[j] is where operand j's piece begins. Rows are cut into
/// pieces of kElementGrain / 2, and pieces shared among threads.
template <int Count, class Body>
void for_rows(ThreadTeam& team, const Loops<Count>& loops, Body&& body) {
  const int64_t n = loops.inner(), rows = loops.rows();
  if (n == 0 || rows == 0) return;
  const int64_t piece = kElementGrain / 2;
  const int64_t pieces = (n + piece - 1) / piece;
  const int64_t grain = std::max<int64_t>(1, kElementGrain / std::min(n, piece));
  const int inner = loops.rank - 1;
  parallel_for(team, rows * pieces, grain, [&](int64_t begin, int64_t end, int) {
    int64_t index[kMaxRank] = {};
    int64_t base[Count] = {};
    int64_t row = begin / pieces;
    for (int i = inner - 1; i >= 0; --i) {
      index[i] = row % loops.extents[i];
      row /= loops.extents[i];
      for (int j = 0; j < Count; ++j) base[j] += index[i] * loops.strides[i][j];
    }
    int64_t part = begin % pieces;
    for (int64_t t = begin; t < end; ++t) {
      int64_t offsets[Count];
      for (int j = 0; j < Count; ++j) offsets[j] = base[j] + part * piece * loops.strides[inner][j];
      body(offsets, std::min(piece, n - part * piece));
      if (++part < pieces) continue;
      part = 0;
      for (int i = inner - 1; i >= 0; --i) {
        for (int j = 0; j < Count; ++j) base[j] += loops.strides[i][j];
        if (++index[i] < loops.extents[i]) break;
        for (int j = 0; j < Count; ++j) base[j] -= loops.extents[i] * loops.strides[i][j];
        index[i] = 0;
      }
    }
  });
}

}  // namespace gregale::kernels
