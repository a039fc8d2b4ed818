// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grid/calendar.hpp"

namespace gregale::grid {

/// How the records of a time axis follow each other.
struct TimeStep {
  enum class Kind : uint8_t {
    none,       ///< fewer than two records
    fixed,      ///< every step is a multiple of `seconds`
    monthly,    ///< one record in each calendar month, or in each third one (seasons), ...
    yearly,     ///< the same with years
    irregular,  ///< none of these: records have no lead times
  };
  Kind kind = Kind::none;
  /// Length of one step. Exact for `fixed`; for monthly and yearly axes the constant spacing where there is one (the
  /// 730.5-hour months of some archives), else 0: steps are then calendar months or years.
  int64_t seconds = 0;
  int64_t months =
      0;  ///< calendar months in a step: 1 for monthly data, 3 for seasons, 12 for years; 0 for other kinds
  /// Mean length of a step in days, for reports and for choosing climatology bins.
  double nominal_days() const;
  /// "1 month", "3 months", "6 hours", "1 day", "1 year", "irregular"
  std::string describe() const;
  friend bool operator==(const TimeStep&, const TimeStep&) = default;
};

/// Records that are missing between two neighbours of an axis.
struct TimeGap {
  int64_t after = 0;    ///< the record before the gap
  int64_t missing = 0;  ///< how many steps are missing
};

/// The times of a data set's records, strictly increasing, in whole seconds (fractions are rounded).
class TimeAxis {
 public:
  TimeAxis() = default;

  /// From a file's numbers, its units ("hours since 1982-01-16 12:00") and its calendar attribute ("" = standard).
  /// UDUNITS-2 reads the unit; singular, plural and abbreviated units all work, and epochs may be incomplete
  /// ("months since 1958-1") or of the year 0 ("hour since 0000-01-01 00:00:00": a climatology).
  /// Whole numbers of "months since" and "years since" are *calendar* months and years, which is what such files mean,
  /// not UDUNITS' mean month of 30.44 days; fractions of them are fractions of the calendar month or year reached.
  /// Throws ErrorCode::invalid_argument for units without "since" or unknown to UDUNITS, ErrorCode::corrupt_data for
  /// times that are NaN, missing, out of range or not increasing (with the record and both values).
  static TimeAxis from_values(std::span<const double> values, const std::string& units,
                              const std::string& calendar = "", bool climatological = false);
  static TimeAxis from_seconds(Calendar calendar, std::vector<int64_t> seconds, bool climatological = false);

  int64_t size() const { return static_cast<int64_t>(seconds_.size()); }
  bool empty() const { return seconds_.empty(); }
  Calendar calendar() const { return calendar_; }
  const std::string& units() const { return units_; }  ///< as written in the file; empty when made from seconds
  /// A year that stands for every year: the file says so, or the epoch is in the year 0.
  bool climatological() const { return climatological_; }
  const TimeStep& step() const { return step_; }
  bool monthly() const { return step_.kind == TimeStep::Kind::monthly; }
  const std::vector<TimeGap>& gaps() const { return gaps_; }

  const std::vector<int64_t>& seconds() const { return seconds_; }
  int64_t seconds(int64_t record) const { return seconds_.at(static_cast<size_t>(record)); }
  DateTime date(int64_t record) const { return grid::from_seconds(calendar_, seconds(record)); }
  int month(int64_t record) const { return date(record).month; }  ///< calendar month, 1..12
  int64_t month_index(int64_t record) const { return grid::month_index(date(record)); }
  /// How people name the record: "1982-01" on a monthly axis, "1982" on a yearly one, else ISO ("1982-01-16T20:00").
  std::string label(int64_t record) const;
  std::string label_of(int64_t seconds) const;  ///< the same for a time that need not be a record

  /// Records inside the interval, in order (none: empty).
  std::vector<int64_t> find(const Interval& interval) const;
  /// Records that a date or range (`1991-01`, `1991/1992`) names; throws ErrorCode::invalid_argument where there is
  /// none, worded "no record in '1993' (the file has 1982-01 to 1992-12)".
  std::vector<int64_t> find(std::string_view date_or_range) const;

  /// Steps from the first record, gaps counted; -1 on irregular axes (0 for their first record).
  int64_t position(int64_t record) const { return positions_.at(static_cast<size_t>(record)); }
  /// The record `steps` steps (negative: before) from `record`, or nothing where it is missing or outside.
  std::optional<int64_t> offset(int64_t record, int64_t steps) const;
  /// The time `steps` steps after `seconds` by this axis's step; it need not be in the file. Throws
  /// ErrorCode::unsupported on axes without a step.
  int64_t advance(int64_t seconds, int64_t steps) const;

  /// The axis of some of its records (increasing); the step is kept.
  TimeAxis subset(std::span<const int64_t> records) const;
  /// This axis followed by a later one of the same calendar; throws ErrorCode::invalid_argument where they overlap.
  TimeAxis concatenated(const TimeAxis& later) const;

 private:
  void analyse();  // step, positions, gaps
  void place();    // positions and gaps for the step known
  Calendar calendar_ = Calendar::standard;
  std::string units_;
  bool climatological_ = false;
  std::vector<int64_t> seconds_;
  TimeStep step_;
  std::vector<int64_t> positions_;
  std::vector<TimeGap> gaps_;
};

/// Whether a units text is a time axis's: "<unit> since <epoch>" with a unit of time.
bool is_time_units(const std::string& units);

}  // namespace gregale::grid
