// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/expect_error_for_tests.hpp"
#include "gregale/error.hpp"
#include "grid/calendar.hpp"
#include "grid/time_axis.hpp"

namespace gregale::grid {
namespace {

constexpr Calendar kAll[] = {Calendar::standard, Calendar::proleptic_gregorian,
                             Calendar::julian,   Calendar::noleap,
                             Calendar::all_leap, Calendar::day360};

TEST(Calendars, EveryDayFollowsTheDayBefore) {
  for (Calendar calendar : kAll) {
    for (int64_t first : {-401, -5, 1580, 1895, 1999}) {
      DateTime date{first, 1, 1};
      int64_t seconds = to_seconds(calendar, date);
      for (int day = 0; day < 366 * 9; ++day) {
        ASSERT_EQ(from_seconds(calendar, seconds), date) << to_string(calendar) << " " << to_iso(date);
        ASSERT_EQ(to_seconds(calendar, date), seconds);
        // The successor by the calendar's own rules.
        if (calendar == Calendar::standard && date == DateTime{1582, 10, 4})
          date.day = 15;
        else if (++date.day > days_in_month(calendar, date.year, date.month)) {
          date.day = 1;
          if (++date.month > 12) {
            date.month = 1;
            ++date.year;
          }
        }
        seconds += kSecondsPerDay;
      }
    }
  }
}

TEST(Calendars, KnownDates) {
  EXPECT_EQ(to_seconds(Calendar::standard, {2000, 3, 1}), 951868800);  // Unix time
  EXPECT_EQ(to_seconds(Calendar::proleptic_gregorian, {1600, 1, 1}), -11676096000);
  for (Calendar calendar : kAll) EXPECT_EQ(to_seconds(calendar, {1970, 1, 1}), 0) << to_string(calendar);
  // 1582-10-04 (Julian) is the day before 1582-10-15 (Gregorian).
  EXPECT_EQ(to_seconds(Calendar::standard, {1582, 10, 15}) - to_seconds(Calendar::standard, {1582, 10, 4}),
            kSecondsPerDay);
  // Julian day number 0 is noon of 1 January 4713 BC, year −4712: 2440587.5 days before 1970.
  EXPECT_EQ(to_seconds(Calendar::standard, {-4712, 1, 1, 12, 0, 0}), -static_cast<int64_t>(2440587.5 * 86400));
  EXPECT_EQ(from_seconds(Calendar::day360, -1), (DateTime{1969, 12, 30, 23, 59, 59}));
  EXPECT_EQ(from_seconds(Calendar::noleap, -1), (DateTime{1969, 12, 31, 23, 59, 59}));
}

TEST(Calendars, LeapYears) {
  EXPECT_TRUE(exists(Calendar::standard, {2000, 2, 29}));
  EXPECT_FALSE(exists(Calendar::standard, {1900, 2, 29}));
  EXPECT_TRUE(exists(Calendar::standard, {1500, 2, 29}));  // Julian then
  EXPECT_FALSE(exists(Calendar::proleptic_gregorian, {1500, 2, 29}));
  EXPECT_TRUE(exists(Calendar::julian, {1900, 2, 29}));
  EXPECT_FALSE(exists(Calendar::noleap, {2000, 2, 29}));
  EXPECT_TRUE(exists(Calendar::all_leap, {1999, 2, 29}));
  EXPECT_TRUE(exists(Calendar::day360, {1999, 2, 30}));
  EXPECT_FALSE(exists(Calendar::day360, {1999, 1, 31}));
  EXPECT_FALSE(exists(Calendar::standard, {1582, 10, 10}));
  EXPECT_TRUE(exists(Calendar::julian, {1582, 10, 10}));
  EXPECT_EQ(day_of_year(Calendar::standard, {2000, 12, 31}), 366);
  EXPECT_EQ(day_of_year(Calendar::noleap, {2000, 12, 31}), 365);
  EXPECT_EQ(day_of_year(Calendar::standard, {1582, 12, 31}), 355);
  EXPECT_EQ(days_in_year(Calendar::day360, 2000), 360);
  EXPECT_DOUBLE_EQ(year_fraction(Calendar::day360, {1990, 7, 1}), 0.5);
  EXPECT_EQ(add_months(Calendar::standard, {1991, 1, 31}, 1), (DateTime{1991, 2, 28}));
  EXPECT_EQ(add_months(Calendar::standard, {1991, 1, 31}, -13), (DateTime{1989, 12, 31}));
  EXPECT_THAT(message_of([] {
                to_seconds(Calendar::noleap, {2000, 2, 29});
              }),
              testing::HasSubstr("2000-02-29T00:00 does not exist in the noleap calendar"));
}

TEST(Calendars, Names) {
  for (Calendar calendar : kAll) EXPECT_EQ(calendar_from_name(to_string(calendar)), calendar);
  EXPECT_EQ(calendar_from_name("GREGORIAN"), Calendar::standard);
  EXPECT_EQ(calendar_from_name(""), Calendar::standard);
  EXPECT_EQ(calendar_from_name("365_day"), Calendar::noleap);
  EXPECT_EQ(calendar_from_name("366_day"), Calendar::all_leap);
  EXPECT_THAT(message_of([] { calendar_from_name("mayan"); }), testing::HasSubstr("unknown calendar 'mayan'"));
}

TEST(Dates, NameAnInterval) {
  const Calendar c = Calendar::standard;
  auto at = [&](DateTime date) { return to_seconds(c, date); };
  EXPECT_EQ(parse_date(c, "1991"), (Interval{at({1991, 1, 1}), at({1992, 1, 1})}));
  EXPECT_EQ(parse_date(c, "1991-02"), (Interval{at({1991, 2, 1}), at({1991, 3, 1})}));
  EXPECT_EQ(parse_date(c, "1991-12-31"), (Interval{at({1991, 12, 31}), at({1992, 1, 1})}));
  EXPECT_EQ(parse_date(c, "1991-01-16T20"), (Interval{at({1991, 1, 16, 20}), at({1991, 1, 16, 21})}));
  EXPECT_EQ(parse_date(c, "1991-01-16T20:00"), (Interval{at({1991, 1, 16, 20}), at({1991, 1, 16, 20, 1})}));
  EXPECT_EQ(parse_date(c, " 1991-1-16 20:00:30Z "),
            (Interval{at({1991, 1, 16, 20, 0, 30}), at({1991, 1, 16, 20, 0, 31})}));
  EXPECT_EQ(parse_date(c, "-0004-01").begin, at({-4, 1, 1}));
  EXPECT_EQ(parse_date(Calendar::day360, "1991-02").end, to_seconds(Calendar::day360, {1991, 3, 1}));
  EXPECT_EQ(parse_date_range(c, "1991/1992"), (Interval{at({1991, 1, 1}), at({1993, 1, 1})}));
  EXPECT_EQ(parse_date_range(c, "1991-03", "1991-03"), parse_date(c, "1991-03"));
}

TEST(Dates, RefusesOthers) {
  const Calendar c = Calendar::standard;
  for (const char* bad :
       {"", "x", "1991-", "1991-13", "1991-00", "1991-02-29", "1991-01-16T", "1991-01-16T25", "1991-01-01x", "99999999",
        "1991-01-16T20:0", "1991/", "-", "1991-1-1-1", "1582-10-10", "9999999"})
    EXPECT_THAT(message_of([&] { parse_date_range(c, bad); }), testing::HasSubstr("not a date")) << bad;
  EXPECT_THAT(message_of([&] { parse_date_range(c, "1992/1991"); }), testing::HasSubstr("ends before it begins"));
}

TEST(Dates, Print) {
  EXPECT_EQ(to_iso(DateTime{1982, 1, 16, 20, 0, 0}), "1982-01-16T20:00");
  EXPECT_EQ(to_iso(DateTime{1982, 1, 16, 20, 0, 5}), "1982-01-16T20:00:05");
  EXPECT_EQ(to_iso(DateTime{-4, 1, 1}), "-0004-01-01T00:00");
}

std::string first_date(const std::string& units, double value, const std::string& calendar = "") {
  const double values[] = {value};
  return to_iso(TimeAxis::from_values(values, units, calendar).date(0));
}

TEST(TimeUnits, Sloppy) {
  EXPECT_EQ(first_date("hour since 1980-01-14 14:00:00", 17598), "1982-01-16T20:00");
  EXPECT_EQ(first_date("hours since 1982-01-16 12:00", 1), "1982-01-16T13:00");
  EXPECT_EQ(first_date("HOURS SINCE 1982-01-16T12:00:00Z", 1), "1982-01-16T13:00");
  EXPECT_EQ(first_date("Days  since 1-1-1 00:00:0.0", 0), "0001-01-01T00:00");
  EXPECT_EQ(first_date("days since 0000-01-01", 31), "0000-02-01T00:00");
  EXPECT_EQ(first_date("days since 0000-00-00 00:00:00", 0), "0000-01-01T00:00");
  EXPECT_EQ(first_date("hour since 0000-01-01 00:00:00", 366), "0000-01-16T06:00");
  EXPECT_EQ(first_date("months since 1958-1", 13), "1959-02-01T00:00");
  EXPECT_EQ(first_date("months since 1958-01-16", 0.5), "1958-01-31T12:00");
  EXPECT_EQ(first_date("years since 1900-07-01", 99), "1999-07-01T00:00");
  EXPECT_EQ(first_date("minutes since 1990-1-1 00:00 +01:00", 0), "1989-12-31T23:00");
  EXPECT_EQ(first_date("seconds since 1990-01-01 00:00:00 -0530", 0), "1990-01-01T05:30");
  EXPECT_EQ(first_date("hours since 14-JAN-1980 14:00:00", 0), "1980-01-14T14:00");
  EXPECT_EQ(first_date("seconds since 19820116T1200", 0), "1982-01-16T12:00");  // read by UDUNITS
  EXPECT_EQ(first_date("msec since 1990-01-01", 2000), "1990-01-01T00:00:02");
  EXPECT_EQ(first_date("days since 2000-02-30", 1, "360_day"), "2000-03-01T00:00");
  EXPECT_EQ(first_date("days since 2000-02-28", 1, "noleap"), "2000-03-01T00:00");
  EXPECT_EQ(first_date("days since 1999-02-28", 1, "all_leap"), "1999-02-29T00:00");
  EXPECT_EQ(first_date("days since 1900-02-28", 1, "julian"), "1900-02-29T00:00");
  EXPECT_EQ(first_date("days since 1990-01-01", -1), "1989-12-31T00:00");
}

TEST(TimeUnits, Refused) {
  EXPECT_THAT(message_of([] { first_date("hours", 0); }),
              testing::HasSubstr("time units 'hours' do not say since when"));
  EXPECT_THAT(message_of([] { first_date("metres since 1990-01-01", 0); }),
              testing::HasSubstr("'metres' is not a unit of time"));
  EXPECT_THAT(message_of([] { first_date("Hz since 1990-01-01", 0); }), testing::HasSubstr("is not a unit of time"));
  EXPECT_THAT(message_of([] { first_date("hours since yesterday", 0); }),
              testing::HasSubstr("'yesterday' is not a date"));
  EXPECT_THAT(message_of([] { first_date("days since 1999-02-30", 0); }),
              testing::HasSubstr("is not a date of the standard"));
  EXPECT_THAT(message_of([] { first_date("days since 1999-01-01", 1e300); }), testing::HasSubstr("out of range"));
  EXPECT_THAT(message_of([] { first_date("days since 1999-01-01", NAN); }), testing::HasSubstr("record 0 is missing"));
  EXPECT_THAT(message_of([] { first_date("months since 1999-01-01", 1e300); }), testing::HasSubstr("out of range"));
  const double unordered[] = {0, 2, 1};
  EXPECT_THAT(message_of([&] { TimeAxis::from_values(unordered, "days since 1999-01-01"); }),
              testing::HasSubstr("record 2 (1999-01-02T00:00) follows 1999-01-03T00:00"));
  EXPECT_TRUE(is_time_units("hour since 0000-01-01"));
  EXPECT_FALSE(is_time_units("degrees_north"));
  EXPECT_FALSE(is_time_units("metres since 1990"));
}

TimeAxis navy_months() {
  std::vector<double> hours;
  for (int i = 0; i < 132; ++i) hours.push_back(17598 + 730.5 * i);
  return TimeAxis::from_values(hours, "hour since 1980-01-14 14:00:00");
}

TEST(TimeAxes, MonthsOf730HoursAreMonths) {
  const TimeAxis axis = navy_months();
  EXPECT_TRUE(axis.monthly());
  EXPECT_EQ(axis.step().seconds, 2629800);
  EXPECT_EQ(axis.step().describe(), "1 month");
  EXPECT_TRUE(axis.gaps().empty());
  EXPECT_EQ(axis.label(0), "1982-01");
  EXPECT_EQ(axis.label(131), "1992-12");
  for (int64_t i = 0; i < 132; ++i) {
    EXPECT_EQ(axis.month(i), i % 12 + 1);
    EXPECT_EQ(axis.position(i), i);
  }
  EXPECT_EQ(axis.find("1991-03"), std::vector<int64_t>{110});
  EXPECT_EQ(axis.find("1991/1992").size(), 24u);
  EXPECT_EQ(axis.find("1982-01-16T20:00"), std::vector<int64_t>{0});
  EXPECT_EQ(axis.find("1982-01-16"), std::vector<int64_t>{0});
  EXPECT_THAT(message_of([&] { axis.find("1993"); }),
              testing::StrEq("no record in '1993' (the file has 1982-01 to 1992-12)"));
  EXPECT_EQ(axis.offset(5, 3), 8);
  EXPECT_EQ(axis.offset(5, -6), std::nullopt);
  EXPECT_EQ(axis.offset(131, 1), std::nullopt);
  EXPECT_EQ(axis.label_of(axis.advance(axis.seconds(131), 1)), "1993-01");
}

TEST(TimeAxes, CalendarMonthsWithGaps) {
  const double values[] = {0, 1, 2, 5, 6, 18};
  const TimeAxis axis = TimeAxis::from_values(values, "months since 1958-1");
  EXPECT_TRUE(axis.monthly());
  EXPECT_EQ(axis.step().seconds, 0);
  ASSERT_EQ(axis.gaps().size(), 2u);
  EXPECT_EQ(axis.gaps()[0].after, 2);
  EXPECT_EQ(axis.gaps()[0].missing, 2);
  EXPECT_EQ(axis.gaps()[1].missing, 11);
  EXPECT_EQ(axis.offset(2, 3), 3);
  EXPECT_EQ(axis.offset(2, 1), std::nullopt);
  EXPECT_EQ(axis.label(5), "1959-07");
  EXPECT_EQ(axis.label_of(axis.advance(axis.seconds(0), 25)), "1960-02");
}

TEST(TimeAxes, KindsOfStep) {
  auto describe = [](std::vector<double> values, const std::string& units, const std::string& calendar = "") {
    const TimeAxis axis = TimeAxis::from_values(values, units, calendar);
    return axis.step().describe() + (axis.gaps().empty() ? "" : " with gaps");
  };
  EXPECT_EQ(describe({0, 6, 12, 18}, "hours since 1996-01-05"), "6 hours");
  EXPECT_EQ(describe({0, 6, 12, 30}, "hours since 1996-01-05"), "6 hours with gaps");
  EXPECT_EQ(describe({0, 1, 2}, "days since 1996-01-05"), "1 day");
  EXPECT_EQ(describe({0, 30, 60, 90, 120, 150, 180, 210}, "days since 1996-01-16"), "1 month");
  EXPECT_EQ(describe({0, 40, 80, 120, 160}, "days since 1996-01-16"), "40 days");
  EXPECT_EQ(describe({0, 30, 60, 90, 120, 150}, "days since 1996-01-01"), "30 days");  // two records in January
  EXPECT_EQ(describe({15.5, 45, 74.5, 105}, "days since 1990-01-01"), "1 month");
  EXPECT_EQ(describe({0, 3, 6, 9}, "months since 1990-01"), "3 months");
  EXPECT_EQ(describe({0, 365, 731, 1096}, "days since 1990-07-01"), "1 year");
  EXPECT_EQ(describe({0, 365, 730, 1095}, "days since 1990-07-01", "noleap"), "1 year");
  EXPECT_EQ(describe({0, 1, 5, 5.3}, "days since 1990-07-01"), "irregular");
  EXPECT_EQ(describe({3}, "days since 1990-07-01"), "single record");
  // Hours in single precision of days far from the epoch: steps of 3514 and 3686 seconds are hours.
  std::vector<double> rounded;
  for (int i = 0; i < 100; ++i) rounded.push_back(static_cast<double>(static_cast<float>(18000 + i / 24.0)));
  const TimeAxis hourly = TimeAxis::from_values(rounded, "days since 1950-01-01");
  EXPECT_EQ(hourly.step().kind, TimeStep::Kind::fixed);
  EXPECT_NEAR(static_cast<double>(hourly.step().seconds), 3600, 2);
  EXPECT_EQ(hourly.position(99), 99);
}

TEST(TimeAxes, ClimatologicalYear) {
  std::vector<double> values;
  for (int i = 0; i < 12; ++i) values.push_back(366 + 730.485 * i);
  const TimeAxis axis = TimeAxis::from_values(values, "hour since 0000-01-01 00:00:00");
  EXPECT_TRUE(axis.climatological());
  EXPECT_TRUE(axis.monthly());
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(axis.month(i), i + 1);
  EXPECT_FALSE(navy_months().climatological());
}

TEST(TimeAxes, IrregularHasNoOffsets) {
  const TimeAxis axis = TimeAxis::from_seconds(Calendar::standard, {0, 10, 17, 1000, 1003, 500000});
  EXPECT_EQ(axis.step().kind, TimeStep::Kind::irregular);
  EXPECT_EQ(axis.offset(1, 1), std::nullopt);
  EXPECT_EQ(axis.offset(1, 0), 1);
  EXPECT_THAT(message_of([&] { axis.advance(0, 1); }), testing::HasSubstr("no regular step"));
}

TEST(TimeAxes, SubsetAndConcatenation) {
  const TimeAxis axis = navy_months();
  const std::vector<int64_t> records{3, 5};
  const TimeAxis part = axis.subset(records);
  EXPECT_TRUE(part.monthly());
  ASSERT_EQ(part.gaps().size(), 1u);
  EXPECT_EQ(part.gaps()[0].missing, 1);
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < 132; ++i) (i < 60 ? first : second).push_back(i);
  const TimeAxis joined = axis.subset(first).concatenated(axis.subset(second));
  EXPECT_EQ(joined.seconds(), axis.seconds());
  EXPECT_EQ(joined.step(), axis.step());
  EXPECT_THAT(message_of([&] { axis.concatenated(part); }), testing::HasSubstr("times overlap"));
}

}  // namespace
}  // namespace gregale::grid
