// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "data/dataset.hpp"
#include "gregale/error.hpp"

namespace gregale::data {
namespace {

// Lower-case letters and digits; everything else becomes a blank.
std::string words(const std::string& text) {
  std::string result = " ";
  for (unsigned char c : text) result += std::isalnum(c) ? static_cast<char>(std::tolower(c)) : ' ';
  return result + " ";
}

bool has_word(const std::string& text, std::initializer_list<const char*> list) {
  return std::any_of(list.begin(), list.end(),
                     [&](const char* word) { return text.find(fmt::format(" {} ", word)) != std::string::npos; });
}

// Units of a velocity, a stress or a transport, however they are spelt.
bool vector_units(const std::string& units) {
  std::string u;
  for (unsigned char c : units)
    if (!std::isspace(c) && c != '^' && c != '*' && c != '.') u += static_cast<char>(std::tolower(c));
  for (const char* known :
       {"m/s",   "ms-1",  "ms**-1", "cm/s",      "cms-1",         "knots",         "knot",          "kt",       "kts",
        "km/h",  "kmh-1", "kmhr-1", "meter/sec", "meters/second", "metres/second", "metersecond-1", "meters/s", "m/sec",
        "n/m2",  "nm-2",  "n/m/m",  "pa",        "dyn/cm2",       "dynes/cm2",     "kgm-1s-1",      "m2/s",     "m2s-1",
        "m2/s2", "m2s-2"})
    if (u == known) return true;
  return false;
}

}  // namespace

const char* to_string(VectorComponent component) {
  switch (component) {
    case VectorComponent::none:
      return "none";
    case VectorComponent::eastward:
      return "eastward";
    case VectorComponent::northward:
      return "northward";
  }
  return "none";
}

VectorComponent vector_component_from_name(std::string_view name) {
  for (VectorComponent component : {VectorComponent::none, VectorComponent::eastward, VectorComponent::northward})
    if (name == to_string(component)) return component;
  throw_error(ErrorCode::invalid_argument,
              fmt::format("unknown vector component '{}' (known: none, eastward, northward)", name.substr(0, 40)));
}

VectorComponent recognise_component(const std::string& name, const std::string& standard_name,
                                    const std::string& long_name, const std::string& units) {
  const std::string standard = words(standard_name);
  if (!standard_name.empty()) {
    if (has_word(standard, {"eastward", "x"})) return VectorComponent::eastward;
    if (has_word(standard, {"northward", "y"})) return VectorComponent::northward;
    return VectorComponent::none;  // CF names components so: another name is no component
  }
  const std::string text = words(long_name);
  // "zonal mean temperature" is not a component.
  const bool quantity =
      has_word(text, {"wind", "winds", "velocity", "current", "stress", "flux", "component", "momentum", "transport"});
  if (has_word(text, {"speed", "magnitude"})) return VectorComponent::none;
  if (quantity) {
    if (has_word(text, {"zonal", "eastward", "u", "u component"})) return VectorComponent::eastward;
    if (has_word(text, {"meridional", "northward", "v", "v component"})) return VectorComponent::northward;
  }
  if (!vector_units(units)) return VectorComponent::none;
  std::string n = name.substr(0, name.find('@'));
  std::transform(n.begin(), n.end(), n.begin(), [](unsigned char c) { return std::tolower(c); });
  while (!n.empty() && (std::isdigit(static_cast<unsigned char>(n.back())) || n.back() == '_' || n.back() == 'm'))
    n.pop_back();
  auto matches = [&](char c) {
    const std::string letter(1, c);
    for (const char* tail : {"", "wnd", "wind", "as", "a", "o", "vel", "grd", "geo", "gos", "comp", "storm"})
      if (n == letter + tail) return true;
    return n == "tau" + letter || n == (c == 'u' ? "taux" : "tauy") || n == letter + "_component_of_wind";
  };
  if (matches('u')) return VectorComponent::eastward;
  if (matches('v')) return VectorComponent::northward;
  return VectorComponent::none;
}

}  // namespace gregale::data
