// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/intervals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "gregale/error.hpp"
#include "gregale/random.hpp"

namespace gregale::score {
namespace {

struct Sample {
  std::vector<double> model, baseline;
};

/// Squared errors of `times` months: a shared part (hard months are hard for both) and one's own; the baseline's
/// expected square is `gap` larger.
Sample synthetic(uint32_t sample, int times, double gap) {
  Sample out;
  for (int t = 0; t < times; ++t) {
    const auto index = static_cast<uint64_t>(3 * t);
    const RandomKey key{99, sample, 1};
    const double shared = 4 + 0.8 * random_normal(key, index);
    out.model.push_back(std::max(0.1, shared + 0.3 * random_normal(key, index + 1)));
    out.baseline.push_back(std::max(0.1, shared + gap + 0.3 * random_normal(key, index + 2)));
  }
  return out;
}

TEST(PairedBootstrap, IsDeterministicAndNamesTheDifference) {
  const Sample sample = synthetic(0, 24, 1);
  const PairedInterval first = paired_bootstrap(sample.model, sample.baseline);
  const PairedInterval again = paired_bootstrap(sample.model, sample.baseline);
  EXPECT_EQ(first.low95, again.low95);
  EXPECT_EQ(first.high95, again.high95);
  BootstrapOptions other;
  other.seed = 1;
  EXPECT_NE(paired_bootstrap(sample.model, sample.baseline, other).low95, first.low95);
  double model = 0, baseline = 0;
  for (size_t t = 0; t < 24; ++t) {
    model += sample.model[t] / 24;
    baseline += sample.baseline[t] / 24;
  }
  EXPECT_NEAR(first.difference, std::sqrt(model) - std::sqrt(baseline), 1e-12);
  EXPECT_LT(first.low95, first.difference);
  EXPECT_GT(first.high95, first.difference);
  EXPECT_EQ(first.times, 24);
}

TEST(PairedBootstrap, CoversTheTruthAboutAsOftenAsItSays) {
  // sqrt(4) - sqrt(4.25) in expectation. Percentile intervals of 24 draws are known to be a little narrow.
  const double expected = 2 - std::sqrt(4.25);
  BootstrapOptions options;
  options.resamples = 500;
  int covered = 0, below = 0;
  constexpr int kSamples = 500;
  for (uint32_t s = 0; s < kSamples; ++s) {
    const Sample sample = synthetic(s, 24, 0.25);
    const PairedInterval interval = paired_bootstrap(sample.model, sample.baseline, options);
    covered += interval.low95 <= expected && expected <= interval.high95;
    below += interval.high95 < expected;
  }
  EXPECT_GE(covered, kSamples * 0.90);
  EXPECT_LE(covered, kSamples * 0.98);
  EXPECT_LE(below, kSamples * 0.06);
}

TEST(PairedBootstrap, PairingRemovesWhatBothShare) {
  // The interval's width follows the differences (std about 0.42 / 4.1), not the months' own spread (0.8 and more).
  const Sample sample = synthetic(3, 24, 0.25);
  const PairedInterval interval = paired_bootstrap(sample.model, sample.baseline);
  const double width = interval.high95 - interval.low95;
  const double expected = 2 * 1.96 * (0.3 * std::sqrt(2.0)) / (2 * 2.03) / std::sqrt(24.0);
  EXPECT_NEAR(width / expected, 1, 0.4);
}

TEST(PairedBootstrap, Verdicts) {
  const Sample close = synthetic(1, 24, 0);
  const Sample far = synthetic(1, 24, 2);
  EXPECT_EQ(paired_bootstrap(far.model, far.baseline).verdict, Verdict::better);
  EXPECT_EQ(paired_bootstrap(far.baseline, far.model).verdict, Verdict::worse);
  const PairedInterval mirrored = paired_bootstrap(far.baseline, far.model);
  EXPECT_NEAR(mirrored.low95, -paired_bootstrap(far.model, far.baseline).high95, 1e-12);
  EXPECT_EQ(paired_bootstrap(close.model, close.model).verdict, Verdict::indistinguishable);
  EXPECT_STREQ(to_string(Verdict::better), "better");
  EXPECT_STREQ(to_string(Verdict::indistinguishable), "indistinguishable");
  EXPECT_STREQ(to_string(Verdict::worse), "worse");
}

TEST(PairedBootstrap, TooFewTimesGiveNoVerdict) {
  const std::vector<double> model{1, 1, 1, 1, 1}, baseline{9, 9, 8, 9, 9};
  const PairedInterval five = paired_bootstrap(model, baseline);
  EXPECT_LT(five.high95, 0);
  EXPECT_EQ(five.verdict, Verdict::indistinguishable);
  EXPECT_THAT(reliability_note(five), testing::HasSubstr("too few"));
  const PairedInterval one = paired_bootstrap(std::vector<double>{1}, std::vector<double>{4});
  EXPECT_DOUBLE_EQ(one.difference, -1);
  EXPECT_TRUE(std::isnan(one.low95));
  EXPECT_TRUE(std::isnan(paired_bootstrap({}, {}).difference));
}

TEST(PairedBootstrap, LeavesOutTimesMissingInEither) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> model{1, kNan, 4, 1, 1, 1, 1}, baseline{4, 4, kNan, 4, 4, 4, 4};
  const PairedInterval interval = paired_bootstrap(model, baseline);
  EXPECT_EQ(interval.times, 5);
  EXPECT_DOUBLE_EQ(interval.difference, -1);
}

TEST(PairedBootstrap, AForecastThatBlowsUpIsWorse) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> model{1, 1, 1, kInf, 1, 1, 1}, baseline{4, 4, 4, 4, 4, 4, 4};
  EXPECT_EQ(paired_bootstrap(model, baseline).verdict, Verdict::worse);
  EXPECT_EQ(paired_bootstrap(baseline, model).verdict, Verdict::better);
  EXPECT_EQ(paired_bootstrap(model, model).verdict, Verdict::indistinguishable);
}

