// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "gregale/context.hpp"
#include "tile/schedule_choice.hpp"

namespace gregale::passes {

/// What tuning chose, kept in a file: {"version": 1, "machines": {MACHINE: {GROUP: choice}}}. A machine is CPU,
/// instruction set, cores, caches and the program's version; a group is the hash of its printed body. Two groups of one
/// hash would share a choice, which costs time, not bits.
///
/// The file is nobody's responsibility: where it is missing, damaged, too large or cannot be written, tuning goes on
/// without it, and GREGALE_LOG=tune says so once.
class TuneCache {
 public:
  /// Reads what the file at `path` knows of this target. An empty path: nothing is read or written.
  TuneCache(std::string path, const Target& target);

  /// What was chosen for a group; null where it was never tuned here.
  const tile::ScheduleChoice* find(const std::string& group) const;
  void set(const std::string& group, const tile::ScheduleChoice& choice);
  /// Writes what was set since, beside what the file holds by then. Never throws for what the system refuses.
  void save();

 private:
  std::string path_, machine_;
  std::map<std::string, tile::ScheduleChoice> known_, fresh_;
};

/// ${XDG_CACHE_HOME:-~/.cache}/gregale/tune.json; empty where neither variable holds an absolute path.
std::string default_tune_cache();

/// Of a printed body and which of its inputs are constant: 16 hexadecimal digits.
std::string hash_of_group(const std::string& text);

}  // namespace gregale::passes
