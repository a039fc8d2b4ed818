// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/statistics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "data/netcdf_test_file.hpp"
#include "data/split.hpp"
#include "data/static_fields.hpp"

namespace gregale::data {
namespace {

using test::steps;
using test::TempFolder;
using test::TestFile;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int64_t> range(int64_t first, int64_t last) {
  std::vector<int64_t> values(static_cast<size_t>(last - first));
  std::iota(values.begin(), values.end(), first);
  return values;
}

// `values` [record][row][column] on 2 x 2: rows 0 to 30 and 30 to 90 degrees north cover equal areas.
void write_small(const std::string& path, const std::vector<double>& values, const std::string& units,
                 const std::vector<double>& times) {
  TestFile file(path);
  file.dim("time", NC_UNLIMITED);
  file.dim("lat", 2);
  file.dim("lon", 2);
  file.var("time", NC_DOUBLE, {"time"});
  file.text("units", units);
  file.var("lat", NC_DOUBLE, {"lat"});
  file.text("units", "degrees_north");
  file.var("lon", NC_DOUBLE, {"lon"});
  file.text("units", "degrees_east");
  file.var("x", NC_FLOAT, {"time", "lat", "lon"});
  file.number("missing_value", NC_FLOAT, {-1000});
  file.put("time", times);
  file.put("lat", {0, 60});
  file.put("lon", {0, 180});
  file.put("x", values);
}

TEST(Statistics, WeightedAndWithoutTheMissing) {
  TempFolder folder;
  write_small(folder / "a.nc", {1, 2, 3, 4, 5, -1000, 7, 8}, "days since 1990-01-01", {0, 1});
  const auto dataset = FieldDataset::open({folder / "a.nc"});
  const auto& w = dataset.grid().row_weights();
  const std::vector<double> value{1, 2, 3, 4, 5, 7, 8}, weight{w[0], w[0], w[1], w[1], w[0], w[1], w[1]};
  double sum = 0, total = 0, squares = 0;
  for (size_t i = 0; i < 7; ++i) {
    sum += weight[i] * value[i];
    total += weight[i];
  }
  for (size_t i = 0; i < 7; ++i) squares += weight[i] * (value[i] - sum / total) * (value[i] - sum / total);
  const auto s = compute_statistics(dataset, range(0, 2));
  ASSERT_EQ(s.size(), 1u);
  EXPECT_NE(w[0], w[1]);
  EXPECT_NEAR(s[0].mean, sum / total, 1e-12);
  EXPECT_NEAR(s[0].std, std::sqrt(squares / total), 1e-12);
  EXPECT_EQ(s[0].missing, 1);
  EXPECT_EQ(s[0].valid, 7);
  EXPECT_EQ(s[0].min, 1);
  EXPECT_EQ(s[0].max, 8);
  const auto same = compute_statistics(dataset.read_all(), dataset.grid());
  EXPECT_EQ(same[0].mean, s[0].mean);
  EXPECT_EQ(same[0].std, s[0].std);
}

TEST(Statistics, ConstantAndEmptyVariables) {
  TempFolder folder;
  write_small(folder / "a.nc", std::vector<double>(8, 280.1), "days since 1990-01-01", {0, 1});
  EXPECT_EQ(compute_statistics(FieldDataset::open({folder / "a.nc"}), range(0, 2))[0].std, 1);
  write_small(folder / "b.nc", std::vector<double>(8, -1000), "days since 1990-01-01", {0, 1});
  EXPECT_THAT(message_of([&] { compute_statistics(FieldDataset::open({folder / "b.nc"}), range(0, 2)); }),
              HasSubstr("variable x has no valid value"));
}

TEST(Climatologies, MonthsFromTheTrainingRecordsAlone) {
  TempFolder folder;
  std::vector<double> values;
  for (int t = 0; t < 36; ++t)  // the third year is wild: it must not be seen
    for (int c = 0; c < 4; ++c)
      values.push_back(t == 4 && c == 3 ? -1000 : (t % 12) * 10 + c + (t < 12 ? 0 : t < 24 ? 2 : 500));
  write_small(folder / "a.nc", values, "months since 1990-01-16", steps(0, 1, 36));
  const auto dataset = FieldDataset::open({folder / "a.nc"});
  const Climatology climatology = compute_climatology(dataset, range(0, 24));
  EXPECT_EQ(climatology.kind, Climatology::Kind::month);
  EXPECT_EQ(climatology.bins(), 12);
  EXPECT_THAT(climatology.counts, testing::Each(2));
  const auto mean = climatology.mean.as<float>();
  EXPECT_EQ(mean[4 * 4 + 0], 41);
  EXPECT_EQ(mean[4 * 4 + 3], 45);  // May 1990 is missing there: May 1991 alone
  EXPECT_EQ(climatology.bin_at(dataset.time().seconds(28)), 4);
  const std::vector<int64_t> when{dataset.time().seconds(28)}, record{28};
  EXPECT_EQ(anomalies(dataset.read(record), climatology, when).as<float>()[0], 499);
}

TEST(Climatologies, MonthsNeverSeenTakeTheMean) {
  TempFolder folder;
  write_small(folder / "a.nc", {1, -1000, 3, 4, 3, -1000, 5, 6}, "months since 1990-01-16", {0, 1});
  const auto dataset = FieldDataset::open({folder / "a.nc"});
  const Climatology climatology = compute_climatology(dataset, range(0, 2));
  EXPECT_EQ(climatology.mean.as<float>()[7 * 4], 2);
  EXPECT_TRUE(std::isnan(climatology.mean.as<float>()[7 * 4 + 1]));
}

TEST(Climatologies, DaysAndHoursInAWindow) {
  TempFolder folder;
  std::vector<double> values;
  for (int t = 0; t < 2 * 730; ++t)  // two years twice a day: the day of the year plus 1000 at noon
    for (int c = 0; c < 4; ++c) values.push_back((t / 2) % 365 + (t % 2) * 1000);
  write_small(folder / "a.nc", values, "hours since 1990-01-01", steps(0, 12, 2 * 730));
  const auto dataset = FieldDataset::open({folder / "a.nc"});
  const Climatology climatology = compute_climatology(dataset, range(0, 2 * 730), {11});
  EXPECT_EQ(climatology.kind, Climatology::Kind::day_of_year);
  EXPECT_EQ(climatology.slots_per_day, 2);
  EXPECT_EQ(climatology.bins(), 732);
  // 1 July is day 181 of a year of 365 days (from 0) and its bin lies one further, after 29 February.
  const int64_t july = climatology.bin({1990, 7, 1, 12, 0, 0});
  EXPECT_EQ(july, 182 * 2 + 1);
  EXPECT_EQ(climatology.bin({1992, 7, 1, 12, 0, 0}), july);
  EXPECT_FLOAT_EQ(climatology.mean.as<float>()[static_cast<size_t>(july) * 4], 1181);
  // Around New Year the window takes days of both ends: 1 January ± 5 days.
  const double new_year = (0 + 1 + 2 + 3 + 4 + 5 + 360 + 361 + 362 + 363 + 364) / 11.0;
  EXPECT_FLOAT_EQ(climatology.mean.as<float>()[0], static_cast<float>(new_year));
  // 29 February never occurred: its window has ten days.
  EXPECT_EQ(climatology.counts[59 * 2], 0);
  EXPECT_FLOAT_EQ(climatology.mean.as<float>()[59 * 2 * 4], (54 + 55 + 56 + 57 + 58 + 59 + 60 + 61 + 62 + 63) / 10.0F);
}

grid::TimeAxis months(int count, double first = 0) {
  return grid::TimeAxis::from_values(steps(first, 1, count), "months since 1982-01-16");
}

TEST(Splits, OfTheWinds) {
  const SplitProposal split = propose_split(months(132));
  EXPECT_EQ(split.train.to_string(), "1982/1989");
  EXPECT_EQ(split.validation.to_string(), "1990");
  EXPECT_EQ(split.test.to_string(), "1991/1992");
  check_disjoint(months(132), split);
  EXPECT_THAT(message_of([&] {
                check_disjoint(months(132), {{"1982", "1990"}, {"1990-12", "1990-12"}, {"1991", "1992"}});
              }),
              HasSubstr("train (1982/1990) and validation (1990-12) share the record 1990-12"));
  EXPECT_EQ(make_samples(months(132), records_in(months(132), split.train)).size(), 95u);
  EXPECT_EQ(make_samples(months(132), records_in(months(132), split.test)).size(), 24u);
  EXPECT_EQ(make_samples(months(132), records_in(months(132), split.test))[0].inputs, std::vector<int64_t>{107});
}

TEST(Splits, OfOtherAxes) {
  const auto six_hourly = grid::TimeAxis::from_values(steps(0, 6, 64), "hours since 1996-01-05");
  const SplitProposal split = propose_split(six_hourly);
  EXPECT_EQ(records_in(six_hourly, split.train).size(), 46u);
  EXPECT_EQ(records_in(six_hourly, split.validation).size(), 6u);
  EXPECT_EQ(records_in(six_hourly, split.test).size(), 12u);
  check_disjoint(six_hourly, split);
  EXPECT_EQ(split.train.first, "1996-01-05T00:00");
  EXPECT_EQ(propose_split(months(24)).test.to_string(), "1983-09/1983-12");
  EXPECT_THAT(message_of([] { propose_split(months(7)); }), HasSubstr("7 records are too few"));
  EXPECT_THAT(message_of([] {
                records_in(months(24), {"1995", "1996"});
              }),
              testing::StrEq("no record in 1995/1996 (the file has 1982-01 to 1983-12)"));
}

TEST(Splits, Samples) {
  // A gap: January to March, then June and July.
  const auto axis = grid::TimeAxis::from_values(std::vector<double>{0, 1, 2, 5, 6}, "months since 1982-01-16");
  const auto all = range(0, 5);
  const auto one = make_samples(axis, all);
  ASSERT_EQ(one.size(), 3u);  // 0→1, 1→2, 3→4
  EXPECT_THAT(one[2].targets, ElementsAre(4));
  const auto two = make_samples(axis, all, 1, 2, 1);
  ASSERT_EQ(two.size(), 1u);
  EXPECT_THAT(two[0].inputs, ElementsAre(0, 1));
  EXPECT_THAT(two[0].targets, ElementsAre(2));
  EXPECT_EQ(make_samples(axis, all, 3).size(), 1u);  // 2→3
  const auto rolled = make_samples(months(12), range(4, 8), 2, 1, 2);
  ASSERT_EQ(rolled.size(), 2u);  // targets 4, 6 and 5, 7
  EXPECT_THAT(rolled[0].inputs, ElementsAre(2));
  EXPECT_THAT(rolled[1].targets, ElementsAre(5, 7));
  EXPECT_THAT(message_of([&] { make_samples(axis, all, 0); }), HasSubstr("a lead of 0 steps"));
  const auto irregular = grid::TimeAxis::from_seconds(grid::Calendar::standard, {0, 10, 17, 1000, 1003, 500000});
  EXPECT_THAT(message_of([&] { make_samples(irregular, all); }), HasSubstr("not evenly spaced"));
}

TEST(Splits, RangesOfDates) {
  EXPECT_EQ(DateRange::parse(" 1982 / 1989-06 "), (DateRange{"1982", "1989-06"}));
  EXPECT_EQ(DateRange::parse("1990").to_string(), "1990");
  for (const char* bad : {"", "/", "1982/", "1/2/3"})
    EXPECT_THAT(message_of([&] { DateRange::parse(bad); }), HasSubstr("not a range of dates")) << bad;
}

TEST(StaticFields, AreaMeansKeepTheIntegral) {
  const grid::LatLonGrid fine(steps(-89, 2, 90), steps(20.5, 1, 360)),
      coarse(steps(90, -7.5, 25), steps(-180, 7.5, 48));
  Tensor values(DType::f32, {90, 360});
  double integral = 0, total = 0;
  for (size_t i = 0; i < 90 * 360; ++i) {
    values.as<float>()[i] = static_cast<float>(std::sin(0.1 * static_cast<double>(i / 360)) +
                                               std::cos(0.05 * static_cast<double>(i % 360)));
    integral += fine.row_weights()[i / 360] * static_cast<double>(values.as<float>()[i]);
    total += fine.row_weights()[i / 360];
  }
  const Tensor out = regrid(values, fine, coarse, Regrid::area_mean);
  ASSERT_EQ(out.extents(), (Extents{25, 48}));
  double coarse_integral = 0, coarse_total = 0;
  for (size_t i = 0; i < 25 * 48; ++i) {
    coarse_integral += coarse.row_weights()[i / 48] * static_cast<double>(out.as<float>()[i]);
    coarse_total += coarse.row_weights()[i / 48];
  }
  EXPECT_NEAR(coarse_integral / coarse_total, integral / total, 1e-6);
  // A constant stays one, by both methods, and holes are left out.
  Tensor ones = Tensor::full(DType::f32, {90, 360}, 3);
  ones.as<float>()[1234] = NAN;
  const Tensor kept = regrid(ones, fine, coarse, Regrid::area_mean);
  for (float value : kept.as<float>()) EXPECT_FLOAT_EQ(value, 3);
  const Tensor near = regrid(Tensor::full(DType::f32, {90, 360}, 3), fine, coarse, Regrid::nearest);
  for (float value : near.as<float>()) EXPECT_EQ(value, 3);
  // Outside a region there is nothing.
  const grid::LatLonGrid region(steps(20, 1, 20), steps(10, 1, 20));
  const Tensor outside = regrid(Tensor::full(DType::f32, {20, 20}, 1), region, coarse, Regrid::nearest);
  EXPECT_GT(count_missing(outside), 1100);
  EXPECT_LT(count_missing(outside), 1200);
}

TEST(StaticFields, ReliefBecomesOrographyAndLand) {
  TempFolder folder;
  {
    TestFile file(folder / "relief.nc");
    file.dim("y", 4);
    file.dim("x", 4);
    file.var("y", NC_DOUBLE, {"y"});
    file.text("units", "degrees_north");
    file.var("x", NC_DOUBLE, {"x"});
    file.text("units", "degrees_east");
    file.var("ROSE", NC_FLOAT, {"y", "x"});
    file.text("units", "METERS");
    file.put("y", {-67.5, -22.5, 22.5, 67.5});
    file.put("x", {0, 90, 180, 270});
    std::vector<double> values(16, -4000);
    values[4] = 800;  // one of the columns of row −22.5
    file.put("ROSE", values);
  }
  const grid::LatLonGrid coarse({-45, 45}, {45, 225});
  const auto channels = read_static_channels({folder / "relief.nc"}, coarse);
  ASSERT_EQ(channels.size(), 2u);
  EXPECT_EQ(channels[0].name, "orography");
  EXPECT_EQ(channels[1].name, "land_fraction");
  // The cell 315 to 45 degrees east lies half in the coarse cell 315 to 135; the row 45S to 0 has sin 45 of its area.
  const double share = std::sqrt(0.5) * 0.5;
  EXPECT_NEAR(
      static_cast<double>(channels[1].values.as<float>()[0]) + static_cast<double>(channels[1].values.as<float>()[1]),
      share, 1e-6);
  EXPECT_NEAR(
      static_cast<double>(channels[0].values.as<float>()[0]) + static_cast<double>(channels[0].values.as<float>()[1]),
      800 * share, 1e-3);
  EXPECT_EQ(channels[1].values.as<float>()[2], 0);
  EXPECT_EQ(read_static_channels({folder / "relief.nc:ROSE#land"}, coarse).size(), 1u);
  EXPECT_THAT(message_of([&] { read_static_channels({folder / "relief.nc:ROSE#sea"}, coarse); }),
              HasSubstr("'sea' cannot be derived"));
  EXPECT_THAT(message_of([&] { read_static_channels({folder / "relief.nc:HGT"}, coarse); }),
              HasSubstr("no variable 'HGT'"));
  EXPECT_THAT(message_of([&] { read_static_channels({folder / "no.nc"}, coarse); }), HasSubstr("no such file"));
}

TEST(StaticFields, EarthIsThreeTenthsLand) {
  const std::string relief = "/usr/share/ferret-vis/data/etopo60.cdf";
  ASSERT_TRUE(std::filesystem::exists(relief)) << "ferret-datasets is not installed";
  const grid::LatLonGrid grid(steps(-90, 2.5, 73), steps(20, 2.5, 144));
  const auto channels = read_static_channels({relief}, grid);
  ASSERT_EQ(channels.size(), 2u);
  double land = 0, highest = 0;
  for (size_t i = 0; i < 73 * 144; ++i) {
    land += grid.row_weights()[i / 144] * static_cast<double>(channels[1].values.as<float>()[i]) / (73 * 144);
    highest = std::max(highest, static_cast<double>(channels[0].values.as<float>()[i]));
  }
  EXPECT_NEAR(land, 0.29, 0.02);
  EXPECT_GT(highest, 4500);  // Tibet
  const auto at = [&](double latitude, double longitude) {
    return channels[1]
        .values.as<float>()[static_cast<size_t>(grid.nearest_row(latitude) * 144 + grid.nearest_column(longitude))];
  };
  EXPECT_EQ(at(47.5, -100), 1);  // North America
  EXPECT_EQ(at(0, -140), 0);     // the Pacific
  EXPECT_EQ(at(-25, 135), 1);    // Australia
}

}  // namespace
}  // namespace gregale::data
