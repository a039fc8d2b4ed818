// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/scorecard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.hpp"
#include "gregale/random.hpp"

namespace gregale::score {
namespace {

constexpr int64_t kTimes = 12, kRows = 3, kColumns = 4;
constexpr float kGap = std::numeric_limits<float>::quiet_NaN();

/// Truth is noise of variance 1 about a climatology of zero; forecast and baseline are off by the errors given, with
/// signs that alternate from column to column.
ScoreRequest request_with(float model_error, float baseline_error) {
  const Extents extents{kTimes, 1, kRows, kColumns};
  LeadCase at;
  at.lead = 2;
  at.truth = Tensor(DType::f32, extents);
  at.climatology = Tensor(DType::f32, extents);
  at.forecast = Tensor(DType::f32, extents);
  Tensor baseline(DType::f32, extents);
  for (size_t i = 0; i < at.truth.as<float>().size(); ++i) {
    const float sign = i % 2 == 0 ? 1.0F : -1.0F;
    at.truth.as<float>()[i] = random_normal({4}, i);
    at.forecast.as<float>()[i] = at.truth.as<float>()[i] + sign * model_error;
    baseline.as<float>()[i] = at.truth.as<float>()[i] + sign * baseline_error;
  }
  at.baselines.emplace_back("other", baseline);
  ScoreRequest request;
  request.variables = {"T"};
  request.units = {"K"};
  request.latitudes = {40, 45, 50};
  request.row_weights = {1.1, 1, 0.9};
  request.cases.push_back(at);
  return request;
}

TEST(Scorecard, ComparesAForecastWithABaseline) {
  const Scorecard card = make_scorecard(request_with(0.25F, 0.5F));
  const VariableScore& score = card.at("T", 2);
  EXPECT_NEAR(score.model.global.rmse, 0.25, 1e-6);
  EXPECT_NEAR(find_named(score.baselines, "other")->global.rmse, 0.5, 1e-6);
  EXPECT_NEAR(score.model.global.bias, 0, 1e-6);
  EXPECT_GT(score.model.acc, find_named(score.baselines, "other")->acc);
  EXPECT_NEAR(find_named(score.paired, "other")->difference, -0.25, 1e-6);
  EXPECT_EQ(find_named(score.paired, "other")->verdict, Verdict::better);
  EXPECT_EQ(score.spectra.size(), 0U);  // not a full circle
  EXPECT_EQ(score.model.months.size(), 0U);
  EXPECT_EQ(score.missing_share, 0);
  EXPECT_EQ(verdict_sentence(card, score, "other"),
            "T at lead 2: better than other: RMSE lower by 0.250 K (95% interval 0.250 to 0.250).");
  EXPECT_THAT(verdict_sentence(make_scorecard(request_with(0.5F, 0.25F)),
                               make_scorecard(request_with(0.5F, 0.25F)).at("T", 2), "other"),
              testing::HasSubstr("worse than other: RMSE higher by 0.250 K"));
  EXPECT_THAT(verdict_sentence(make_scorecard(request_with(0.5F, 0.5F)),
                               make_scorecard(request_with(0.5F, 0.5F)).at("T", 2), "other"),
              testing::HasSubstr("indistinguishable from other: RMSE differs by +0.000 K"));
  EXPECT_THROW(card.at("T", 1), Error);
  EXPECT_THROW(verdict_sentence(card, score, "nothing"), Error);
  EXPECT_EQ(find_named(score.paired, "nothing"), nullptr);
}

TEST(Scorecard, MasksAllForecastsAlike) {
  ScoreRequest request = request_with(0.25F, 0.5F);
  // A wild value of the forecast where the baseline is missing counts for neither.
  request.cases[0].forecast.as<float>()[5] = 1000;
  request.cases[0].baselines[0].second.as<float>()[5] = kGap;
  const VariableScore score = make_scorecard(request).at("T", 2);
  EXPECT_NEAR(score.model.global.rmse, 0.25, 1e-6);
  EXPECT_NEAR(find_named(score.baselines, "other")->global.rmse, 0.5, 1e-6);
}

TEST(Scorecard, SaysWhereTheForecastIsMissing) {
  ScoreRequest request = request_with(0.25F, 0.5F);
  for (size_t i = 0; i < 72; ++i) request.cases[0].forecast.as<float>()[i] = kGap;  // half of the times
  const Scorecard card = make_scorecard(request);
  EXPECT_NEAR(card.at("T", 2).missing_share, 0.5, 1e-12);
  EXPECT_EQ(card.at("T", 2).model.global.times, 6);
  EXPECT_THAT(skill_table(card), testing::HasSubstr("missing on 50% of the area where the truth is known"));
  EXPECT_NEAR(to_json(card)["variables"]["T"]["2"]["missing_share"].get<double>(), 0.5, 1e-12);
  for (float& value : request.cases[0].forecast.as<float>()) value = kGap;
  EXPECT_THROW(make_scorecard(request), Error);
}

TEST(Scorecard, BecomesTheDocumentedJson) {
  ScoreRequest request = request_with(0.25F, 0.5F);
  for (int t = 0; t < kTimes; ++t) request.cases[0].month.push_back(t % 3);
  request.full_circle = true;
  const nlohmann::json json = to_json(make_scorecard(request));
  for (const char* key : {"rmse", "acc", "bias", "mae"})
    EXPECT_TRUE(json["variables"]["T"]["2"][key].is_number()) << key;
  EXPECT_NEAR(json["baselines"]["other"]["T"]["2"]["rmse"].get<double>(), 0.5, 1e-6);
  for (const char* key : {"difference", "low95", "high95"})
    EXPECT_NEAR(json["paired"]["T"]["2"]["other"][key].get<double>(), -0.25, 1e-6) << key;
  EXPECT_EQ(json["paired"]["T"]["2"]["other"]["verdict"], "better");
  EXPECT_NEAR(json["variables"]["T"]["2"]["bands"]["30N-60N"]["rmse"].get<double>(), 0.25, 1e-6);
  EXPECT_EQ(json["variables"]["T"]["2"]["months"].size(), 12U);
  EXPECT_EQ(json["variables"]["T"]["2"]["months"][0]["times"], 4);
  EXPECT_EQ(json["variables"]["T"]["2"]["spectra"]["globe"]["ratio"].size(), 3U);
  // A month without forecasts has no number, and the document stays JSON.
  const auto parsed = nlohmann::json::parse(json.dump());
  EXPECT_TRUE(parsed["variables"]["T"]["2"]["months"][7]["rmse"].is_null());
}

TEST(Scorecard, PrintsATable) {
  const std::string table = skill_table(make_scorecard(request_with(0.25F, 0.5F)));
  EXPECT_THAT(table, testing::StartsWith("T (K), lead 2, 12 verification times\n"
                                         "  forecast   RMSE"));
  EXPECT_THAT(table, testing::ContainsRegex("\n  other +0\\.500 .* -0\\.250  -0\\.250 to -0\\.250  better\n"));
  ScoreRequest baselines_only = request_with(0.25F, 0.5F);
  baselines_only.cases[0].forecast = Tensor();
  EXPECT_THAT(skill_table(make_scorecard(baselines_only)), testing::Not(testing::HasSubstr("model")));
}

TEST(Scorecard, RefusesWhatDoesNotFit) {
  const auto refused = [](auto&& change) {
    ScoreRequest request = request_with(0.25F, 0.5F);
    change(request);
    try {
      make_scorecard(request);
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  EXPECT_FALSE(refused([](ScoreRequest&) {}));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.cases.clear(); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.variables.emplace_back("U"); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.units.emplace_back("U"); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.latitudes.pop_back(); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.row_weights.pop_back(); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.cases[0].month = {1}; }));
  EXPECT_TRUE(refused([](ScoreRequest& r) { r.cases[0].forecast = slice_records(r.cases[0].forecast, 0, 3); }));
  EXPECT_TRUE(refused([](ScoreRequest& r) {
    r.cases.push_back(r.cases[0]);
    r.cases[1].baselines[0].first = "third";
  }));
  EXPECT_TRUE(refused([](ScoreRequest& r) {
    r.cases.push_back(r.cases[0]);
    r.cases[1].forecast = Tensor();
  }));
}

}  // namespace
}  // namespace gregale::score