/// Differences that follow an AR(1) process with coefficient 0.8.
Sample correlated(uint32_t sample, int times) {
  Sample out;
  double state = 0;
  for (int t = -50; t < times; ++t) {
    state = 0.8 * state + 0.6 * random_normal({5, sample, 2}, static_cast<uint64_t>(t + 50));
    if (t < 0) continue;
    out.model.push_back(10 + state);
    out.baseline.push_back(10);
  }
  return out;
}

TEST(PairedBootstrap, BlocksWidenTheIntervalOfCorrelatedErrors) {
  BootstrapOptions single, blocks;
  single.resamples = blocks.resamples = 400;
  blocks.block = 12;
  int covered_single = 0, covered_blocks = 0;
  constexpr int kSamples = 200;
  for (uint32_t s = 0; s < kSamples; ++s) {
    const Sample sample = correlated(s, 120);
    const auto covers = [](const PairedInterval& interval) { return interval.low95 <= 0 && 0 <= interval.high95; };
    covered_single += covers(paired_bootstrap(sample.model, sample.baseline, single));
    covered_blocks += covers(paired_bootstrap(sample.model, sample.baseline, blocks));
  }
  EXPECT_LT(covered_single, kSamples * 0.65);
  EXPECT_GT(covered_blocks, kSamples * 0.75);
  const Sample sample = correlated(0, 120);
  const PairedInterval interval = paired_bootstrap(sample.model, sample.baseline, single);
  EXPECT_GT(interval.lag1, 0.5);
  EXPECT_THAT(reliability_note(interval), testing::HasSubstr("too narrow"));
  EXPECT_EQ(reliability_note(paired_bootstrap(sample.model, sample.baseline, blocks)), "");
}

TEST(PairedBootstrap, RefusesWhatMakesNoSense) {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  EXPECT_THROW(paired_bootstrap(two, three), Error);
  EXPECT_THROW(paired_bootstrap(two, std::vector<double>{1, -1}), Error);
  BootstrapOptions options;
  options.block = 3;
  EXPECT_THROW(paired_bootstrap(two, two, options), Error);
  options = {};
  options.resamples = 10;
  EXPECT_THROW(paired_bootstrap(two, two, options), Error);
}

}  // namespace
}  // namespace gregale::score
