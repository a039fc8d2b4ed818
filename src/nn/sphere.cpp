// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "gregale/error.hpp"
#include "gregale/nn.hpp"

namespace gregale::nn {
namespace {

/// Rows [begin, begin + count) as they are met on going on over the pole: the last first, half way round, turned.
Value over_pole(Graph& g, Value x, int64_t begin, int64_t count, int64_t columns, Value signs) {
  x = ops::reverse(g, ops::slice_axis(g, x, 2, begin, begin + count), {2});
  const int64_t half = columns / 2;
  x = ops::concat(g, {ops::slice_axis(g, x, 3, half, columns), ops::slice_axis(g, x, 3, 0, half)}, 3);
  return signs.valid() ? ops::mul(g, x, signs) : x;
}

Value signs_of(Graph& g, Value x, const std::vector<double>& signs) {
  if (signs.empty()) return {};
  const auto channels = static_cast<int64_t>(signs.size());
  return g.constant(Tensor::from(signs, {channels, 1, 1}).cast(g.type(x).dtype));
}

}  // namespace

Value pad_sphere(Graph& g, Value x, const SpherePadding& padding) {
  const Shape shape = g.type(x).shape;
  GREGALE_CHECK(shape.rank() == 4 && shape[1].is_constant() && shape[2].is_constant() && shape[3].is_constant(), shape,
                "[pad_sphere] needs [b, c, lat, lon] with constant extents beyond the batch, got {}",
                to_string(g.type(x)));
  const int64_t channels = shape[1].value(), rows = shape[2].value(), columns = shape[3].value();
  const auto& [south, north, west, east, across_poles, pole_rows, periodic, signs] = padding;
  GREGALE_CHECK(south >= 0 && north >= 0 && west >= 0 && east >= 0, invalid_argument,
                "[pad_sphere] cannot add {} and {} rows, {} and {} columns", south, north, west, east);
  GREGALE_CHECK(signs.empty() || static_cast<int64_t>(signs.size()) == channels, invalid_argument,
                "[pad_sphere] {} signs for {} channels", signs.size(), channels);

  if (south > 0 || north > 0) {
    const int64_t skip = !across_poles || pole_rows ? 1 : 0;  // the edge itself is not repeated
    const int64_t most = rows - skip;
    GREGALE_CHECK(south <= most && north <= most, invalid_argument,
                  "[pad_sphere] {} rows cannot be continued by {} and {}", rows, south, north);
    if (across_poles) {
      GREGALE_CHECK(periodic, invalid_argument,
                    "[pad_sphere] rows continue across a pole only where longitudes are periodic");
      GREGALE_CHECK(
          columns % 2 == 0, invalid_argument,
          "[pad_sphere] {} longitudes have none 180 degrees further along: across a pole their number must be even",
          columns);
      const Value turn = signs_of(g, x, signs);
      std::vector<Value> parts;
      if (south > 0) parts.push_back(over_pole(g, x, skip, south, columns, turn));
      parts.push_back(x);
      if (north > 0) parts.push_back(over_pole(g, x, rows - skip - north, north, columns, turn));
      x = ops::concat(g, parts, 2);
    } else {
      x = ops::pad(g, x, {0, 0, south, 0}, {0, 0, north, 0}, "reflect");
    }
  }
  if (west > 0 || east > 0) {
    const int64_t most = periodic ? columns : columns - 1;
    GREGALE_CHECK(west <= most && east <= most, invalid_argument,
                  "[pad_sphere] {} columns cannot be continued by {} and {}", columns, west, east);
    x = ops::pad(g, x, {0, 0, 0, west}, {0, 0, 0, east}, periodic ? "periodic" : "reflect");
  }
  return x;
}

}  // namespace gregale::nn
