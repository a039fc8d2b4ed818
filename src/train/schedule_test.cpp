// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace gregale::train {
namespace {

TEST(LearningRate, WarmUpRisesLinearlyToThePeak) {
  LearningRate rate{.kind = LearningRate::Kind::constant, .peak = 2, .steps = 100, .warmup = 4};
  EXPECT_DOUBLE_EQ(rate(0), 0.5);
  EXPECT_DOUBLE_EQ(rate(1), 1);
  EXPECT_DOUBLE_EQ(rate(3), 2);
  EXPECT_DOUBLE_EQ(rate(4), 2);
  EXPECT_DOUBLE_EQ(rate(1000), 2);
}

TEST(LearningRate, CosineFallsToTheMinimum) {
  LearningRate rate{.kind = LearningRate::Kind::cosine, .peak = 3, .steps = 110, .warmup = 10, .minimum = 0.1};
  EXPECT_DOUBLE_EQ(rate(10), 3);
  EXPECT_DOUBLE_EQ(rate(60), 3 * (0.1 + 0.9 / 2));
  EXPECT_DOUBLE_EQ(rate(35), 3 * (0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2));
  EXPECT_DOUBLE_EQ(rate(110), 0.3);
  EXPECT_DOUBLE_EQ(rate(std::numeric_limits<int32_t>::max()), 0.3);
  for (int64_t step = 10; step < 110; ++step) EXPECT_GT(rate(step), rate(step + 1)) << step;
}

TEST(LearningRate, StepsFall) {
  LearningRate rate{.kind = LearningRate::Kind::step, .peak = 1, .steps = 100, .warmup = 5, .every = 10, .factor = 0.5};
  EXPECT_DOUBLE_EQ(rate(5), 1);
  EXPECT_DOUBLE_EQ(rate(14), 1);
  EXPECT_DOUBLE_EQ(rate(15), 0.5);
  EXPECT_DOUBLE_EQ(rate(35), 0.125);
}

TEST(LearningRate, WarmUpLongerThanTheRunNeverDividesByZero) {
  for (int64_t steps : {0, 1, 5}) {
    LearningRate rate{.kind = LearningRate::Kind::cosine, .peak = 1, .steps = steps, .warmup = 5};
    EXPECT_DOUBLE_EQ(rate(4), 1);
    EXPECT_DOUBLE_EQ(rate(5), 0);
  }
}

TEST(LearningRate, FollowsTheConfiguration) {
  RunConfig config;
  config.optimizer.learning_rate = 0.5;
  config.schedule.warmup = 2;
  config.train.finetune = {.steps = 10, .rollout = 2, .learning_rate = 0.25};
  EXPECT_DOUBLE_EQ(learning_rate(config, 20)(0), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(config, 20)(11), 0.25);
  EXPECT_DOUBLE_EQ(finetune_learning_rate(config)(0), 0.25);
  EXPECT_DOUBLE_EQ(finetune_learning_rate(config)(5), 0.125);
  config.schedule.name = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(config, 20)(19), 0.5);
}

TEST(Clipping, OnlyShortens) {
  EXPECT_EQ(clip_factor(0.5, 1), 1);
  EXPECT_EQ(clip_factor(4, 1), 0.25);
  EXPECT_EQ(clip_factor(4, 0), 1);
  EXPECT_EQ(clip_factor(0, 1), 1);
}

TEST(MovingAverage, StartsFastAndReachesItsDecay) {
  EXPECT_DOUBLE_EQ(ema_decay(0.999, 0), 0.1);
  EXPECT_DOUBLE_EQ(ema_decay(0.999, 90), 0.91);
  EXPECT_DOUBLE_EQ(ema_decay(0.999, 1'000'000), 0.999);
  EXPECT_DOUBLE_EQ(ema_decay(0, 5), 0);
}

}  // namespace
}  // namespace gregale::train
