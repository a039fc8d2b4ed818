// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/cf_roles.hpp"

#include <netcdf.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string_view>

namespace gregale::data {
namespace {

struct Naming {
  const char* attribute;
  const char* role;
  bool only_vectors;  // formula_terms name fields such as surface pressure too
};
constexpr Naming kNamings[] = {{"coordinates", "auxiliary coordinate", false},
                               {"bounds", "bounds", false},
                               {"climatology", "bounds", false},
                               {"grid_mapping", "grid mapping", false},
                               {"cell_measures", "cell measure", false},
                               {"formula_terms", "vertical coordinate", true},
                               {"geometry", "geometry", false},
                               {"node_coordinates", "geometry", false},
                               {"node_count", "geometry", false},
                               {"part_node_count", "geometry", false},
                               {"interior_ring", "geometry", false},
                               {"face_coordinates", "geometry", false},
                               {"edge_coordinates", "geometry", false},
                               {"volume_coordinates", "geometry", false},
                               {"compress", "gathered dimension", false}};

/// "area: cell_area volume: cell_volume" and "lat lon" alike; words with a colon are keys.
void name_words(const std::string& text, const Naming& naming, std::map<std::string, const Naming*>& named) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word.back() == ':') {
      if (naming.role != std::string_view("grid mapping")) continue;
      word.pop_back();  // "crs: x y": here the key is the variable
    }
    if (const size_t slash = word.rfind('/'); slash != std::string::npos) word.erase(0, slash + 1);
    named.emplace(word, &naming);
  }
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

bool describes_a_coordinate(const NetcdfVariable& v) {
  if (v.find("_CoordinateAxisType") != nullptr) return true;
  if (v.extents.size() <= 1 && (v.find("axis") != nullptr || v.find("positive") != nullptr)) return true;
  const std::string units = v.text("units"), name = v.text("standard_name");
  for (const char* direction : {"north", "east", "N", "E"})
    for (const char* unit : {"degrees_", "degree_", "degrees", "degree"})
      if (units == std::string(unit) + direction) return true;
  if (contains(units, " since ")) return true;
  for (const char* known :
       {"latitude", "longitude", "time", "grid_latitude", "grid_longitude", "projection_x_coordinate",
        "projection_y_coordinate", "forecast_period", "forecast_reference_time"})
    if (name == known) return true;
  return false;
}

}  // namespace

std::vector<std::string> reasons_to_keep(const std::vector<const NetcdfVariable*>& variables,
                                         const std::vector<NetcdfAttribute>& global) {
  std::map<std::string, const Naming*> named;
  for (const Naming& naming : kNamings) {
    for (const NetcdfVariable* v : variables) name_words(v->text(naming.attribute), naming, named);
    for (const NetcdfAttribute& a : global)
      if (a.is_text && a.name == naming.attribute) name_words(a.text, naming, named);
  }
  std::vector<std::string> reasons;
  for (const NetcdfVariable* v : variables) {
    const auto found = named.find(v->name);
    const bool vector = v->extents.size() <= 1;
    if (std::find(v->dimensions.begin(), v->dimensions.end(), v->name) != v->dimensions.end())
      reasons.emplace_back("coordinate");
    else if (found != named.end() && (vector || !found->second->only_vectors))
      reasons.emplace_back(found->second->role);
    else if (v->type == NC_CHAR || v->type == NC_STRING)
      reasons.emplace_back("text");
    else if (!v->is_numeric())
      reasons.emplace_back("user-defined type");
    else if (v->type != NC_FLOAT && v->type != NC_DOUBLE)
      reasons.emplace_back("integer");
    else if (v->extents.empty())
      reasons.emplace_back("scalar");
    else if (describes_a_coordinate(*v))
      reasons.emplace_back("coordinate");
    else
      reasons.emplace_back();
  }
  return reasons;
}

}  // namespace gregale::data
