// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gregale/context.hpp"

/// Loop nests as short strings, and the one executor that runs them (the idea of PARLOOPER: Georganas et al.,
/// "Harnessing deep learning and HPC kernels via high-level loop and tensor abstractions on CPU architectures", IPDPS
/// 2024; here strings are interpreted, no compiler is asked).
///
///     schedule := item+                     outermost loop first
///     item     := letter [grid] | '<' letter letter '>'
///     letter   := a..z sequential, A..Z parallel: the dim with that number (a: 0, b: 1, ...)
///     grid     := '{' count '}'             split this parallel loop into `count` parts of consecutive steps
///     < >                                   both loops along a generalised Hilbert curve: neighbours in time are
///                                           neighbours in the plane, whatever the extents
///
/// A letter that comes several times is a loop blocked several times: LoopDim::blocks gives the steps of its outer
/// occurrences, LoopDim::step that of its last. Parallel loops stand next to each other and are one region: its tasks
/// are the steps of the loops together, cut into runs of consecutive steps, or the cells of the grid where grids are
/// given. Loops outside the region are run by the caller, one region each.
///
/// A reduction dim is never parallel nor on a curve, and every loop ascends, so whatever the schedule, one element of
/// the result meets its summands in the same order: schedules never change bits.
namespace gregale::tile {

struct LoopDim {
  std::string name;
  int64_t extent = 0;
  int64_t step = 1;             ///< of the innermost loop
  std::vector<int64_t> blocks;  ///< steps of the outer loops, outermost first, multiples of what follows
  bool reduction = false;
};

inline constexpr int kMaxLoops = 16;
inline constexpr int kMaxDims = 12;

/// The part of the iteration space one call of the body gets: per dim, where it begins and how much it covers (the
/// step, or what is left of the extent).
struct LoopIndex {
  int64_t begin[kMaxDims] = {};
  int64_t size[kMaxDims] = {};
};

class LoopNest {
 public:
  /// Parses and verifies; throws ErrorCode::invalid_argument with the schedule and the place in it.
  LoopNest(std::vector<LoopDim> dims, const std::string& schedule);

  /// Calls body(index, thread) for every step of the innermost loops. Allocates nothing.
  template <class Body>
  void run(ThreadTeam& team, const Body& body) const {
    run_erased(
        team, [](const void* b, const LoopIndex& index, int thread) { (*static_cast<const Body*>(b))(index, thread); },
        &body);
  }

  const std::vector<LoopDim>& dims() const { return dims_; }
  const std::string& schedule() const { return schedule_; }
  /// Calls of the body, and tasks of a region for a team of `threads`.
  int64_t steps() const;
  int64_t tasks(int threads) const;

 private:
  using Call = void (*)(const void* body, const LoopIndex& index, int thread);
  struct Loop {
    int dim = 0;
    int64_t step = 1;
    int64_t grid = 0;  ///< parts, parallel loops only; 0: none
    bool parallel = false;
    bool curve = false;  ///< this loop and the next
  };
  struct Region;
  void run_erased(ThreadTeam& team, Call call, const void* body) const;
  template <class Next>
  void walk(int loop, int end, LoopIndex& index, const Next& next) const;
  void region(ThreadTeam& team, const LoopIndex& index, Call call, const void* body) const;

  std::vector<LoopDim> dims_;
  std::string schedule_;
  std::vector<Loop> loops_;
  int first_parallel_ = 0, end_parallel_ = 0;  // empty range: the whole nest is one task
};

/// Cell `index` of the generalised Hilbert curve over a `width` x `height` rectangle: every step goes to a neighbour,
/// for any extents (a diagonal step may occur where both are odd or one side is far longer). O(log) a call.
struct CurveCell {
  int64_t x = 0, y = 0;
};
CurveCell curve_cell(int64_t width, int64_t height, int64_t index);

}  // namespace gregale::tile
