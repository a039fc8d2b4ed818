// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "grid/time_axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>

#include "gregale/error.hpp"
#include "grid/udunits.hpp"

namespace gregale::grid {
namespace {

constexpr double kMeanMonthDays = 30.436875;         // Gregorian
constexpr int64_t kMaxSeconds = 31'700'000'000'000;  // a little over kMaxYear years
constexpr int64_t kMaxSparsity = 50;                 // steps per record above which an axis counts as irregular

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
           return std::tolower(x) == std::tolower(y);
         });
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) || c == '\0') {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

struct ParsedUnits {
  std::string unit, epoch;
};

// "<unit> since <epoch>", or nothing.
std::optional<ParsedUnits> split_units(const std::string& units) {
  if (units.size() > 400) return std::nullopt;
  const std::vector<std::string> words = words_of(units);
  for (size_t i = 1; i < words.size(); ++i) {
    if (!same_word(words[i], "since")) continue;
    ParsedUnits parsed;
    for (size_t j = 0; j < i; ++j) parsed.unit += (j ? " " : "") + words[j];
    for (size_t j = i + 1; j < words.size(); ++j) parsed.epoch += (j > i + 1 ? " " : "") + words[j];
    return parsed;
  }
  return std::nullopt;
}

struct Epoch {
  DateTime date;
  int64_t offset_seconds = 0;  // time zone, to be subtracted
  double fraction = 0;         // of a second
};

// What files write: 1980-01-14 14:00:00, 1958-1, 1-1-1, 0000-01-01 00:00:0.0, 14-JAN-1980, 1982-01-16T12:00Z,
// 1990-1-1 00:00 +01:00. Months and days of 0 are read as 1.
std::optional<Epoch> parse_epoch(const std::string& text) {
  size_t at = 0;
  auto digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  auto number = [&](int most, int64_t& value) {
    int digits = 0;
    int64_t result = 0;
    while (digit(at) && digits < most) {
      result = result * 10 + (text[at++] - '0');
      ++digits;
    }
    value = result;
    return digits > 0;
  };
  auto blanks = [&] {
    while (at < text.size() && text[at] == ' ') ++at;
  };
  auto take = [&](char c) {
    if (at >= text.size() || text[at] != c) return false;
    ++at;
    return true;
  };

  int64_t year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  const bool negative = take('-');
  int64_t first = 0;
  if (!number(7, first)) return std::nullopt;
  if (at + 4 < text.size() && text[at] == '-' && std::isalpha(static_cast<unsigned char>(text[at + 1]))) {
    static constexpr const char* kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                              "jul", "aug", "sep", "oct", "nov", "dec"};
    month = 0;
    for (int i = 0; i < 12; ++i)
      if (same_word(std::string_view(text).substr(at + 1, 3), kMonths[i])) month = i + 1;
    at += 4;
    if (month == 0 || negative || !take('-') || !number(7, year)) return std::nullopt;
    day = first;
  } else {
    if (first > 9'999'999 || digit(at)) return std::nullopt;
    year = negative ? -first : first;
    if (take('-')) {
      if (!number(2, month)) return std::nullopt;
      if (take('-') && !number(2, day)) return std::nullopt;
    } else if (first > 9999) {
      return std::nullopt;  // 19820116: UDUNITS knows what it is
    }
  }
  if (digit(at)) return std::nullopt;
  Epoch epoch;
  if (take('T') || take('t')) {
  } else {
    blanks();
  }
  if (digit(at)) {
    if (!number(2, hour) || digit(at)) return std::nullopt;
    if (take(':')) {
      if (!number(2, minute)) return std::nullopt;
      if (take(':')) {
        if (!number(2, second)) return std::nullopt;
        if (take('.')) {
          double scale = 0.1;
          while (digit(at)) {
            epoch.fraction += scale * (text[at++] - '0');
            scale /= 10;
          }
        }
      }
    }
  }
  blanks();
  const std::string_view zone = std::string_view(text).substr(at);
  if (zone.empty() || same_word(zone, "z") || same_word(zone, "utc") || same_word(zone, "gmt")) {
  } else if (zone.front() == '+' || zone.front() == '-') {
    const bool west = zone.front() == '-';
    ++at;
    const size_t begin = at;
    int64_t hours = 0, minutes = 0;
    if (!number(4, hours)) return std::nullopt;
    if (at - begin > 2) {
      minutes = hours % 100;
      hours /= 100;
    } else if (take(':') && !number(2, minutes)) {
      return std::nullopt;
    }
    if (at != text.size() || hours > 14 || minutes > 59) return std::nullopt;
    epoch.offset_seconds = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
  } else {
    return std::nullopt;
  }
  if (second == 60) second = 59;
  epoch.date = {year,
                static_cast<int>(std::max<int64_t>(month, 1)),
                static_cast<int>(std::max<int64_t>(day, 1)),
                static_cast<int>(hour),
                static_cast<int>(minute),
                static_cast<int>(second)};
  return epoch;
}

