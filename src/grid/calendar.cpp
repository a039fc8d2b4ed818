// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "grid/calendar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "gregale/error.hpp"

namespace gregale::grid {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - ((a % b != 0) && ((a < 0) != (b < 0))); }
int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

constexpr std::array<int, 13> kDaysBefore{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

// The first day of the Gregorian calendar, 1582-10-15, in days since 1970-01-01 (Gregorian).
constexpr int64_t kGregorianStart = -141427;
// Julian 1970-01-01 is Gregorian 1970-01-14.
constexpr int64_t kJulianEpoch = 13;

// Days since 1970-01-01 (Gregorian) with years that begin in March, so that the leap day is a year's last
// (H. Hinnant, "chrono-compatible low-level date algorithms").
int64_t march_day(int month, int day) { return (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1; }

int64_t gregorian_days(int64_t year, int month, int day) {
  const int64_t y = year - (month <= 2);
  const int64_t era = floor_div(y, 400), yoe = y - era * 400;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + march_day(month, day) - 719468;
}

int64_t julian_days(int64_t year, int month, int day) {
  const int64_t y = year - (month <= 2);
  return floor_div(y, 4) * 1461 + floor_mod(y, 4) * 365 + march_day(month, day) - 719470;
}

struct Date {
  int64_t year;
  int month, day;
};

Date from_march_day(int64_t year, int64_t doy) {
  const int mp = static_cast<int>((5 * doy + 2) / 153);
  const int day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  const int month = mp < 10 ? mp + 3 : mp - 9;
  return {year + (month <= 2), month, day};
}

Date gregorian_date(int64_t days) {
  const int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  return from_march_day(yoe + era * 400, doe - (365 * yoe + yoe / 4 - yoe / 100));
}

Date julian_date(int64_t days) {
  const int64_t z = days + 719470, era = floor_div(z, 1461), doe = z - era * 1461;
  const int64_t yoe = std::min<int64_t>(doe / 365, 3);
  return from_march_day(yoe + era * 4, doe - 365 * yoe);
}

// Days since 1970-01-01 of the calendar itself, for a date known to exist.
int64_t day_number(Calendar calendar, int64_t year, int month, int day) {
  switch (calendar) {
    case Calendar::proleptic_gregorian:
      return gregorian_days(year, month, day);
    case Calendar::julian:
      return julian_days(year, month, day) - kJulianEpoch;
    case Calendar::standard: {
      const int64_t days = gregorian_days(year, month, day);
      return days >= kGregorianStart ? days : julian_days(year, month, day);
    }
    case Calendar::noleap:
      return (year - 1970) * 365 + kDaysBefore[static_cast<size_t>(month - 1)] + day - 1;
    case Calendar::all_leap:
      return (year - 1970) * 366 + kDaysBefore[static_cast<size_t>(month - 1)] + (month > 2) + day - 1;
    case Calendar::day360:
      return (year - 1970) * 360 + (month - 1) * 30 + day - 1;
  }
  GREGALE_ASSERT(false);
}

Date date_of(Calendar calendar, int64_t days) {
  switch (calendar) {
    case Calendar::proleptic_gregorian:
      return gregorian_date(days);
    case Calendar::julian:
      return julian_date(days + kJulianEpoch);
    case Calendar::standard:
      return days >= kGregorianStart ? gregorian_date(days) : julian_date(days);
    case Calendar::day360: {
      const int64_t year = floor_div(days, 360), rest = floor_mod(days, 360);
      return {1970 + year, static_cast<int>(rest / 30) + 1, static_cast<int>(rest % 30) + 1};
    }
    case Calendar::noleap:
    case Calendar::all_leap: {
      const int leap = calendar == Calendar::all_leap;
      const int64_t year = floor_div(days, 365 + leap), rest = floor_mod(days, 365 + leap);
      int month = 12;
      while (month > 1 && rest < kDaysBefore[static_cast<size_t>(month - 1)] + (month > 2 ? leap : 0)) --month;
      const int64_t before = kDaysBefore[static_cast<size_t>(month - 1)] + (month > 2 ? leap : 0);
      return {1970 + year, month, static_cast<int>(rest - before) + 1};
    }
  }
  GREGALE_ASSERT(false);
}

// Reads a date from the left of a text; every reader leaves the text alone where it does not match.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool literal(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool number(size_t least, size_t most, int64_t& value) {
    size_t digits = 0;
    int64_t result = 0;
    while (digits < text_.size() && digits < most && text_[digits] >= '0' && text_[digits] <= '9')
      result = result * 10 + (text_[digits++] - '0');
    if (digits < least) return false;
    text_.remove_prefix(digits);
    value = result;
    return true;
  }
  bool done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

[[noreturn]] void not_a_date(std::string_view text, const std::string& why = "") {
  throw_error(ErrorCode::invalid_argument,
              fmt::format("not a date: '{}' ({})", text,
                          why.empty() ? "expected 1991, 1991-01, 1991-01-16 or 1991-01-16T20:00" : why));
}

}  // namespace

