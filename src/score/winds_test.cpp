// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The baselines' published scores on real winds: monthly_navy_winds.cdf of the package ferret-datasets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netcdf.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <numeric>

#include "base/json.hpp"
#include "score/scorecard.hpp"

namespace gregale::score {
namespace {

constexpr const char* kPath = "/usr/share/ferret-vis/data/monthly_navy_winds.cdf";
constexpr int64_t kMonths = 132, kLatitudes = 73, kLongitudes = 144;

/// January 1982 is record 0: training 1982-1989 is [0, 96), test targets 1991-1992 are [108, 132).
constexpr int64_t kTrainEnd = 96, kTestBegin = 108;

class Winds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_TRUE(std::filesystem::exists(kPath)) << kPath << " is missing: install the package ferret-datasets";
    int file = -1;
    ASSERT_EQ(nc_open(kPath, NC_NOWRITE, &file), NC_NOERR);
    records_ = Tensor(DType::f32, {kMonths, 2, kLatitudes, kLongitudes});
    auto out = records_.as<float>();
    const char* names[] = {"UWND", "VWND"};
    std::vector<float> values(static_cast<size_t>(kMonths * kLatitudes * kLongitudes));
    for (size_t v = 0; v < 2; ++v) {
      int id = -1;
      ASSERT_EQ(nc_inq_varid(file, names[v], &id), NC_NOERR);
      const size_t start[] = {0, 0, 0}, count[] = {kMonths, kLatitudes, kLongitudes};
      ASSERT_EQ(nc_get_vara_float(file, id, start, count, values.data()), NC_NOERR);
      const auto field = static_cast<size_t>(kLatitudes * kLongitudes);
      for (size_t t = 0; t < kMonths; ++t)
        std::copy_n(values.begin() + static_cast<int64_t>(t * field), field,
                    out.begin() + static_cast<int64_t>((t * 2 + v) * field));
    }
    nc_close(file);
    for (int64_t t = 0; t < kMonths; ++t) {
      phase_.push_back(t % 12);
      month_.push_back(static_cast<int>(t % 12));
    }
    for (int64_t row = 0; row < kLatitudes; ++row) latitudes_.push_back(-90 + 2.5 * static_cast<double>(row));
    const auto bound = [](double degrees) {
      return std::sin(std::clamp(degrees, -90.0, 90.0) * std::numbers::pi / 180);
    };
    for (double latitude : latitudes_) weights_.push_back(bound(latitude + 1.25) - bound(latitude - 1.25));
    const std::vector<int64_t> leads{1, 2, 3};
    model_ = BaselineModel::fit(records_, phase_, 12, 0, kTrainEnd, weights_, leads);
  }
  static void TearDownTestSuite() { records_ = Tensor(); }
  void SetUp() override { ASSERT_FALSE(records_.empty()); }

  static ScoreRequest request(std::vector<int64_t> leads, bool with_model) {
    ScoreRequest request;
    request.variables = {"UWND", "VWND"};
    request.units = {"M/S", "M/S"};
    request.latitudes = latitudes_;
    request.row_weights = weights_;
    request.full_circle = true;
    request.bootstrap.resamples = 2000;
    for (int64_t lead : leads) {
      const auto inits = inits_for_targets(kTestBegin, kMonths, lead, 0);
      const Tensor forecast =
          with_model ? model_.forecast_series(Baseline::damped_local, records_, phase_, 0, inits, lead) : Tensor();
      request.cases.push_back(make_lead_case(model_, records_, phase_, month_, 0, inits, lead, forecast));
    }
    return request;
  }

  static inline Tensor records_;
  static inline std::vector<int64_t> phase_;
  static inline std::vector<int> month_;
  static inline std::vector<double> latitudes_, weights_;
  static inline BaselineModel model_;
};

void expect_rmse(const Scorecard& card, int64_t lead, const char* baseline, double u, double v) {
  EXPECT_NEAR(find_named(card.at("UWND", lead).baselines, baseline)->global.rmse, u, 0.002)
      << baseline << " U " << lead;
  EXPECT_NEAR(find_named(card.at("VWND", lead).baselines, baseline)->global.rmse, v, 0.002)
      << baseline << " V " << lead;
}

