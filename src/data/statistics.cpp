// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

// Weighted moments of a growing set: those of one field are joined to the rest (Chan, Golub and LeVeque 1979), so that
// the sums stay accurate however many fields there are.
class Moments {
 public:
  void add_field(std::span<const float> field, const grid::LatLonGrid& grid, const std::string& name) {
    const auto columns = static_cast<size_t>(grid.columns());
    const std::vector<double>& weights = grid.row_weights();
    double w = 0, sum = 0;
    for (size_t i = 0; i < field.size(); ++i) {
      const double x = static_cast<double>(field[i]);
      if (std::isnan(x)) {
        ++missing_;
        continue;
      }
      GREGALE_CHECK(std::isfinite(x), invalid_argument, "variable {} has an infinite value", name);
      ++valid_;
      low_ = std::min(low_, x);
      high_ = std::max(high_, x);
      w += weights[i / columns];
      sum += weights[i / columns] * x;
    }
    if (w <= 0) return;
    const double mean = sum / w;
    double squares = 0;
    for (size_t i = 0; i < field.size(); ++i)
      if (const double d = static_cast<double>(field[i]) - mean; !std::isnan(d))
        squares += weights[i / columns] * d * d;
    const double total = weight_ + w, delta = mean - mean_;
    squares_ += squares + delta * delta * weight_ * w / total;
    mean_ += delta * w / total;
    weight_ = total;
  }
  VariableStatistics result(const std::string& name) const {
    GREGALE_CHECK(valid_ > 0 && weight_ > 0, invalid_argument, "variable {} has no valid value", name);
    VariableStatistics s;
    s.mean = mean_;
    s.min = low_;
    s.max = high_;
    s.valid = valid_;
    s.missing = missing_;
    // A constant field has rounding for a deviation: dividing by that would make noise of it.
    const double std = std::sqrt(std::max(squares_ / weight_, 0.0));
    s.std = high_ > low_ && std > 0 ? std : 1;
    return s;
  }

 private:
  double weight_ = 0, mean_ = 0, squares_ = 0;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -std::numeric_limits<double>::infinity();
  int64_t valid_ = 0, missing_ = 0;
};

// Sums and counts at every point of [variable, lat, lon].
struct Sums {
  std::vector<double> sum;
  std::vector<int32_t> count;
  explicit Sums(size_t points = 0) : sum(points), count(points) {}
  void add(size_t at, std::span<const float> field) {
    for (size_t i = 0; i < field.size(); ++i)
      if (!std::isnan(field[i])) {
        sum[at + i] += static_cast<double>(field[i]);
        ++count[at + i];
      }
  }
};

double mean_step_days(const grid::TimeAxis& time) {
  if (time.step().nominal_days() > 0) return time.step().nominal_days();
  if (time.size() < 2) return 0;
  return static_cast<double>(time.seconds(time.size() - 1) - time.seconds(0)) / 86400.0 /
         static_cast<double>(time.size() - 1);
}

int64_t cycle_days(grid::Calendar calendar) { return calendar == grid::Calendar::day360 ? 360 : 366; }

}  // namespace

std::vector<VariableStatistics> compute_statistics(const FieldDataset& dataset, std::span<const int64_t> records) {
  std::vector<float> field(static_cast<size_t>(dataset.grid().cells()));
  std::vector<VariableStatistics> result;
  for (size_t v = 0; v < dataset.variables().size(); ++v) {
    Moments moments;
    const std::string& name = dataset.variables()[v].name;
    for (int64_t record : records) {
      dataset.read_field(record, static_cast<int64_t>(v), field);
      moments.add_field(field, dataset.grid(), name);
    }
    result.push_back(moments.result(name));
  }
  return result;
}

std::vector<VariableStatistics> compute_statistics(const Tensor& fields, const grid::LatLonGrid& grid) {
  GREGALE_CHECK(fields.rank() == 4 && fields.extent(2) == grid.rows() && fields.extent(3) == grid.columns(), shape,
                "[compute_statistics] {} is not [record, variable, {}, {}]", gregale::to_string(fields.extents()),
                grid.rows(), grid.columns());
  const auto cells = static_cast<size_t>(grid.cells());
  const auto variables = static_cast<size_t>(fields.extent(1));
  const auto values = fields.as<float>();
  std::vector<VariableStatistics> result;
  for (size_t v = 0; v < variables; ++v) {
    Moments moments;
    const std::string name = fmt::format("{}", v);
    for (size_t r = 0; r < static_cast<size_t>(fields.extent(0)); ++r)
      moments.add_field(values.subspan((r * variables + v) * cells, cells), grid, name);
    result.push_back(moments.result(name));
  }
  return result;
}

