// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/cf_roles.hpp"

#include <gtest/gtest.h>
#include <netcdf.h>

namespace gregale::data {
namespace {

using Texts = std::vector<std::pair<std::string, std::string>>;

NetcdfVariable variable(const std::string& name, int type, const std::vector<std::string>& dimensions,
                        const Texts& texts = {}) {
  NetcdfVariable v;
  v.name = name;
  v.type = type;
  v.dimensions = dimensions;
  v.extents.assign(dimensions.size(), 10);
  for (const auto& [key, text] : texts) v.attributes.push_back({key, true, text, {}, false});
  return v;
}

TEST(CfRoles, OnlyFieldsOfFloatsMayLoseBits) {
  const std::vector<NetcdfVariable> variables = {
      variable("lat", NC_FLOAT, {"lat"}),
      variable("temp", NC_FLOAT, {"time", "y", "x"},
               {{"coordinates", "lon2d lat2d"}, {"grid_mapping", "crs: y x"}, {"cell_measures", "area: cell_area"}}),
      variable("lat2d", NC_DOUBLE, {"y", "x"}),
      variable("crs", NC_FLOAT, {"one"}),
      variable("cell_area", NC_FLOAT, {"y", "x"}),
      variable("y", NC_DOUBLE, {"y"}, {{"bounds", "/grid/y_bnds"}}),
      variable("y_bnds", NC_DOUBLE, {"y", "two"}),
      variable("sigma", NC_FLOAT, {"level"}, {{"formula_terms", "a: hyam ps: ps p0: p0"}}),
      variable("hyam", NC_DOUBLE, {"level"}),
      variable("ps", NC_FLOAT, {"time", "y", "x"}),
      variable("height", NC_FLOAT, {"station"}, {{"positive", "up"}}),
      variable("flux", NC_FLOAT, {"time", "y", "x"}, {{"positive", "down"}}),
      variable("XLAT", NC_FLOAT, {"y", "x"}, {{"units", "degree_north"}}),
      variable("times", NC_DOUBLE, {"record"}, {{"units", "hours since 1970-01-01"}}),
      variable("packed", NC_SHORT, {"y", "x"}),
      variable("name", NC_CHAR, {"station", "length"}),
      variable("scale", NC_FLOAT, {}),
      variable("named_globally", NC_FLOAT, {"y", "x"})};
  std::vector<const NetcdfVariable*> list;
  for (const NetcdfVariable& v : variables) list.push_back(&v);
  const std::vector<std::string> expected = {"coordinate",
                                             "",
                                             "auxiliary coordinate",
                                             "grid mapping",
                                             "cell measure",
                                             "coordinate",
                                             "bounds",
                                             "",
                                             "vertical coordinate",
                                             "",
                                             "coordinate",
                                             "",
                                             "coordinate",
                                             "coordinate",
                                             "integer",
                                             "text",
                                             "scalar",
                                             "auxiliary coordinate"};
  EXPECT_EQ(reasons_to_keep(list, {{"coordinates", true, "named_globally", {}, false}}), expected);
}

}  // namespace
}  // namespace gregale::data