TEST_F(Winds, BaselinesScoreAsPublished) {
  const Scorecard card = make_scorecard(request({1, 2, 3}, false));
  EXPECT_FALSE(card.has_model);
  EXPECT_EQ(card.at("UWND", 1).baselines.front().second.global.times, 24);
  expect_rmse(card, 1, "persistence", 2.360, 1.851);
  expect_rmse(card, 1, "anomaly_persistence", 2.388, 1.836);
  expect_rmse(card, 1, "climatology", 2.110, 1.694);
  expect_rmse(card, 1, "damped_global", 1.976, 1.554);
  expect_rmse(card, 1, "damped_local", 1.899, 1.486);
  expect_rmse(card, 1, "recentred", 1.901, 1.468);
  expect_rmse(card, 2, "climatology", 2.110, 1.694);
  expect_rmse(card, 3, "climatology", 2.110, 1.694);
  expect_rmse(card, 2, "damped_local", 1.992, 1.561);
  expect_rmse(card, 3, "damped_local", 2.040, 1.601);
  EXPECT_NEAR(find_named(card.at("UWND", 1).baselines, "anomaly_persistence")->acc, 0.361, 0.002);
  EXPECT_NEAR(find_named(card.at("VWND", 1).baselines, "anomaly_persistence")->acc, 0.419, 0.002);
  EXPECT_TRUE(to_json(card)["variables"].empty());
}

TEST_F(Winds, PooledDampingComesFrom95Pairs) {
  EXPECT_EQ(model_.pairs(1), 95);
  EXPECT_EQ(model_.pairs(3), 93);
  EXPECT_NEAR(model_.damping_global(1)[0], 0.288, 0.0006);
  EXPECT_NEAR(model_.damping_global(1)[1], 0.304, 0.0006);
}

TEST_F(Winds, LeadTwoUsesInitialStatesBeforeTheTestPeriod) {
  const auto inits = inits_for_targets(kTestBegin, kMonths, 2, 0);
  EXPECT_EQ(inits.size(), 24U);
  EXPECT_EQ(inits.front(), kTestBegin - 2);
}

TEST_F(Winds, AModelEqualToABaselineIsIndistinguishableFromIt) {
  const Scorecard card = make_scorecard(request({1}, true));
  const VariableScore& score = card.at("UWND", 1);
  const PairedInterval* same = find_named(score.paired, "damped_local");
  ASSERT_NE(same, nullptr);
  EXPECT_EQ(same->difference, 0);
  EXPECT_EQ(same->low95, 0);
  EXPECT_EQ(same->high95, 0);
  EXPECT_EQ(same->verdict, Verdict::indistinguishable);
  EXPECT_EQ(find_named(score.paired, "persistence")->verdict, Verdict::better);
  EXPECT_NEAR(find_named(score.paired, "persistence")->difference, 1.899 - 2.360, 0.003);
  // The damped forecast is smoother than the truth at every scale that matters.
  const SpectrumPair* globe = find_named(score.spectra, "globe");
  ASSERT_NE(globe, nullptr);
  EXPECT_EQ(globe->rows, 24 * 73);
  EXPECT_LT(globe->ratio[10], 0.9);

  const nlohmann::json json = to_json(card);
  EXPECT_NEAR(json["variables"]["UWND"]["1"]["rmse"].get<double>(), 1.899, 0.002);
  EXPECT_TRUE(json["variables"]["VWND"]["1"]["acc"].is_number());
  EXPECT_TRUE(json["variables"]["VWND"]["1"]["bias"].is_number());
  EXPECT_NEAR(json["baselines"]["recentred"]["VWND"]["1"]["rmse"].get<double>(), 1.468, 0.002);
  EXPECT_LT(json["paired"]["UWND"]["1"]["persistence"]["high95"].get<double>(), 0);
  EXPECT_LT(json["paired"]["UWND"]["1"]["persistence"]["low95"].get<double>(),
            json["paired"]["UWND"]["1"]["persistence"]["high95"].get<double>());

  const std::string table = skill_table(card);
  EXPECT_THAT(table, testing::HasSubstr("UWND (M/S), lead 1, 24 verification times"));
  EXPECT_THAT(table, testing::HasSubstr("damped_global"));
  EXPECT_THAT(verdict_sentence(card, score, "persistence"),
              testing::StartsWith("UWND at lead 1: better than persistence"));
}

TEST_F(Winds, BandsAddUpToTheGlobe) {
  const Scorecard card = make_scorecard(request({1}, false));
  const auto bands = latitude_bands(latitudes_, weights_);
  ASSERT_EQ(bands.size(), 5U);
  const ForecastScore& score = *find_named(card.at("UWND", 1).baselines, "climatology");
  double weighted = 0, total = 0;
  for (size_t b = 0; b < bands.size(); ++b) {
    const double area = std::accumulate(bands[b].row_weights.begin(), bands[b].row_weights.end(), 0.0);
    weighted += area * score.bands[b].second.rmse * score.bands[b].second.rmse;
    total += area;
  }
  EXPECT_NEAR(total, std::accumulate(weights_.begin(), weights_.end(), 0.0), 1e-12);
  EXPECT_NEAR(std::sqrt(weighted / total), score.global.rmse, 1e-9);
  double months = 0;
  for (const ErrorSummary& month : score.months) {
    EXPECT_EQ(month.times, 2);
    months += month.rmse * month.rmse / 12;
  }
  EXPECT_NEAR(std::sqrt(months), score.global.rmse, 1e-9);
}

}  // namespace
}  // namespace gregale::score
