// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/netcdf_test_file.hpp"

namespace gregale::data {
namespace {

using test::steps;
using test::TempFolder;
using test::TestFile;
using testing::AllOf;
using testing::HasSubstr;

// Dimensions (lon, level, time, lat) with odd names, latitude descending, longitudes 20 to 377.5.
void write_odd(const std::string& path) {
  TestFile file(path);
  file.dim("FNOCX", 144);
  file.dim("P", 2);
  file.dim("when", 3);
  file.dim("j", 5);
  file.var("FNOCX", NC_DOUBLE, {"FNOCX"});
  file.text("units", "degreeE");
  file.var("P", NC_FLOAT, {"P"});
  file.text("units", "hPa");
  file.var("when", NC_DOUBLE, {"when"});
  file.text("units", "hour since 1982-01-16 12:00");
  file.var("rows", NC_DOUBLE, {"j"});  // an auxiliary coordinate: its dimension has another name
  file.text("standard_name", "latitude");
  file.var("T", NC_FLOAT, {"FNOCX", "P", "when", "j"});
  file.text("units", "K");
  file.number("missing_value", NC_FLOAT, {-99.9});
  file.var("UWND", NC_FLOAT, {"when", "j", "FNOCX"});
  file.text("units", "M/S");
  file.text("long_name", "ZONAL WIND");
  file.var("bad", NC_FLOAT, {"j", "FNOCX", "P", "when"});
  file.put("FNOCX", steps(20, 2.5, 144));
  file.put("P", {850, 500});
  file.put("when", {0, 6, 12});
  file.put("rows", {90, 45, 0, -45, -90});
  std::vector<double> t, u;
  for (int c = 0; c < 144; ++c)
    for (int p = 0; p < 2; ++p)
      for (int k = 0; k < 3; ++k)
        for (int r = 0; r < 5; ++r)
          t.push_back(c == 7 && r == 2 ? static_cast<double>(-99.9F) : p * 10000 + k * 1000 + r * 144 + c);
  file.put("T", t);
  for (int i = 0; i < 3 * 5 * 144; ++i) u.push_back(i);
  file.put("UWND", u);
}

TEST(FieldDataset, OddNamesOrdersAndLevels) {
  TempFolder folder;
  write_odd(folder / "odd.nc");
  const auto dataset = FieldDataset::open({folder / "odd.nc"}, {"T@500", "UWND"});
  EXPECT_EQ(dataset.grid().rows(), 5);
  EXPECT_TRUE(dataset.grid().descending());
  EXPECT_TRUE(dataset.grid().periodic());
  EXPECT_EQ(dataset.time().label(1), "1982-01-16T18:00");
  EXPECT_EQ(dataset.time().step().describe(), "6 hours");
  ASSERT_EQ(dataset.variables().size(), 2u);
  EXPECT_EQ(dataset.variables()[0].level, 500);
  EXPECT_EQ(dataset.variables()[0].level_units, "hPa");
  EXPECT_EQ(dataset.variables()[1].units, "M/S");
  EXPECT_EQ(dataset.variables()[1].component, VectorComponent::eastward);
  std::vector<std::string> kinds;
  for (const AxisInfo& axis : dataset.axes()) kinds.push_back(axis.kind + " " + axis.name);
  EXPECT_THAT(kinds, testing::UnorderedElementsAre("time when", "level P", "latitude rows", "longitude FNOCX"));

  const std::vector<int64_t> records{2, 0};
  const Tensor fields = dataset.read(records);
  ASSERT_EQ(fields.extents(), (Extents{2, 2, 5, 144}));
  const auto values = fields.as<float>();
  EXPECT_EQ(values[0], 10000 + 2000);
  EXPECT_EQ(values[3 * 144 + 17], 10000 + 2000 + 3 * 144 + 17);
  EXPECT_TRUE(std::isnan(values[2 * 144 + 7]));
  EXPECT_EQ(count_missing(fields), 2);
  EXPECT_FALSE(valid_mask(fields).as<bool>()[2 * 144 + 7]);
  EXPECT_EQ(values[5 * 144 + 4], 2 * 5 * 144 + 4);                // UWND, record 2
  EXPECT_EQ(values[(2 * 5 + 4) * 144 + 9], 4 * 144 + 9 + 10000);  // T, record 0
  EXPECT_EQ(dataset.variable_index("UWND"), 1);
  EXPECT_THAT(message_of([&] { dataset.variable_index("V"); }), HasSubstr("there are T@500, UWND"));
}

TEST(FieldDataset, RefusesInWordsThatHelp) {
  TempFolder folder;
  write_odd(folder / "odd.nc");
  auto open = [&](std::vector<std::string> names) {
    return message_of([&] { FieldDataset::open({folder / "odd.nc"}, names); });
  };
  EXPECT_THAT(open({"WIND"}), AllOf(HasSubstr("no variable 'WIND'"), HasSubstr("T@850 to @500"), HasSubstr("UWND")));
  EXPECT_THAT(open({"T"}), HasSubstr("T has 2 levels"));
  EXPECT_THAT(open({"T@700"}), HasSubstr("it has 850, 500"));
  EXPECT_THAT(open({"T@x"}), HasSubstr("is not a variable at a level"));
  EXPECT_THAT(open({"UWND@500"}), HasSubstr("has no levels"));
  EXPECT_THAT(open({"UWND", "UWND"}), HasSubstr("named twice"));
  EXPECT_EQ(FieldDataset::open({folder / "odd.nc"}).variables().size(), 1u);  // UWND: the others have levels
  EXPECT_THAT(message_of([&] { FieldDataset::open({folder / "none_*.nc"}); }), HasSubstr("no file matches"));
  EXPECT_THAT(message_of([&] { FieldDataset::open({folder / "none.nc"}); }), HasSubstr("no such file"));
  const auto dataset = FieldDataset::open({folder / "odd.nc"});
  const std::vector<int64_t> outside{3};
  EXPECT_THAT(message_of([&] { dataset.read(outside); }), HasSubstr("record 3 is outside 0 to 2"));
}

TEST(FieldDataset, FilesJoinInTimeAndSideBySide) {
  TempFolder folder;
  test::write_months(folder / "u_b.nc", 12, 12);
  test::write_months(folder / "u_a.nc", 12, 0, "U", steps(0, 45, 8), NC_NETCDF4);
  test::write_months(folder / "v.nc", 24, 0, "V");
  const auto dataset = FieldDataset::open({folder / "v.nc", folder / "u_*.nc"}, {"U", "V"});
  EXPECT_EQ(dataset.records(), 24);
  EXPECT_EQ(dataset.files().size(), 3u);
  EXPECT_TRUE(dataset.time().monthly());
  const Tensor all = dataset.read_all();
  for (int64_t t = 0; t < 24; ++t)
    for (int64_t v = 0; v < 2; ++v)
      EXPECT_EQ(all.as<float>()[static_cast<size_t>(((t * 2 + v) * 4 + 3) * 8 + 5)], t * 1000 + 35);
  // The order in which files are named does not matter.
  EXPECT_EQ(FieldDataset::open({folder / "u_b.nc", folder / "u_a.nc"}, {"U"}).fingerprint(),
            FieldDataset::open({folder / "u_?.nc"}, {"U"}).fingerprint());

  test::write_months(folder / "overlap.nc", 3, 11);
  EXPECT_THAT(message_of([&] {
                FieldDataset::open({folder / "u_a.nc", folder / "overlap.nc"}, {"U"});
              }),
              AllOf(HasSubstr("u_a.nc"), HasSubstr("overlap.nc"), HasSubstr("times overlap")));
  test::write_months(folder / "short.nc", 23, 0, "W");
  EXPECT_THAT(message_of([&] {
                FieldDataset::open({folder / "v.nc", folder / "short.nc"});
              }),
              AllOf(HasSubstr("the times of V"), HasSubstr("short.nc"), HasSubstr("23 records")));
}

TEST(FieldDataset, MismatchingGridsNameBothFiles) {
  TempFolder folder;
  test::write_months(folder / "a.nc", 12, 0, "U");
  test::write_months(folder / "b.nc", 12, 0, "V", steps(0, 60, 6));
  test::write_months(folder / "c.nc", 12, 12, "U", steps(10, 45, 8));
  EXPECT_THAT(message_of([&] {
                FieldDataset::open({folder / "a.nc", folder / "b.nc"}, {"U", "V"});
              }),
              AllOf(HasSubstr("a.nc and"), HasSubstr("b.nc differ: 8 longitudes against 6")));
  EXPECT_THAT(message_of([&] {
                FieldDataset::open({folder / "a.nc", folder / "c.nc"}, {"U"});
              }),
              AllOf(HasSubstr("a.nc and"), HasSubstr("c.nc differ: longitude 0: 0 against 10")));
}

TEST(FieldDataset, FingerprintIsOfTheValues) {
  TempFolder folder;
  test::write_months(folder / "a.nc", 4);
  test::write_months(folder / "b.nc", 4, 0, "U", steps(0, 45, 8), NC_NETCDF4);
  const std::string a = FieldDataset::open({folder / "a.nc"}).fingerprint();
  EXPECT_EQ(a.size(), 16u);
  EXPECT_EQ(a, FieldDataset::open({folder / "b.nc"}).fingerprint());
  {
    int id = -1, variable = -1;
    ASSERT_EQ(nc_open((folder / "b.nc").c_str(), NC_WRITE, &id), NC_NOERR);
    nc_inq_varid(id, "U", &variable);
    const size_t index[] = {3, 3, 7};
    const float value = 1;
    nc_put_var1_float(id, variable, index, &value);
    nc_close(id);
  }
  EXPECT_NE(a, FieldDataset::open({folder / "b.nc"}).fingerprint());
}

TEST(FieldDataset, WithoutTimeOrGrid) {
  TempFolder folder;
  {
    TestFile file(folder / "flat.nc");
    file.dim("lat", 2);
    file.dim("lon", 3);
    file.dim("station", 5);
    file.var("lat", NC_DOUBLE, {"lat"});
    file.text("units", "degrees_north");
    file.var("lon", NC_DOUBLE, {"lon"});
    file.text("units", "degrees_east");
    file.var("relief", NC_FLOAT, {"lat", "lon"});
    file.var("obs", NC_FLOAT, {"station"});
    file.put("lat", {0, 1});
    file.put("lon", {0, 1, 2});
  }
  EXPECT_THAT(message_of([&] { FieldDataset::open({folder / "flat.nc"}); }), HasSubstr("has no time axis for relief"));
  EXPECT_THAT(message_of([&] { FieldDataset::open({folder / "flat.nc"}, {"obs"}); }), HasSubstr("no variable 'obs'"));
}

TEST(FieldDataset, ScalarTimeOfOneRecordFiles) {
  TempFolder folder;
  for (int i = 0; i < 2; ++i) {
    TestFile file(folder / ("r" + std::to_string(i) + ".nc"));
    file.dim("latitude", 2);
    file.dim("longitude", 3);
    file.var("time", NC_DOUBLE, {});
    file.text("units", "hours since 1996-01-05");
    file.var("latitude", NC_DOUBLE, {"latitude"});
    file.text("units", "degrees_north");
    file.var("longitude", NC_DOUBLE, {"longitude"});
    file.text("units", "degrees_east");
    file.var("t2m", NC_FLOAT, {"latitude", "longitude"});
    file.put("time", {6.0 * i});
    file.put("latitude", {1, 0});
    file.put("longitude", {0, 1, 2});
    file.put("t2m", {1.0 * i, 2, 3, 4, 5, 6});
  }
  const auto dataset = FieldDataset::open({folder / "r*.nc"});
  EXPECT_EQ(dataset.records(), 2);
  EXPECT_EQ(dataset.read_all().as<float>()[6], 1);
}

TEST(Components, AreRecognised) {
  using C = VectorComponent;
  EXPECT_EQ(recognise_component("UWND", "", "ZONAL WIND", "M/S"), C::eastward);
  EXPECT_EQ(recognise_component("VWND", "", "MERIDIONAL WIND", "M/S"), C::northward);
  EXPECT_EQ(recognise_component("a", "eastward_wind", "", ""), C::eastward);
  EXPECT_EQ(recognise_component("b", "surface_downward_northward_stress", "", ""), C::northward);
  EXPECT_EQ(recognise_component("u", "air_temperature", "", "K"), C::none);
  EXPECT_EQ(recognise_component("u10", "", "10 metre U wind component", "m s**-1"), C::eastward);
  EXPECT_EQ(recognise_component("v10", "", "", "m s-1"), C::northward);
  EXPECT_EQ(recognise_component("U500@500", "", "", "m/s"), C::eastward);
  EXPECT_EQ(recognise_component("vas", "", "", "m s-1"), C::northward);
  EXPECT_EQ(recognise_component("taux", "", "", "N m-2"), C::eastward);
  EXPECT_EQ(recognise_component("WSPD", "", "WIND SPEED", "M/S"), C::none);
  EXPECT_EQ(recognise_component("V", "", "", "mV"), C::none);
  EXPECT_EQ(recognise_component("T", "", "zonal mean temperature", "K"), C::none);
  for (C c : {C::none, C::eastward, C::northward}) EXPECT_EQ(vector_component_from_name(to_string(c)), c);
}

constexpr const char* kWinds = "/usr/share/ferret-vis/data/monthly_navy_winds.cdf";

TEST(RealData, NavyWinds) {
  ASSERT_TRUE(std::filesystem::exists(kWinds)) << "ferret-datasets is not installed";
  const auto dataset = FieldDataset::open({kWinds});
  ASSERT_EQ(dataset.variables().size(), 2u);
  EXPECT_EQ(dataset.variables()[0].name, "UWND");
  EXPECT_EQ(dataset.variables()[0].component, VectorComponent::eastward);
  EXPECT_EQ(dataset.variables()[1].component, VectorComponent::northward);
  EXPECT_EQ(dataset.variables()[1].units, "M/S");
  ASSERT_EQ(dataset.records(), 132);
  for (int64_t i = 0; i < 132; ++i) {
    EXPECT_EQ(dataset.time().date(i).year, 1982 + i / 12);
    EXPECT_EQ(dataset.time().month(i), i % 12 + 1);
  }
  EXPECT_TRUE(dataset.grid().global());
  EXPECT_EQ(dataset.grid().rows(), 73);
  EXPECT_EQ(dataset.grid().columns(), 144);
  const Tensor all = dataset.read_all();
  EXPECT_EQ(count_missing(all), 0);

  // Persistence over January 1991 to December 1992 with area weights: 2.360 and 1.851 m/s.
  const auto x = all.as<float>();
  const size_t cells = 73 * 144;
  for (size_t v = 0; v < 2; ++v) {
    double sum = 0;
    for (size_t t = 108; t < 132; ++t)
      for (size_t c = 0; c < cells; ++c) {
        const double d =
            static_cast<double>(x[(t * 2 + v) * cells + c]) - static_cast<double>(x[((t - 1) * 2 + v) * cells + c]);
        sum += dataset.grid().row_weights()[c / 144] * d * d;
      }
    EXPECT_NEAR(std::sqrt(sum / 24 / static_cast<double>(cells)), v == 0 ? 2.360 : 1.851, 0.001);
  }
}

TEST(RealData, OtherFilesOfThePackage) {
  const std::string folder = "/usr/share/ferret-vis/data/";
  ASSERT_TRUE(std::filesystem::exists(kWinds)) << "ferret-datasets is not installed";
  const auto coads = FieldDataset::open({folder + "coads_climatology.cdf"}, {"SST", "SLP"});
  EXPECT_TRUE(coads.time().climatological());
  EXPECT_TRUE(coads.time().monthly());
  EXPECT_EQ(coads.records(), 12);
  const std::vector<int64_t> first{0};
  EXPECT_GT(count_missing(coads.read(first)), 1000);
  const auto atlas = FieldDataset::open({folder + "ocean_atlas_subset.nc"}, {"TEMP@0", "TEMP@100"});
  EXPECT_EQ(atlas.variables()[1].level, 100);
  EXPECT_EQ(FieldDataset::open({folder + "esku_heat_budget.cdf"}, {"SST"}).grid().rows(), 46);
  EXPECT_THAT(message_of([&] { FieldDataset::open({folder + "levitus_climatology.cdf"}); }), HasSubstr("no time axis"));
  EXPECT_THAT(message_of([&] { FieldDataset::open({kWinds}, {"UWIND"}); }), HasSubstr("UWND, VWND"));
}

}  // namespace
}  // namespace gregale::data
