// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/safetensors.hpp"
#include "gregale/context.hpp"
#include "gregale/exec.hpp"
#include "score/scorecard.hpp"
#include "train/config.hpp"

namespace gregale::train {

/// What is measured now and then on the validation period, at the lead trained: RMSE a variable in its own units.
struct ValidationPoint {
  int64_t step = 0;
  double train_loss = 0;  ///< mean since the point before; NaN at the first
  double mean_ratio = 0;  ///< mean over variables of RMSE over that of climatology: what `best` is chosen by
  std::map<std::string, double> rmse;
};

struct TrainProgress {
  int64_t step = 0, total = 0;
  double seconds = 0;  ///< of this process
  double loss = 0, learning_rate = 0;
  const ValidationPoint* validation = nullptr;  ///< when one was just made
};

struct TrainOptions {
  std::string folder;   ///< where everything is written; made where missing
  bool resume = false;  ///< go on from the newest whole checkpoint; without it a folder that holds a run is refused
  std::vector<std::string> command_line;  ///< for train.json
  std::function<void(const TrainProgress&)> progress;
  std::function<void(const std::string&)> message;  ///< one line for a person: what was resumed, what was damaged
  const std::atomic<bool>* stop = nullptr;  ///< set from a signal handler: checkpoint, then ErrorCode::interrupted
  data::SinkFactory open = data::open_file_sink;  ///< how checkpoints are written; tests inject failures
  bool report = true;
  CompileOptions compile;  ///< of the training step
};

struct TrainResult {
  int64_t steps = 0;
  double seconds = 0;
  double loss = 0;
  ValidationPoint validation;                                      ///< of the final weights (or their moving average)
  std::map<std::string, std::map<std::string, double>> baselines;  ///< validation RMSE: baseline -> variable
  std::string weights_sha256;
  int64_t peak_rss_bytes = 0;
  double flops_per_step = 0;
  int64_t arena_bytes = 0, state_bytes = 0, parameters = 0;
  bool already_finished = false;
};

/// Trains the emulator a configuration describes and writes the folder of CLI.md: checkpoints (atomic, checksummed, the
/// last two), best.safetensors, model.safetensors, event files, report.html, train.json. Every draw is a function of
/// (seed, step), so a run that was killed and resumed ends with the same bits as one that was not, on any number of
/// threads. Throws ErrorCode::usage for a folder that holds a run, or a configuration unlike the one resumed;
/// ErrorCode::interrupted after saving when stopped; ErrorCode::invalid_argument where the loss is no number, naming
/// step, tensor and last checkpoint.
TrainResult train(const RunConfig& config, ExecutionContext& context, const TrainOptions& options);

/// The record order of training: sample `position` of epoch after epoch, each a permutation drawn from (seed, epoch).
class SampleOrder {
 public:
  SampleOrder(int64_t count, uint64_t seed) : count_(count), seed_(seed) {}
  int64_t at(int64_t position);

 private:
  int64_t count_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<int64_t> permutation_;
};

int64_t peak_rss_bytes();
/// What of the process is in memory now.
int64_t resident_bytes();
/// What a process has in memory before it reads anything: the program and its libraries.
inline constexpr int64_t kProgramBytes = 64 << 20;
/// What a process needs beside data, state and intermediate results: compiled kernels, packed constants, the
/// allocator's own.
inline constexpr int64_t kRuntimeBytes = 24 << 20;

}  // namespace gregale::train