// How many calendar months the unit counts, or 0: UDUNITS knows its month and its tropical year by their lengths.
int64_t calendar_months(double unit_seconds) {
  constexpr double kYear = 365.242198781 * 86400;
  if (std::abs(unit_seconds / kYear - 1) < 1e-9) return 12;
  if (std::abs(unit_seconds / (kYear / 12) - 1) < 1e-9) return 1;
  return 0;
}

int64_t round_seconds(double seconds, int64_t record) {
  GREGALE_CHECK(std::isfinite(seconds) && std::abs(seconds) < static_cast<double>(kMaxSeconds), corrupt_data,
                "time of record {} is out of range", record);
  return std::llround(seconds);
}

int64_t calendar_seconds(Calendar calendar, const DateTime& epoch, double months, int64_t record) {
  GREGALE_CHECK(std::isfinite(months) && std::abs(months) < 6.0 * kMaxYear, corrupt_data,
                "time of record {} is out of range", record);
  // Files written in single precision have 12.999999 for 13.
  const double nearest = std::round(months);
  const double whole = std::abs(months - nearest) < 1e-5 ? nearest : std::floor(months);
  const double fraction = std::abs(months - nearest) < 1e-5 ? 0 : months - whole;
  const int64_t begin = to_seconds(calendar, add_months(calendar, epoch, static_cast<int64_t>(whole)));
  if (fraction == 0) return begin;
  const int64_t end = to_seconds(calendar, add_months(calendar, epoch, static_cast<int64_t>(whole) + 1));
  return begin + std::llround(fraction * static_cast<double>(end - begin));
}

std::string plural(int64_t count, const char* unit) {
  return count == 1 ? fmt::format("1 {}", unit) : fmt::format("{} {}s", count, unit);
}

}  // namespace

double TimeStep::nominal_days() const {
  if (seconds > 0) return static_cast<double>(seconds) / 86400.0;
  return static_cast<double>(months) * kMeanMonthDays;
}

std::string TimeStep::describe() const {
  switch (kind) {
    case Kind::none:
      return "single record";
    case Kind::irregular:
      return "irregular";
    case Kind::monthly:
      return plural(months, "month");
    case Kind::yearly:
      return plural(months / 12, "year");
    case Kind::fixed:
      break;
  }
  if (seconds % 86400 == 0) return plural(seconds / 86400, "day");
  if (seconds % 3600 == 0) return plural(seconds / 3600, "hour");
  if (seconds % 60 == 0) return plural(seconds / 60, "minute");
  return plural(seconds, "second");
}

bool is_time_units(const std::string& units) {
  const std::optional<ParsedUnits> parsed = split_units(units);
  return parsed && seconds_per_unit(parsed->unit).has_value();
}

TimeAxis TimeAxis::from_values(std::span<const double> values, const std::string& units, const std::string& calendar,
                               bool climatological) {
  const std::string shown = units.substr(0, 100);
  TimeAxis axis;
  axis.calendar_ = calendar_from_name(calendar);
  axis.units_ = units;
  const std::optional<ParsedUnits> parsed = split_units(units);
  GREGALE_CHECK(parsed, invalid_argument,
                "time units '{}' do not say since when (expected such as 'hours since 1982-01-16 12:00')", shown);
  const std::optional<double> unit = seconds_per_unit(parsed->unit);
  GREGALE_CHECK(unit, invalid_argument, "time units '{}': '{}' is not a unit of time", shown, parsed->unit);

  std::optional<Epoch> epoch = parse_epoch(parsed->epoch);
  if (!epoch) {
    if (const std::optional<double> seconds = epoch_seconds(parsed->epoch);
        seconds && std::abs(*seconds) < static_cast<double>(kMaxSeconds)) {
      const double whole = std::floor(*seconds);
      epoch = Epoch{grid::from_seconds(Calendar::standard, static_cast<int64_t>(whole)), 0, *seconds - whole};
    }
  }
  GREGALE_CHECK(epoch && exists(axis.calendar_, epoch->date), invalid_argument,
                "time units '{}': '{}' is not a date of the {} calendar", shown, parsed->epoch,
                to_string(axis.calendar_));
  axis.climatological_ = climatological || epoch->date.year == 0;

  const int64_t months = calendar_months(*unit);
  const double begin =
      static_cast<double>(to_seconds(axis.calendar_, epoch->date) - epoch->offset_seconds) + epoch->fraction;
  axis.seconds_.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto record = static_cast<int64_t>(i);
    GREGALE_CHECK(std::isfinite(values[i]), corrupt_data, "the time of record {} is missing", record);
    if (months > 0)
      axis.seconds_.push_back(
          calendar_seconds(axis.calendar_, epoch->date, values[i] * static_cast<double>(months), record) -
          epoch->offset_seconds);
    else
      axis.seconds_.push_back(round_seconds(begin + values[i] * *unit, record));
    GREGALE_CHECK(i == 0 || axis.seconds_[i] > axis.seconds_[i - 1], corrupt_data,
                  "times do not increase: record {} ({}) follows {}", record, to_iso(axis.calendar_, axis.seconds_[i]),
                  to_iso(axis.calendar_, axis.seconds_[i - 1]));
  }
  axis.analyse();
  return axis;
}

