// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace gregale::grid {

/// The calendars of the CF conventions (section 4.4.1).
///   standard             Julian until 1582-10-04, Gregorian from 1582-10-15 (the days between do not exist)
///   proleptic_gregorian  Gregorian for all time      julian    a leap year every four years
///   noleap               every year has 365 days     all_leap  every year has 366 days     day360  30-day months
/// Years are astronomical in all of them: the year before 1 is 0.
enum class Calendar : uint8_t { standard, proleptic_gregorian, julian, noleap, all_leap, day360 };

/// The CF name: "standard", "noleap", "360_day", ...
const char* to_string(Calendar calendar);
/// Accepts the CF names and their synonyms (gregorian, 365_day, 366_day, none of the letters' case matters; empty means
/// standard); throws ErrorCode::unsupported for others.
Calendar calendar_from_name(std::string_view name);

struct DateTime {
  int64_t year = 1970;
  int month = 1;   ///< 1..12
  int day = 1;     ///< 1..31
  int hour = 0;    ///< 0..23
  int minute = 0;  ///< 0..59
  int second = 0;  ///< 0..59
  friend auto operator<=>(const DateTime&, const DateTime&) = default;
};

/// A half-open interval of time in seconds since 1970-01-01T00:00:00 of its calendar.
struct Interval {
  int64_t begin = 0;
  int64_t end = 0;
  bool contains(int64_t seconds) const { return begin <= seconds && seconds < end; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// Dates are accepted for years in [-kMaxYear, kMaxYear], so that no product below overflows.
inline constexpr int64_t kMaxYear = 1'000'000;
inline constexpr int64_t kSecondsPerDay = 86'400;

bool is_leap_year(Calendar calendar, int64_t year);
int days_in_month(Calendar calendar, int64_t year, int month);
int days_in_year(Calendar calendar, int64_t year);
/// Whether the date exists in the calendar (29 February, 30 February of day360, 10 October 1582 of standard, ...).
bool exists(Calendar calendar, const DateTime& date);

/// Seconds since 1970-01-01T00:00:00 of the same calendar; throws ErrorCode::invalid_argument where the date does not
/// exist. Exact inverses of each other.
int64_t to_seconds(Calendar calendar, const DateTime& date);
DateTime from_seconds(Calendar calendar, int64_t seconds);

int day_of_year(Calendar calendar, const DateTime& date);  ///< 1..366
/// Position in the year in [0, 1): 0 at 1 January, 00:00.
double year_fraction(Calendar calendar, const DateTime& date);
/// Months since January of year 0: successive calendar months are successive integers.
inline int64_t month_index(const DateTime& date) { return date.year * 12 + (date.month - 1); }
/// The same day and time `months` calendar months later; the day is cut to the length of the month reached.
DateTime add_months(Calendar calendar, const DateTime& date, int64_t months);

/// "1991-01-16T20:00", with ":30" appended only where there are seconds.
std::string to_iso(const DateTime& date);
std::string to_iso(Calendar calendar, int64_t seconds);

/// A date as people type it: `1991`, `1991-01`, `1991-01-16`, `1991-01-16T20`, `1991-01-16T20:00`,
/// `1991-01-16T20:00:30` (a blank for T and a closing Z are accepted), as the interval it names: a year, a month, a
/// day, an hour, a minute or a second. A month so matches the record inside it, wherever in the month the record is
/// dated. Throws ErrorCode::invalid_argument, worded "not a date: '1991-13' (expected 1991, 1991-01, ...)".
Interval parse_date(Calendar calendar, std::string_view text);
/// `T` or `T/T2`, both ends included: from the beginning of T to the end of T2. Throws also where T2 ends before T
/// begins.
Interval parse_date_range(Calendar calendar, std::string_view text);
/// The same with the two ends given apart.
Interval parse_date_range(Calendar calendar, std::string_view first, std::string_view last);

}  // namespace gregale::grid
