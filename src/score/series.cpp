// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "score/series.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numbers>

namespace gregale::score {

SeriesShape series_shape(const Tensor& series, std::string_view who) {
  GREGALE_CHECK(series.rank() == 4, shape, "[{}] a field series is [time, variable, lat, lon], not {}", who,
                to_string(series.extents()));
  GREGALE_CHECK(series.dtype() == DType::f32, dtype, "[{}] a field series holds f32, not {}", who,
                name_of(series.dtype()));
  return {series.extent(0), series.extent(1), series.extent(2), series.extent(3)};
}

Tensor slice_records(const Tensor& series, int64_t begin, int64_t count) {
  const SeriesShape shape = series_shape(series, "slice_records");
  GREGALE_CHECK(begin >= 0 && count >= 0 && begin <= shape.times && count <= shape.times - begin, invalid_argument,
                "[slice_records] records {} to {} are outside of a series of {}", begin, begin + count, shape.times);
  auto owner = std::make_shared<Tensor>(series);
  float* data = owner->as<float>().data() + begin * shape.record();
  return Tensor::share(owner, data, DType::f32, {count, shape.variables, shape.rows, shape.columns});
}

ValidMask ValidMask::common(std::span<const Tensor> series) {
  GREGALE_CHECK(!series.empty(), invalid_argument, "[ValidMask] needs at least one series");
  ValidMask mask;
  mask.shape_ = series_shape(series[0], "ValidMask");
  mask.flags_.assign(static_cast<size_t>(series[0].size()), 1);
  for (const Tensor& one : series) {
    GREGALE_CHECK(series_shape(one, "ValidMask") == mask.shape_, shape, "[ValidMask] series of {} and {} do not match",
                  to_string(series[0].extents()), to_string(one.extents()));
    const auto values = one.as<float>();
    for (size_t i = 0; i < values.size(); ++i) mask.flags_[i] &= static_cast<uint8_t>(!std::isnan(values[i]));
  }
  mask.all_ = std::all_of(mask.flags_.begin(), mask.flags_.end(), [](uint8_t flag) { return flag != 0; });
  return mask;
}

std::span<const uint8_t> ValidMask::field(int64_t time, int64_t variable) const {
  const int64_t offset = (time * shape_.variables + variable) * shape_.points();
  return {flags_.data() + offset, static_cast<size_t>(shape_.points())};
}

void check_row_weights(std::span<const double> weights, int64_t rows, std::string_view who) {
  GREGALE_CHECK(static_cast<int64_t>(weights.size()) == rows, shape, "[{}] {} row weights for {} rows", who,
                weights.size(), rows);
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    GREGALE_CHECK(std::isfinite(weights[i]) && weights[i] >= 0, invalid_argument, "[{}] row weight {} is {}", who, i,
                  weights[i]);
    sum += weights[i];
  }
  GREGALE_CHECK(sum > 0, invalid_argument, "[{}] all row weights are zero", who);
}

std::vector<Region> latitude_bands(std::span<const double> latitudes, std::span<const double> row_weights) {
  struct Band {
    const char* name;
    double south, north;
  };
  static constexpr Band kBands[] = {
      {"90S-60S", -90, -60}, {"60S-30S", -60, -30}, {"30S-30N", -30, 30}, {"30N-60N", 30, 60}, {"60N-90N", 60, 90}};
  const size_t rows = latitudes.size();
  check_row_weights(row_weights, static_cast<int64_t>(rows), "latitude_bands");
  const auto area = [](double south, double north) {
    const double radians = std::numbers::pi / 180;
    return std::max(0.0, std::sin(north * radians) - std::sin(south * radians));
  };
  std::vector<double> souths(rows), norths(rows);
  for (size_t i = 0; i < rows; ++i) {
    GREGALE_CHECK(latitudes[i] >= -90.001 && latitudes[i] <= 90.001, invalid_argument,
                  "[latitude_bands] latitude {} of row {} is not within 90S to 90N", latitudes[i], i);
    // Half-way to the neighbours; a row at the border reaches as far out as in, up to the pole.
    const double before = i > 0 ? (latitudes[i] + latitudes[i - 1]) / 2
                                : (rows > 1 ? latitudes[0] - (latitudes[1] - latitudes[0]) / 2 : latitudes[0]);
    const double after =
        i + 1 < rows ? (latitudes[i] + latitudes[i + 1]) / 2 : (rows > 1 ? 2 * latitudes[i] - before : latitudes[i]);
    souths[i] = std::clamp(std::min(before, after), -90.0, 90.0);
    norths[i] = std::clamp(std::max(before, after), -90.0, 90.0);
  }
  std::vector<Region> regions;
  for (const Band& band : kBands) {
    Region region{band.name, std::vector<double>(rows, 0.0)};
    double sum = 0;
    for (size_t i = 0; i < rows; ++i) {
      const double whole = area(souths[i], norths[i]);
      double share = 0;
      if (whole > 0) {
        share = area(std::max(souths[i], band.south), std::min(norths[i], band.north)) / whole;
      } else {  // a single row without extent
        share = latitudes[i] >= band.south && (latitudes[i] < band.north || band.north == 90) ? 1 : 0;
      }
      region.row_weights[i] = share * row_weights[i];
      sum += region.row_weights[i];
    }
    if (sum > 0) regions.push_back(std::move(region));
  }
  return regions;
}

}  // namespace gregale::score