TimeAxis TimeAxis::from_seconds(Calendar calendar, std::vector<int64_t> seconds, bool climatological) {
  TimeAxis axis;
  axis.calendar_ = calendar;
  axis.climatological_ = climatological;
  for (size_t i = 0; i < seconds.size(); ++i) {
    GREGALE_CHECK(seconds[i] > -kMaxSeconds && seconds[i] < kMaxSeconds, corrupt_data,
                  "time of record {} is out of range", i);
    GREGALE_CHECK(i == 0 || seconds[i] > seconds[i - 1], corrupt_data,
                  "times do not increase: record {} ({}) follows {}", i, to_iso(calendar, seconds[i]),
                  to_iso(calendar, seconds[i - 1]));
  }
  axis.seconds_ = std::move(seconds);
  axis.analyse();
  return axis;
}

void TimeAxis::analyse() {
  step_ = {};
  if (size() >= 2) {
    const int64_t n = size();
    std::vector<int64_t> spacing, months;
    for (int64_t i = 1; i < n; ++i) {
      spacing.push_back(seconds(i) - seconds(i - 1));
      months.push_back(month_index(i) - month_index(i - 1));
    }
    const int64_t shortest = *std::min_element(spacing.begin(), spacing.end());
    const bool constant = shortest == *std::max_element(spacing.begin(), spacing.end());

    // Calendar months: the commonest spacing of the records in months must be their step, and about so long in days.
    const int64_t fewest = *std::min_element(months.begin(), months.end());
    bool calendar_step = fewest >= 1 && (month_index(n - 1) - month_index(0)) / fewest <= kMaxSparsity * n;
    for (size_t i = 0; i < months.size() && calendar_step; ++i) {
      const double days = static_cast<double>(spacing[i]) / 86400.0;
      calendar_step = months[i] % fewest == 0 &&
                      std::abs(days - static_cast<double>(months[i]) * kMeanMonthDays) <= 5 + 0.015 * days;
    }
    // Forty days is no month, though three such steps may fall in the first, second and fourth.
    if (calendar_step && constant)
      calendar_step =
          std::abs(static_cast<double>(shortest) / 86400.0 - static_cast<double>(fewest) * kMeanMonthDays) <=
          1.6 * static_cast<double>(std::min<int64_t>(fewest, 4));
    if (calendar_step) {
      step_.kind = fewest % 12 == 0 ? TimeStep::Kind::yearly : TimeStep::Kind::monthly;
      step_.months = fewest;
      // Two equal spacings may be two equal months (July and August); three are the file's own.
      step_.seconds = constant && n > 3 ? shortest : 0;
    } else {
      // Spacings that are multiples of one step, up to the rounding of single-precision times.
      double total = 0;
      int64_t ones = 0;
      for (int64_t s : spacing)
        if (static_cast<double>(s) < 1.5 * static_cast<double>(shortest)) {
          total += static_cast<double>(s);
          ++ones;
        }
      const double base = total / static_cast<double>(ones);
      const double tolerance = base >= 100 ? 0.05 * base : 0;
      int64_t steps = 0;
      bool regular = true;
      for (int64_t s : spacing) {
        const double k = std::round(static_cast<double>(s) / base);
        regular = regular && k >= 1 && std::abs(static_cast<double>(s) - k * base) <= tolerance + 1e-6 * base;
        steps += static_cast<int64_t>(std::min(k, 1e12));
      }
      if (regular && steps <= kMaxSparsity * n) {
        step_.kind = TimeStep::Kind::fixed;
        step_.seconds = std::max<int64_t>(
            1, std::llround(static_cast<double>(seconds(n - 1) - seconds(0)) / static_cast<double>(steps)));
      } else {
        step_.kind = TimeStep::Kind::irregular;
      }
    }
  }
  place();
}

