// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "gregale/exec.hpp"
#include "tile/ledger.hpp"

namespace gregale::tools {

/// Bytes past L2 of one run of a group.
struct GroupBytes {
  double predicted = 0, counted = 0, least = 0;
};

/// Asks formula and simulated cache for each group of a program; repeated blocks are simulated once. Groups that are no
/// tile programs count their operands once.
class GroupLedger {
 public:
  GroupLedger(const Target& target, int threads) : target_(target), threads_(threads) {}

  GroupBytes of(const Executable::Group& group) {
    if (group.program == nullptr) {
      const auto bytes = static_cast<double>(group.operand_bytes);
      return {bytes, bytes, bytes};
    }
    const auto [at, fresh] = known_.try_emplace(tile::print(group.program->program()));
    if (fresh) {
      const tile::Traffic predicted = tile::predict(group.program->program(), target_);
      at->second = {predicted.bytes, tile::simulate(*group.program, target_, threads_).bytes, predicted.least};
    }
    return at->second;
  }

 private:
  Target target_;
  int threads_;
  std::map<std::string, GroupBytes> known_;
};

}  // namespace gregale::tools
