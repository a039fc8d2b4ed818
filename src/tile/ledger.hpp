// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gregale/context.hpp"
#include "tile/program_executor.hpp"
#include "tile/tile_program.hpp"

/// Bytes that a tile program moves between memory and one core's L2: predicted by a formula of its loops, and counted
/// by replaying the executor's calls through a simulated cache. The two know nothing of each other.
namespace gregale::tile {

struct Traffic {
  double bytes = 0;  ///< read into and written back from L2
  double least = 0;  ///< each element of each argument that is touched once: what no schedule can go below
};

/// The closed formula. Of every call's operands, what one step of a loop touches is loaded again by the next step
/// unless all that the step touches stays in the cache; loops that an operand does not move with reuse it as long as
/// that holds.
Traffic predict(const TileProgram& program, const Target& target);

/// The count: `threads` consecutive shares of every region, each with its own cache of the target's L2 size, lines of
/// 64 bytes, least recently used first out, written lines written back. Runs the program on memory of its own.
Traffic simulate(const CompiledProgram& program, const Target& target, int threads);

/// A set-associative cache with LRU replacement.
class CacheSimulator {
 public:
  explicit CacheSimulator(int64_t bytes, int ways = 16);
  /// Touches every line of [address, address + bytes).
  void access(uint64_t address, int64_t bytes, bool write, bool read = true);
  void flush();  ///< writes back what is dirty and forgets all
  int64_t loaded() const { return loaded_; }
  int64_t written_back() const { return written_back_; }

 private:
  void touch(uint64_t line, bool write, bool load);
  struct Way {
    uint64_t line = ~uint64_t{0};
    uint64_t used = 0;
    bool dirty = false;
  };
  int ways_;
  uint64_t sets_, clock_ = 0;
  std::vector<Way> table_;
  int64_t loaded_ = 0, written_back_ = 0;
};

}  // namespace gregale::tile
