// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The shipped configuration on the real winds: the baselines, learnt and laid out as training does it, against scores
// that were computed independently.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "train/evaluation.hpp"

namespace gregale::train {
namespace {

constexpr const char* kWinds = "/usr/share/ferret-vis/data/monthly_navy_winds.cdf";

TEST(WindsProblem, BaselinesScoreAsPublished) {
  ASSERT_TRUE(std::filesystem::exists(kWinds)) << kWinds << " is missing: install the package ferret-datasets";
  const RunConfig config = load_config(GREGALE_WINDS_CONFIG);
  const Records records(data::FieldDataset::open(config.data.path, config.data.variables));
  const Problem problem = learn_problem(config, records);
  const Timeline timeline = make_timeline(problem, records);
  const auto inits = inits_for(problem, records.time(), data::records_in(records.time(), {"1991", "1992"}), 1);
  ASSERT_EQ(inits.size(), 24U);
  EXPECT_EQ(records.time().label(inits.front()), "1990-12");
  score::ScoreRequest request;
  request.variables = problem.variable_names();
  request.latitudes = problem.grid.latitudes();
  request.row_weights = problem.grid.row_weights();
  request.cases = {make_case(problem, timeline, inits, 1, kScoredBaselines)};
  const score::Scorecard card = score::make_scorecard(request);
  const std::map<std::string, std::pair<double, double>> published = {{"persistence", {2.360, 1.851}},
                                                                      {"climatology", {2.110, 1.694}},
                                                                      {"damped_global", {1.976, 1.554}},
                                                                      {"damped_local", {1.899, 1.486}},
                                                                      {"recentred", {1.901, 1.468}}};
  ASSERT_EQ(card.at("UWND", 1).baselines.size(), published.size());
  for (const auto& [name, rmse] : published) {
    EXPECT_NEAR(score::find_named(card.at("UWND", 1).baselines, name)->global.rmse, rmse.first, 0.002) << name;
    EXPECT_NEAR(score::find_named(card.at("VWND", 1).baselines, name)->global.rmse, rmse.second, 0.002) << name;
  }
  EXPECT_NEAR(problem.baselines.damping_global(1)[0], 0.288, 0.001);
  EXPECT_NEAR(problem.baselines.damping_global(1)[1], 0.304, 0.001);
}

}  // namespace
}  // namespace gregale::train
