// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "train/config.hpp"

namespace gregale::train {

/// The learning rate as a pure function of the step, so that a resumed run continues exactly. Steps count from 0.
///
/// The first `warmup` steps rise linearly: peak·(step+1)/warmup, so that no step is wasted on a rate of 0 and step
/// warmup−1 has the peak. Then, with t = (step−warmup)/(steps−warmup) from 0 up to 1:
///   cosine    peak·(minimum + (1−minimum)·(1+cos πt)/2)      (Loshchilov and Hutter, "SGDR", ICLR 2017, one cycle)
///   step      peak·factor^⌊(step−warmup)/every⌋
///   constant  peak
/// From `steps` on, cosine stays at the minimum.
struct LearningRate {
  enum class Kind : uint8_t { cosine, step, constant };
  Kind kind = Kind::constant;
  double peak = 0;
  int64_t steps = 1;  ///< of the whole run
  int64_t warmup = 0;
  double minimum = 0;
  int64_t every = 1;
  double factor = 1;

  double operator()(int64_t step) const {
    if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
    switch (kind) {
      case Kind::constant:
        return peak;
      case Kind::step:
        return peak * std::pow(factor, static_cast<double>((step - warmup) / every));
      case Kind::cosine:
        break;
    }
    double t = steps > warmup ? static_cast<double>(step - warmup) / static_cast<double>(steps - warmup) : 1;
    return peak * (minimum + (1 - minimum) * (1 + std::cos(std::numbers::pi * std::min(t, 1.0))) / 2);
  }
};

/// The schedule of the main part, `steps` long (train.steps, or what train.epochs comes to).
inline LearningRate learning_rate(const RunConfig& config, int64_t steps) {
  const RunConfig::Schedule& schedule = config.schedule;
  return {.kind = schedule.name == "cosine" ? LearningRate::Kind::cosine
                  : schedule.name == "step" ? LearningRate::Kind::step
                                            : LearningRate::Kind::constant,
          .peak = config.optimizer.learning_rate,
          .steps = steps,
          .warmup = schedule.warmup,
          .minimum = schedule.minimum,
          .every = schedule.every,
          .factor = schedule.factor};
}

/// The schedule of the fine-tuning, whose steps count from 0 again: the same shape, its own peak, no warm-up.
inline LearningRate finetune_learning_rate(const RunConfig& config) {
  LearningRate rate = learning_rate(config, config.train.finetune.steps);
  rate.peak = config.train.finetune.learning_rate;
  rate.warmup = 0;
  return rate;
}

/// Clipping by the norm of the whole gradient (Pascanu et al., ICML 2013): what the gradient is multiplied by. 1 where
/// `largest` is 0 (off) or the norm is not above it. A norm that is not finite gives NaN or 0: the caller stops before.
inline double clip_factor(double norm, double largest) { return largest > 0 && norm > largest ? largest / norm : 1; }

/// Moving average of the weights: average ← d·average + (1−d)·weights after update `step` (from 0). The decay starts
/// small, d = min(decay, (1+step)/(10+step)), so that the random initial weights are soon forgotten (TensorFlow's
/// ExponentialMovingAverage with num_updates).
inline double ema_decay(double decay, int64_t step) {
  return std::min(decay, static_cast<double>(1 + step) / static_cast<double>(10 + step));
}

}  // namespace gregale::train
