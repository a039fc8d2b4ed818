// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/forecast_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "data/netcdf_file.hpp"
#include "data/netcdf_test_file.hpp"

namespace gregale::data {
namespace {

using test::TempFolder;
using testing::HasSubstr;

ForecastFile sample_forecast() {
  ForecastFile f;
  f.grid = grid::LatLonGrid(test::steps(90, -30, 7), test::steps(20, 45, 8));
  f.calendar = grid::Calendar::noleap;
  const auto axis = grid::TimeAxis::from_values(test::steps(0, 1, 5), "months since 1991-01-16 12:00", "noleap");
  f.init_seconds = {axis.seconds(0), axis.seconds(1)};
  f.lead_steps = {0, 1, 3};
  f.valid_seconds = {axis.seconds(0), axis.seconds(1), axis.seconds(3),
                     axis.seconds(1), axis.seconds(2), axis.seconds(4)};
  f.step = "1 month";
  f.variables = {{"UWND", "M/S", "ZONAL WIND", "", std::nullopt, "", VectorComponent::eastward},
                 {"T@500", "K", "temperature", "air_temperature", 500.0, "hPa", VectorComponent::none},
                 {"time", "1", "", "", std::nullopt, "", VectorComponent::none},           // taken by a coordinate
                 {"2m heat/flux", "W", "", "", std::nullopt, "", VectorComponent::none}};  // no name netCDF allows
  f.attributes = {{"title", "a forecast"}, {"source", "Gregale"}};
  f.fields = Tensor(DType::f32, {2, 3, 4, 7, 8});
  auto values = f.fields.as<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * 1e-3F;
  values[5] = std::numeric_limits<float>::quiet_NaN();
  values[6] = -0.0F;
  values[7] = std::numeric_limits<float>::denorm_min();
  return f;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.extents() != b.extents()) return false;
  const auto x = a.as<float>(), y = b.as<float>();
  for (size_t i = 0; i < x.size(); ++i)
    if (std::isnan(x[i]) ? !std::isnan(y[i]) : std::memcmp(&x[i], &y[i], sizeof(float)) != 0) return false;
  return true;
}

class ForecastFormats : public testing::TestWithParam<NetcdfFormat> {};
INSTANTIATE_TEST_SUITE_P(Both, ForecastFormats, testing::Values(NetcdfFormat::classic_64bit, NetcdfFormat::netcdf4));

TEST_P(ForecastFormats, RoundTrip) {
  TempFolder folder;
  const ForecastFile f = sample_forecast();
  write_forecast(folder / "f.nc", f, GetParam());
  EXPECT_THAT(folder.entries(), testing::ElementsAre("f.nc"));
  EXPECT_TRUE(is_forecast(folder / "f.nc"));
  const ForecastFile g = read_forecast(folder / "f.nc");
  EXPECT_EQ(g.calendar, f.calendar);
  EXPECT_EQ(g.init_seconds, f.init_seconds);
  EXPECT_EQ(g.lead_steps, f.lead_steps);
  EXPECT_EQ(g.valid_seconds, f.valid_seconds);
  EXPECT_EQ(g.valid(1, 2), f.valid_seconds[5]);
  EXPECT_EQ(g.step, f.step);
  EXPECT_EQ(g.attributes, f.attributes);
  EXPECT_EQ(g.grid.latitudes(), f.grid.latitudes());
  EXPECT_EQ(g.grid.longitudes(), f.grid.longitudes());
  EXPECT_TRUE(same_bits(g.fields, f.fields));
  ASSERT_EQ(g.variables.size(), f.variables.size());
  for (size_t v = 0; v < f.variables.size(); ++v) {
    EXPECT_EQ(g.variables[v].name, f.variables[v].name);
    EXPECT_EQ(g.variables[v].units, f.variables[v].units);
    EXPECT_EQ(g.variables[v].long_name, f.variables[v].long_name);
    EXPECT_EQ(g.variables[v].standard_name, f.variables[v].standard_name);
    EXPECT_EQ(g.variables[v].level, f.variables[v].level);
    EXPECT_EQ(g.variables[v].level_units, f.variables[v].level_units);
    EXPECT_EQ(g.variables[v].component, f.variables[v].component);
  }
  const NetcdfFile file(folder / "f.nc");
  EXPECT_EQ(file.global_text("Conventions"), "CF-1.8");
  EXPECT_EQ(file.variable("time").text("standard_name"), "forecast_reference_time");
  EXPECT_EQ(file.variable("lead").text("standard_name"), "forecast_period");
  EXPECT_EQ(file.variable("lead").text("units"), "days");
  EXPECT_DOUBLE_EQ(file.read_all(file.variable("lead"))[1], (31 + 28) / 2.0);
  EXPECT_EQ(file.variable("T_500").text("coordinates"), "valid_time lead_step T_500_level");
  EXPECT_EQ(file.read_all(file.variable("lat_bnds"))[0], 90);
}

// An independent reader prints the header and the times.
TEST_P(ForecastFormats, NcdumpReadsIt) {
  ASSERT_EQ(std::system("command -v ncdump > /dev/null 2>&1"), 0) << "ncdump is not installed (netcdf-bin)";
  TempFolder folder;
  write_forecast(folder / "f.nc", sample_forecast(), GetParam());
  FILE* pipe = ::popen(("ncdump -t -v time,valid_time " + (folder / "f.nc") + " 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char buffer[4096];
  while (const size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
  EXPECT_EQ(::pclose(pipe), 0) << text;
  EXPECT_THAT(text, HasSubstr("float UWND(time, lead, lat, lon) ;"));
  EXPECT_THAT(text, HasSubstr("UWND:units = \"M/S\" ;"));
  EXPECT_THAT(text, HasSubstr("time = \"1991-01-16 12\", \"1991-02-16 12\""));
}

TEST(ForecastFile, FixedStepsAreInHours) {
  TempFolder folder;
  ForecastFile f = sample_forecast();
  f.init_seconds = {0, 21600};
  f.valid_seconds = {0, 21600, 64800, 21600, 43200, 86400 + 30};
  write_forecast(folder / "f.nc", f);
  const NetcdfFile file(folder / "f.nc");
  EXPECT_EQ(file.variable("lead").text("units"), "hours");
  EXPECT_EQ(file.variable("time").text("units"), "seconds since 1970-01-01 00:00:00");
  EXPECT_EQ(read_forecast(folder / "f.nc").valid_seconds, f.valid_seconds);
}

TEST(ForecastFile, RefusesOtherFiles) {
  TempFolder folder;
  test::write_months(folder / "a.nc", 3);
  EXPECT_FALSE(is_forecast(folder / "a.nc"));
  EXPECT_THAT(message_of([&] { read_forecast(folder / "a.nc"); }),
              HasSubstr("not a forecast file: " + (folder / "a.nc")));
  EXPECT_THAT(message_of([&] { read_forecast(folder / "no.nc"); }), HasSubstr("no such file"));
  write_forecast(folder / "f.nc", sample_forecast(), NetcdfFormat::classic_64bit);
  EXPECT_LT(std::filesystem::file_size(folder / "f.nc"), 10000u);  // 5.4 kB of fields, and no slack
  test::truncate_copy(folder / "f.nc", folder / "cut.nc", std::filesystem::file_size(folder / "f.nc") / 2);
  EXPECT_THAT(message_of([&] { read_forecast(folder / "cut.nc"); }), HasSubstr("truncated: "));
}

TEST(ForecastFile, FailedWritesLeaveNothing) {
  TempFolder folder;
  EXPECT_THAT(message_of([&] { write_forecast(folder / "none/f.nc", sample_forecast()); }),
              HasSubstr("cannot write " + (folder / "none/f.nc")));
  EXPECT_THAT(message_of([&] { write_forecast(folder / "", sample_forecast()); }), HasSubstr("cannot write"));
  EXPECT_THAT(message_of([] { write_forecast("/dev/null", sample_forecast()); }), HasSubstr("not a regular file"));
  ForecastFile wrong = sample_forecast();
  wrong.lead_steps.pop_back();
  EXPECT_THAT(message_of([&] { write_forecast(folder / "f.nc", wrong); }), HasSubstr("[write_forecast]"));
  EXPECT_TRUE(folder.entries().empty());
}

// The file may not grow past 2 kB: what was there stays, and the message says why.
TEST_P(ForecastFormats, WriteFailureKeepsTheOldFile) {
  TempFolder folder;
  std::ofstream(folder / "f.nc") << "precious";
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{2048, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = message_of([&] { write_forecast(folder / "f.nc", sample_forecast(), GetParam()); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr("cannot write " + (folder / "f.nc")));
  EXPECT_THAT(folder.entries(), testing::ElementsAre("f.nc"));
  std::string content;
  std::ifstream(folder / "f.nc") >> content;
  EXPECT_EQ(content, "precious");
}

}  // namespace
}  // namespace gregale::data