const char* to_string(Calendar calendar) {
  switch (calendar) {
    case Calendar::standard:
      return "standard";
    case Calendar::proleptic_gregorian:
      return "proleptic_gregorian";
    case Calendar::julian:
      return "julian";
    case Calendar::noleap:
      return "noleap";
    case Calendar::all_leap:
      return "all_leap";
    case Calendar::day360:
      return "360_day";
  }
  return "unknown";
}

Calendar calendar_from_name(std::string_view name) {
  std::string lower(trimmed(name));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.empty() || lower == "standard" || lower == "gregorian") return Calendar::standard;
  if (lower == "proleptic_gregorian") return Calendar::proleptic_gregorian;
  if (lower == "julian") return Calendar::julian;
  if (lower == "noleap" || lower == "365_day" || lower == "no_leap" || lower == "365day") return Calendar::noleap;
  if (lower == "all_leap" || lower == "366_day" || lower == "366day") return Calendar::all_leap;
  if (lower == "360_day" || lower == "360day" || lower == "360") return Calendar::day360;
  throw_error(
      ErrorCode::unsupported,
      fmt::format("unknown calendar '{}' (known: standard, proleptic_gregorian, julian, noleap, all_leap, 360_day)",
                  name.substr(0, 60)));
}

bool is_leap_year(Calendar calendar, int64_t year) {
  const bool julian = floor_mod(year, 4) == 0;
  const bool gregorian = julian && (floor_mod(year, 100) != 0 || floor_mod(year, 400) == 0);
  switch (calendar) {
    case Calendar::standard:
      return year <= 1582 ? julian : gregorian;
    case Calendar::proleptic_gregorian:
      return gregorian;
    case Calendar::julian:
      return julian;
    case Calendar::all_leap:
      return true;
    case Calendar::noleap:
    case Calendar::day360:
      return false;
  }
  return false;
}

int days_in_month(Calendar calendar, int64_t year, int month) {
  GREGALE_ASSERT(month >= 1 && month <= 12);
  if (calendar == Calendar::day360) return 30;
  const auto m = static_cast<size_t>(month);
  return kDaysBefore[m] - kDaysBefore[m - 1] + (month == 2 && is_leap_year(calendar, year));
}

int days_in_year(Calendar calendar, int64_t year) {
  if (calendar == Calendar::day360) return 360;
  if (calendar == Calendar::standard && year == 1582) return 355;
  return 365 + is_leap_year(calendar, year);
}

bool exists(Calendar calendar, const DateTime& date) {
  if (date.year < -kMaxYear || date.year > kMaxYear || date.month < 1 || date.month > 12) return false;
  if (date.day < 1 || date.day > days_in_month(calendar, date.year, date.month)) return false;
  if (date.hour < 0 || date.hour > 23 || date.minute < 0 || date.minute > 59 || date.second < 0 || date.second > 59)
    return false;
  return !(calendar == Calendar::standard && date.year == 1582 && date.month == 10 && date.day > 4 && date.day < 15);
}

int64_t to_seconds(Calendar calendar, const DateTime& date) {
  GREGALE_CHECK(exists(calendar, date), invalid_argument,
                "{:04d}-{:02d}-{:02d}T{:02d}:{:02d} does not exist in the {} calendar", date.year, date.month, date.day,
                date.hour, date.minute, to_string(calendar));
  return day_number(calendar, date.year, date.month, date.day) * kSecondsPerDay + date.hour * 3600 + date.minute * 60 +
         date.second;
}

DateTime from_seconds(Calendar calendar, int64_t seconds) {
  const int64_t days = floor_div(seconds, kSecondsPerDay), rest = floor_mod(seconds, kSecondsPerDay);
  const Date date = date_of(calendar, days);
  return {date.year,
          date.month,
          date.day,
          static_cast<int>(rest / 3600),
          static_cast<int>(rest / 60 % 60),
          static_cast<int>(rest % 60)};
}

