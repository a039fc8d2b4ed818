// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "data/safetensors.hpp"
#include "gregale/graph.hpp"
#include "train/moments.hpp"

namespace gregale::train {

/// Everything a run needs to go on as if it had never stopped.
struct Checkpoint {
  int64_t step = 0;
  VariableValues state;                  ///< parameters, moments, moving averages, step
  nlohmann::json config;                 ///< of the run
  std::string fingerprint;               ///< of its data
  nlohmann::json history;                ///< validation points and losses so far, as the report shows them
  nlohmann::json activations = nullptr;  ///< bits that were chosen for them, and when; null: none were
};

std::string checkpoint_path(const std::string& folder, int64_t step);

/// Writes checkpoint-STEP.safetensors atomically, then removes all but it and the one before. Later ones go too: they
/// were damaged, or the run would not have begun before them.
/// `moments`: the bound of Adam's moments (pack_moments), 0 where they are exact; all else always is.
MomentsCertificate write_checkpoint(const std::string& folder, const Checkpoint& checkpoint,
                                    const data::SinkFactory& open = data::open_file_sink, double moments = 0);

struct FoundCheckpoint {
  Checkpoint checkpoint;
  std::vector<std::string> damaged;  ///< messages of newer ones that could not be used
};
/// The newest checkpoint of a folder that is whole; nothing where there is no checkpoint. Throws
/// ErrorCode::corrupt_data where there are some and none is whole.
std::optional<FoundCheckpoint> find_checkpoint(const std::string& folder);

/// Steps of the checkpoints in a folder, ascending, whole or not.
std::vector<int64_t> checkpoint_steps(const std::string& folder);

}  // namespace gregale::train
