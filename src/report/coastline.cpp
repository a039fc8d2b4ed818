// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/coastline.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace gregale::report {
namespace {

constexpr int16_t kCoastline[] = {
#include "report/coastline.inc"
};

std::string build_path() {
  std::string out;
  const int16_t* at = std::begin(kCoastline);
  while (at != std::end(kCoastline)) {
    const int points = *at++;
    int x = 0, y = 0;
    for (int i = 0; i < points; ++i, at += 2) {  // steps relative to the point before: half the characters
      out += fmt::format("{}{}{:+d}", i == 0 ? "M" : i == 1 ? "l" : " ", at[0] - x, -at[1] - y);
      x = at[0];
      y = -at[1];
    }
  }
  return out;
}

}  // namespace

const std::string& coastline_path() {
  static const std::string path = build_path();
  return path;
}

}  // namespace gregale::report