int day_of_year(Calendar calendar, const DateTime& date) {
  return static_cast<int>(day_number(calendar, date.year, date.month, date.day) -
                          day_number(calendar, date.year, 1, 1)) +
         1;
}

double year_fraction(Calendar calendar, const DateTime& date) {
  const double days = day_of_year(calendar, date) - 1 + (date.hour * 3600 + date.minute * 60 + date.second) / 86400.0;
  return days / days_in_year(calendar, date.year);
}

DateTime add_months(Calendar calendar, const DateTime& date, int64_t months) {
  GREGALE_CHECK(months >= -24 * kMaxYear && months <= 24 * kMaxYear, invalid_argument, "{} months is out of range",
                months);
  const int64_t index = month_index(date) + months;
  DateTime result = date;
  result.year = floor_div(index, 12);
  result.month = static_cast<int>(floor_mod(index, 12)) + 1;
  result.day = std::min(date.day, days_in_month(calendar, result.year, result.month));
  if (!exists(calendar, result) && calendar == Calendar::standard && result.year == 1582) result.day = 15;
  return result;
}

std::string to_iso(const DateTime& date) {
  std::string text = date.year < 0 ? fmt::format("-{:04d}", -date.year) : fmt::format("{:04d}", date.year);
  text += fmt::format("-{:02d}-{:02d}T{:02d}:{:02d}", date.month, date.day, date.hour, date.minute);
  if (date.second != 0) text += fmt::format(":{:02d}", date.second);
  return text;
}

std::string to_iso(Calendar calendar, int64_t seconds) { return to_iso(from_seconds(calendar, seconds)); }

Interval parse_date(Calendar calendar, std::string_view text) {
  const std::string_view original = text.substr(0, 80);
  Scanner scan(trimmed(text));
  int64_t year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  const bool negative = scan.literal('-');
  if (!scan.number(1, 7, year)) not_a_date(original);
  if (negative) year = -year;
  enum { kYear, kMonth, kDay, kHour, kMinute, kSecond } precision = kYear;
  if (scan.literal('-')) {
    if (!scan.number(1, 2, month)) not_a_date(original);
    precision = kMonth;
    if (scan.literal('-')) {
      if (!scan.number(1, 2, day)) not_a_date(original);
      precision = kDay;
      if (scan.literal('T') || scan.literal('t') || scan.literal(' ')) {
        if (!scan.number(1, 2, hour)) not_a_date(original);
        precision = kHour;
        if (scan.literal(':')) {
          if (!scan.number(2, 2, minute)) not_a_date(original);
          precision = kMinute;
          if (scan.literal(':')) {
            if (!scan.number(2, 2, second)) not_a_date(original);
            precision = kSecond;
          }
        }
        if (!scan.literal('Z')) scan.literal('z');
      }
    }
  }
  if (!scan.done()) not_a_date(original);
  DateTime date{year,
                static_cast<int>(month),
                static_cast<int>(day),
                static_cast<int>(hour),
                static_cast<int>(minute),
                static_cast<int>(second)};
  // One below the limit, so that the end of the interval exists too.
  if (year <= -kMaxYear || year >= kMaxYear) not_a_date(original, "the year is out of range");
  if (!exists(calendar, date))
    not_a_date(original, fmt::format("no such date in the {} calendar", to_string(calendar)));
  const int64_t begin = to_seconds(calendar, date);
  switch (precision) {
    case kYear:
      return {begin, to_seconds(calendar, {year + 1, 1, 1})};
    case kMonth:
      return {begin, to_seconds(calendar, add_months(calendar, date, 1))};
    case kDay:
      return {begin, begin + kSecondsPerDay};
    case kHour:
      return {begin, begin + 3600};
    case kMinute:
      return {begin, begin + 60};
    case kSecond:
      return {begin, begin + 1};
  }
  GREGALE_ASSERT(false);
}

Interval parse_date_range(Calendar calendar, std::string_view first, std::string_view last) {
  const Interval a = parse_date(calendar, first), b = parse_date(calendar, last);
  GREGALE_CHECK(a.begin < b.end, invalid_argument, "the range {}/{} ends before it begins", trimmed(first),
                trimmed(last));
  return {a.begin, b.end};
}

Interval parse_date_range(Calendar calendar, std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return parse_date(calendar, text);
  return parse_date_range(calendar, text.substr(0, slash), text.substr(slash + 1));
}

}  // namespace gregale::grid
