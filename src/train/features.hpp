// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "train/problem.hpp"

namespace gregale::train {

/// Inputs of `batch` samples over `rollout` steps, in the units of the network. Tensors a problem has no use for are
/// empty.
struct Batch {
  Tensor stack;    ///< f32 [batch, window, variable, lat, lon]: n of the last records, oldest first; 0 where missing
  Tensor windows;  ///< f32 [batch, rollout, means, window]: weights that form the means of n before each step; records
                   ///< that are missing, or from before the training period, weigh nothing
  Tensor forcing;  ///< f32 [batch, rollout, channel, lat, lon] at the target times
  Tensor base_last;  ///< f32 [batch, variable, lat, lon]
  Tensor base_mean;  ///< f32 [batch, variable, lat, lon]
  Tensor truth;      ///< f32 [batch, rollout, variable, lat, lon]: n at the targets; 0 where missing
  Tensor mask;       ///< f32 like truth: 1 where there is a value

  static Batch allocate(const Problem& problem, int64_t batch, int64_t rollout, bool with_truth);
};

/// Places by which the window moves on at each step of a rollout: the forecast becomes the newest state, and what lies
/// between two forecasts (lead - 1 records) is not known. Throws ErrorCode::invalid_argument where the network needs
/// it.
int64_t rollout_shift(const Problem& problem);

/// Turns records into what the network sees. Pure functions of their arguments, so that any thread may fill any sample.
class Features {
 public:
  Features(const Problem& problem, const Records& records) : problem_(problem), records_(records) {}

  /// Fills place `i` of the batch for the initial record; truth for as many targets as the batch has steps, when
  /// `targets` is given. Target times beyond the file follow from the time step.
  void fill(Batch& batch, int64_t i, int64_t init, std::span<const int64_t> targets, const Reference& reference) const;

  /// n = (x - reference) / scale in place, of a record at `seconds`; returns whether every value is there (NaN becomes
  /// 0, and 0 in `mask` where given).
  bool normalise(float* field, int64_t seconds, const Reference& reference, float* mask = nullptr) const;
  /// x = n * scale + reference in place.
  void restore(float* field, int64_t seconds, const Reference& reference) const;
  /// Forcing channels at a target time into [channel, lat, lon]; `valid`: 1 where the initial state has values.
  void fill_forcing(float* out, int64_t seconds, const float* valid) const;
  /// Weights of the means over the places of a window that are `present` (the newest is): [means, window].
  void fill_windows(float* out, std::span<const uint8_t> present) const;

 private:
  const Problem& problem_;
  const Records& records_;
};

}  // namespace gregale::train