void TimeAxis::place() {
  positions_.assign(seconds_.size(), -1);
  gaps_.clear();
  if (empty()) return;
  positions_[0] = 0;
  for (int64_t i = 1; i < size(); ++i) {
    int64_t steps = 0;
    switch (step_.kind) {
      case TimeStep::Kind::monthly:
      case TimeStep::Kind::yearly:
        steps = (month_index(i) - month_index(i - 1)) / step_.months;
        break;
      case TimeStep::Kind::fixed:
        steps = std::llround(static_cast<double>(seconds(i) - seconds(i - 1)) / static_cast<double>(step_.seconds));
        break;
      case TimeStep::Kind::none:
      case TimeStep::Kind::irregular:
        continue;
    }
    positions_[static_cast<size_t>(i)] = positions_[static_cast<size_t>(i - 1)] + steps;
    if (steps > 1) gaps_.push_back({i - 1, steps - 1});
  }
}

std::string TimeAxis::label_of(int64_t seconds) const {
  const DateTime date = grid::from_seconds(calendar_, seconds);
  const std::string iso = to_iso(date);
  const size_t t = iso.find('T');
  if (step_.kind == TimeStep::Kind::monthly) return iso.substr(0, t - 3);
  if (step_.kind == TimeStep::Kind::yearly) return iso.substr(0, t - 6);
  return iso;
}

std::string TimeAxis::label(int64_t record) const { return label_of(seconds(record)); }

std::vector<int64_t> TimeAxis::find(const Interval& interval) const {
  const auto begin = std::lower_bound(seconds_.begin(), seconds_.end(), interval.begin);
  const auto end = std::lower_bound(begin, seconds_.end(), interval.end);
  std::vector<int64_t> records(static_cast<size_t>(end - begin));
  std::iota(records.begin(), records.end(), static_cast<int64_t>(begin - seconds_.begin()));
  return records;
}

std::vector<int64_t> TimeAxis::find(std::string_view date_or_range) const {
  std::vector<int64_t> records = find(parse_date_range(calendar_, date_or_range));
  if (records.empty()) {
    const std::string has = empty() ? "no records" : fmt::format("{} to {}", label(0), label(size() - 1));
    throw_error(ErrorCode::invalid_argument, fmt::format("no record in '{}' (the file has {})", date_or_range, has));
  }
  return records;
}

std::optional<int64_t> TimeAxis::offset(int64_t record, int64_t steps) const {
  const int64_t from = position(record);
  if (steps == 0) return record;
  if (step_.kind == TimeStep::Kind::irregular || step_.kind == TimeStep::Kind::none) return std::nullopt;
  if (steps > positions_.back() || steps < -positions_.back()) return std::nullopt;
  const auto found = std::lower_bound(positions_.begin(), positions_.end(), from + steps);
  if (found == positions_.end() || *found != from + steps) return std::nullopt;
  return static_cast<int64_t>(found - positions_.begin());
}

int64_t TimeAxis::advance(int64_t seconds, int64_t steps) const {
  if (steps == 0) return seconds;
  GREGALE_CHECK(steps > -kMaxYear && steps < kMaxYear, invalid_argument, "{} steps are out of range", steps);
  GREGALE_CHECK(step_.seconds > 0 || step_.months > 0, unsupported, "the time axis has no regular step ({})",
                step_.describe());
  int64_t result = 0;
  if (step_.seconds > 0) {
    GREGALE_CHECK(!__builtin_mul_overflow(step_.seconds, steps, &result) &&
                      !__builtin_add_overflow(result, seconds, &result) && result > -kMaxSeconds &&
                      result < kMaxSeconds,
                  invalid_argument, "{} steps after {} is out of range", steps, to_iso(calendar_, seconds));
    return result;
  }
  return to_seconds(calendar_, add_months(calendar_, grid::from_seconds(calendar_, seconds), step_.months * steps));
}

TimeAxis TimeAxis::subset(std::span<const int64_t> records) const {
  TimeAxis axis;
  axis.calendar_ = calendar_;
  axis.units_ = units_;
  axis.climatological_ = climatological_;
  for (int64_t record : records) {
    GREGALE_CHECK(record >= 0 && record < size(), invalid_argument, "record {} is outside 0 to {}", record, size() - 1);
    GREGALE_CHECK(axis.seconds_.empty() || seconds(record) > axis.seconds_.back(), invalid_argument,
                  "records are not in order");
    axis.seconds_.push_back(seconds(record));
  }
  axis.step_ = step_;
  axis.place();
  return axis;
}

TimeAxis TimeAxis::concatenated(const TimeAxis& later) const {
  if (empty()) return later;
  if (later.empty()) return *this;
  GREGALE_CHECK(calendar_ == later.calendar_, invalid_argument, "calendars differ: {} and {}", to_string(calendar_),
                to_string(later.calendar_));
  GREGALE_CHECK(later.seconds_.front() > seconds_.back(), invalid_argument, "times overlap: {} to {} and {} to {}",
                label(0), label(size() - 1), later.label(0), later.label(later.size() - 1));
  TimeAxis axis = *this;
  axis.seconds_.insert(axis.seconds_.end(), later.seconds_.begin(), later.seconds_.end());
  axis.analyse();
  return axis;
}

}  // namespace gregale::grid
