// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/netcdf_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "data/netcdf_test_file.hpp"

namespace gregale::data {
namespace {

using test::code_of;
using test::TempFolder;
using test::TestFile;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<double> read(const NetcdfFile& file, const std::string& name) { return file.read_all(file.variable(name)); }

testing::Matcher<double> is(double value) { return testing::NanSensitiveDoubleEq(value); }

class Formats : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(All, Formats,
                         testing::Values(0, NC_64BIT_OFFSET, NC_64BIT_DATA, NC_NETCDF4, NC_NETCDF4 | NC_CLASSIC_MODEL));

TEST_P(Formats, HeaderAndBlocks) {
  TempFolder folder;
  const std::string path = folder / "a.nc";
  test::write_months(path, 3, 0, "U", test::steps(0, 45, 8), GetParam());
  const NetcdfFile file(path);
  EXPECT_EQ(file.format(), GetParam() == 0                 ? "classic"
                           : GetParam() == NC_64BIT_OFFSET ? "64-bit offset"
                           : GetParam() == NC_64BIT_DATA   ? "64-bit data"
                           : GetParam() == NC_NETCDF4      ? "netCDF-4"
                                                           : "netCDF-4 classic model");
  ASSERT_EQ(file.dimensions().size(), 3u);
  EXPECT_TRUE(file.dimensions()[0].unlimited);
  EXPECT_EQ(file.dimensions()[0].size, 3);
  const NetcdfVariable& u = file.variable("U");
  EXPECT_EQ(u.extents, (Extents{3, 4, 8}));
  EXPECT_EQ(u.text("UNITS"), "m/s");
  std::vector<float> block(4);
  const int64_t start[] = {2, 1, 3}, count[] = {1, 2, 2};
  file.read(u, start, count, std::span<float>(block));
  EXPECT_THAT(block, ElementsAre(2013, 2014, 2023, 2024));
  const int64_t outside[] = {2, 3, 3};
  EXPECT_THAT(message_of([&] { file.read(u, outside, count, std::span<float>(block)); }), HasSubstr("outside"));
  EXPECT_THAT(message_of([&] { file.variable("V"); }),
              HasSubstr("no variable 'V' in " + path + " (it has time, lat, lon, U)"));
}

TEST_P(Formats, TruncatedAnywhere) {
  TempFolder folder;
  const std::string path = folder / "a.nc", cut = folder / "cut.nc";
  test::write_months(path, 3, 0, "U", test::steps(0, 45, 8), GetParam());
  const uintmax_t size = std::filesystem::file_size(path);
  for (uintmax_t keep = 0; keep < size; keep += 1 + size / 97) {
    test::truncate_copy(path, cut, keep);
    EXPECT_EQ(code_of([&] { NetcdfFile file(cut); }), ErrorCode::corrupt_data) << keep << " of " << size;
  }
  test::truncate_copy(path, cut, size - 4);
  EXPECT_THAT(message_of([&] { NetcdfFile file(cut); }), HasSubstr("truncated: " + cut));
}

TEST(NetcdfFile, TruncatedClassicNamesTheByte) {
  TempFolder folder;
  const std::string path = folder / "a.nc", cut = folder / "cut.nc";
  test::write_months(path, 3);
  const uintmax_t size = std::filesystem::file_size(path);
  test::truncate_copy(path, cut, size - 100);
  EXPECT_EQ(message_of([&] { NetcdfFile file(cut); }), "truncated: " + cut + ": variable U ends at byte " +
                                                           std::to_string(size) + " of " + std::to_string(size - 100));
}

TEST(NetcdfFile, WhatIsNoFile) {
  TempFolder folder;
  EXPECT_EQ(message_of([&] { NetcdfFile(folder / "winds.nc"); }), "no such file: " + (folder / "winds.nc"));
  EXPECT_EQ(message_of([&] { NetcdfFile(folder / ""); }), "is a directory: " + (folder / ""));
  std::ofstream(folder / "text.nc") << "this is not a netCDF file at all, though it is long enough to be one";
  EXPECT_EQ(message_of([&] { NetcdfFile(folder / "text.nc"); }), "not a netCDF file: " + (folder / "text.nc"));
  std::ofstream(folder / "empty.nc") << "";
  EXPECT_THAT(message_of([&] { NetcdfFile(folder / "empty.nc"); }), HasSubstr("it is empty"));
  EXPECT_EQ(code_of([&] { NetcdfFile(folder / "empty.nc"); }), ErrorCode::corrupt_data);
  EXPECT_EQ(code_of([&] { NetcdfFile(folder / "no.nc"); }), ErrorCode::io);
  EXPECT_THAT(message_of([] { NetcdfFile("/dev/null"); }), HasSubstr("not an ordinary file"));
}

// Every header byte changed in turn: an error or a file that still reads, never a crash or a huge allocation.
TEST_P(Formats, DamagedHeaders) {
  TempFolder folder;
  const std::string path = folder / "a.nc", bad = folder / "bad.nc";
  test::write_months(path, 2, 0, "U", test::steps(0, 45, 8), GetParam());
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const bool hdf5 = (GetParam() & NC_NETCDF4) != 0;
  int refused = 0;
  const size_t end = std::min<size_t>(bytes.size(), hdf5 ? 2000 : 400);
  for (size_t at = 0; at < end; at += hdf5 ? 37 : 1) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0xff);
    std::ofstream(bad, std::ios::binary) << changed;
    try {
      const NetcdfFile file(bad);
      for (const NetcdfVariable& v : file.variables())
        if (v.is_numeric()) file.read_all(v);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(NetcdfFile, MissingValuesOfEveryKind) {
  TempFolder folder;
  const std::string path = folder / "m.nc";
  {
    TestFile file(path, NC_NETCDF4);
    file.dim("x", 6);
    file.var("fill", NC_FLOAT, {"x"});
    file.number("_FillValue", NC_FLOAT, {-99.9});
    file.number("missing_value", NC_DOUBLE, {1e20, -999});  // an array, of another type
    file.var("range", NC_DOUBLE, {"x"});
    file.number("valid_range", NC_DOUBLE, {0, 10});
    file.var("limits", NC_INT, {"x"});
    file.number("valid_min", NC_INT, {0});
    file.number("valid_max", NC_INT, {10});
    file.var("none", NC_FLOAT, {"x"});
    file.var("text", NC_FLOAT, {"x"});
    file.text("missing_value", "-999.");
    file.put("fill", {1, static_cast<double>(-99.9F), static_cast<double>(1e20F), -999, kNaN, 2});
    file.put("range", {-1, 0, 5, 10, 11, kInf});
    file.put("limits", {-1, 0, 5, 10, 11, NC_FILL_INT});
    file.put("none", {1, static_cast<double>(NC_FILL_FLOAT), kNaN, 0, -99.9, 3});
    file.put("text", {1, -999, 2, 3, 4, 5});
  }
  const NetcdfFile file(path);
  EXPECT_THAT(read(file, "fill"), ElementsAre(is(1), is(kNaN), is(kNaN), is(kNaN), is(kNaN), is(2)));
  EXPECT_THAT(read(file, "range"), ElementsAre(is(kNaN), is(0), is(5), is(10), is(kNaN), is(kNaN)));
  EXPECT_THAT(read(file, "limits"), ElementsAre(is(kNaN), is(0), is(5), is(10), is(kNaN), is(kNaN)));
  EXPECT_THAT(read(file, "none"),
              ElementsAre(is(1), is(kNaN), is(kNaN), is(0), is(static_cast<double>(-99.9F)), is(3)));
  EXPECT_THAT(read(file, "text"), ElementsAre(is(1), is(kNaN), is(2), is(3), is(4), is(5)));
}

TEST(NetcdfFile, PackedValues) {
  TempFolder folder;
  const std::string path = folder / "p.nc";
  {
    TestFile file(path);
    file.dim("x", 5);
    file.var("packed", NC_SHORT, {"x"});
    file.number("scale_factor", NC_DOUBLE, {0.01});
    file.number("add_offset", NC_DOUBLE, {100});
    file.number("_FillValue", NC_SHORT, {-32768});
    file.number("missing_value", NC_DOUBLE, {-99999});  // fits no short: meant as a physical value, and never met
    file.number("valid_range", NC_SHORT, {-1000, 1000});
    file.var("byte", NC_BYTE, {"x"});
    file.text("_Unsigned", "true");
    file.number("scale_factor", NC_FLOAT, {0.5});
    file.number("_FillValue", NC_BYTE, {-1});
    file.var("physical", NC_SHORT, {"x"});
    file.number("scale_factor", NC_DOUBLE, {0.5});
    file.number("valid_max", NC_DOUBLE, {100});
    file.put("packed", {0, 100, -32768, 1001, -1000});
    file.put("byte", {0, 1, 127, -128, -1});
    file.put("physical", {0, 200, 202, -5, 1});
  }
  const NetcdfFile file(path);
  EXPECT_THAT(read(file, "packed"), ElementsAre(is(100), is(101), is(kNaN), is(kNaN), is(90)));
  EXPECT_THAT(read(file, "byte"), ElementsAre(is(0), is(0.5), is(63.5), is(64), is(kNaN)));
  EXPECT_THAT(read(file, "physical"), ElementsAre(is(0), is(100), is(kNaN), is(-2.5), is(0.5)));
}

TEST(NetcdfFile, DoublesBeyondFloatAreInfinite) {
  TempFolder folder;
  {
    TestFile file(folder / "d.nc");
    file.dim("x", 2);
    file.var("d", NC_DOUBLE, {"x"});
    file.put("d", {1e300, -1e300});
  }
  const NetcdfFile file(folder / "d.nc");
  std::vector<float> values(2);
  const int64_t start[] = {0}, count[] = {2};
  file.read(file.variable("d"), start, count, std::span<float>(values));
  EXPECT_EQ(values[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(values[1], -std::numeric_limits<float>::infinity());
}

TEST(NetcdfFile, VariablesInGroupsAreNamed) {
  TempFolder folder;
  {
    TestFile file(folder / "g.nc", NC_NETCDF4);
    int group = -1, variable = -1;
    nc_def_grp(file.id(), "forecast", &group);
    nc_def_var(group, "t", NC_FLOAT, 0, nullptr, &variable);
  }
  EXPECT_THAT(message_of([&] { NetcdfFile(folder / "g.nc"); }), HasSubstr("in groups (forecast)"));
}

TEST(NetcdfFile, SeveralThreadsRead) {
  TempFolder folder;
  test::write_months(folder / "a.nc", 20, 0, "U", test::steps(0, 45, 8), NC_NETCDF4);
  const NetcdfFile file(folder / "a.nc");
  std::vector<std::thread> threads;
  std::vector<double> sums(4);
  for (size_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int repeat = 0; repeat < 20; ++repeat)
        for (double value : file.read_all(file.variable("U"))) sums[i] += value;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sums, std::vector<double>(4, sums[0]));
  EXPECT_GT(sums[0], 0);
}

}  // namespace
}  // namespace gregale::data