int64_t Climatology::bin(const grid::DateTime& date) const {
  if (kind == Kind::month) return date.month - 1;
  int64_t day = grid::day_of_year(calendar, date);
  if (calendar != grid::Calendar::day360 && date.month > 2) {
    // Days are counted as in a leap year, so that 1 March is the same day in every year. (The standard calendar lost
    // ten days in 1582; counting from the month's beginning is right there too.)
    static constexpr int kBefore[] = {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335};
    day = kBefore[date.month - 1] + date.day;
  }
  const int64_t second = date.hour * 3600 + date.minute * 60 + date.second;
  return (day - 1) * slots_per_day + second * slots_per_day / grid::kSecondsPerDay;
}

Tensor Climatology::at(std::span<const int64_t> seconds) const {
  Extents extents = mean.extents();
  extents[0] = static_cast<int64_t>(seconds.size());
  Tensor result(DType::f32, extents);
  const auto in = mean.as<float>();
  const auto out = result.as<float>();
  const size_t points = in.size() / counts.size();
  for (size_t i = 0; i < seconds.size(); ++i) {
    const auto from = in.subspan(static_cast<size_t>(bin_at(seconds[i])) * points, points);
    std::copy(from.begin(), from.end(), out.begin() + static_cast<int64_t>(i * points));
  }
  return result;
}

Climatology compute_climatology(const FieldDataset& dataset, std::span<const int64_t> records,
                                const ClimatologyOptions& options) {
  GREGALE_CHECK(!records.empty(), invalid_argument, "a climatology needs at least one record");
  GREGALE_CHECK(options.window_days >= 1 && options.window_days <= 181 && options.window_days % 2 == 1,
                invalid_argument, "a window of {} days is not an odd number from 1 to 181", options.window_days);
  const grid::TimeAxis& time = dataset.time();
  Climatology climatology;
  climatology.calendar = time.calendar();
  climatology.kind = mean_step_days(time) >= 28 ? Climatology::Kind::month : Climatology::Kind::day_of_year;
  int64_t bins = 12;
  if (climatology.kind == Climatology::Kind::day_of_year) {
    const grid::TimeStep& step = time.step();
    if (step.kind == grid::TimeStep::Kind::fixed && step.seconds >= 3600 && grid::kSecondsPerDay % step.seconds == 0)
      climatology.slots_per_day = static_cast<int>(grid::kSecondsPerDay / step.seconds);
    climatology.window_days = options.window_days;
    bins = cycle_days(climatology.calendar) * climatology.slots_per_day;
  }
  climatology.counts.assign(static_cast<size_t>(bins), 0);

  const auto cells = static_cast<size_t>(dataset.grid().cells());
  const size_t variables = dataset.variables().size();
  const size_t points = variables * cells;
  std::map<int64_t, Sums> sums;  // only the bins that have records
  Sums all(points);
  std::vector<float> field(cells);
  for (int64_t record : records) {
    const int64_t bin = climatology.bin(time.date(record));
    ++climatology.counts[static_cast<size_t>(bin)];
    Sums& here = sums.try_emplace(bin, points).first->second;
    for (size_t v = 0; v < variables; ++v) {
      dataset.read_field(record, static_cast<int64_t>(v), field);
      here.add(v * cells, field);
      all.add(v * cells, field);
    }
  }

  climatology.mean =
      Tensor(DType::f32, {bins, static_cast<int64_t>(variables), dataset.grid().rows(), dataset.grid().columns()});
  const auto out = climatology.mean.as<float>();
  const int64_t slots = climatology.slots_per_day, days = bins / slots, half = (climatology.window_days - 1) / 2;
  for (int64_t bin = 0; bin < bins; ++bin) {
    Sums window(points);
    for (int64_t shift = -half; shift <= half; ++shift) {
      const int64_t day = climatology.kind == Climatology::Kind::month ? bin : (bin / slots + shift + days) % days;
      const auto found = sums.find(climatology.kind == Climatology::Kind::month ? bin : day * slots + bin % slots);
      if (found == sums.end()) continue;
      for (size_t i = 0; i < points; ++i) {
        window.sum[i] += found->second.sum[i];
        window.count[i] += found->second.count[i];
      }
    }
    for (size_t i = 0; i < points; ++i) {
      const Sums& from = window.count[i] > 0 ? window : all;
      out[static_cast<size_t>(bin) * points + i] =
          from.count[i] > 0 ? static_cast<float>(from.sum[i] / from.count[i]) : std::numeric_limits<float>::quiet_NaN();
    }
  }
  return climatology;
}

Tensor anomalies(const Tensor& fields, const Climatology& climatology, std::span<const int64_t> seconds) {
  Tensor result = climatology.at(seconds);
  GREGALE_CHECK(result.extents() == fields.extents(), shape, "[anomalies] fields {} against a climatology of {}",
                gregale::to_string(fields.extents()), gregale::to_string(result.extents()));
  const auto in = fields.as<float>();
  const auto out = result.as<float>();
  for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] - out[i];
  return result;
}

}  // namespace gregale::data
