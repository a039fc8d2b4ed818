// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "data/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "gregale/error.hpp"

namespace gregale::data {
namespace {

std::string trimmed(const std::string& text) {
  size_t begin = 0, end = text.size();
  while (begin < end && std::isspace(static_cast<unsigned char>(text[begin]))) ++begin;
  while (end > begin && std::isspace(static_cast<unsigned char>(text[end - 1]))) --end;
  return text.substr(begin, end - begin);
}

// How many of `count` units to keep for testing and validating: 18 % and 9 %, at least one each.
std::pair<int64_t, int64_t> held_out(int64_t count) {
  return {std::max<int64_t>(1, std::llround(0.18 * static_cast<double>(count))),
          std::max<int64_t>(1, std::llround(0.09 * static_cast<double>(count)))};
}

}  // namespace

DateRange DateRange::parse(const std::string& text) {
  const size_t slash = text.find('/');
  GREGALE_CHECK(slash == std::string::npos || text.find('/', slash + 1) == std::string::npos, invalid_argument,
                "not a range of dates: '{}' (expected such as 1982/1989)", text);
  DateRange range;
  range.first = trimmed(text.substr(0, slash));
  range.last = slash == std::string::npos ? range.first : trimmed(text.substr(slash + 1));
  GREGALE_CHECK(!range.first.empty() && !range.last.empty(), invalid_argument,
                "not a range of dates: '{}' (expected such as 1982/1989)", text);
  return range;
}

std::vector<int64_t> records_in(const grid::TimeAxis& time, const DateRange& range) {
  std::vector<int64_t> records = time.find(grid::parse_date_range(time.calendar(), range.first, range.last));
  if (records.empty()) {
    const std::string has =
        time.empty() ? "no records" : fmt::format("{} to {}", time.label(0), time.label(time.size() - 1));
    throw_error(ErrorCode::invalid_argument, fmt::format("no record in {} (the file has {})", range.to_string(), has));
  }
  return records;
}

std::vector<Sample> make_samples(const grid::TimeAxis& time, std::span<const int64_t> targets, int64_t lead,
                                 int64_t history, int64_t rollout) {
  constexpr int64_t kMost = 1'000'000;
  GREGALE_CHECK(lead >= 1 && lead <= kMost, invalid_argument, "a lead of {} steps is out of range", lead);
  GREGALE_CHECK(history >= 1 && history <= kMost, invalid_argument, "a history of {} records is out of range", history);
  GREGALE_CHECK(rollout >= 1 && rollout <= kMost, invalid_argument, "a rollout of {} steps is out of range", rollout);
  GREGALE_CHECK(time.step().kind != grid::TimeStep::Kind::irregular, unsupported,
                "the records are not evenly spaced in time: there is no lead time to train for");
  const std::set<int64_t> wanted(targets.begin(), targets.end());
  std::vector<Sample> samples;
  for (int64_t init = 0; init < time.size(); ++init) {
    Sample sample;
    for (int64_t back = history - 1; back >= 0; --back) {
      const auto record = time.offset(init, -back);
      if (!record) break;
      sample.inputs.push_back(*record);
    }
    if (static_cast<int64_t>(sample.inputs.size()) != history) continue;
    for (int64_t step = 1; step <= rollout; ++step) {
      const auto record = time.offset(init, step * lead);
      if (!record || wanted.count(*record) == 0) break;
      sample.targets.push_back(*record);
    }
    if (static_cast<int64_t>(sample.targets.size()) == rollout) samples.push_back(std::move(sample));
  }
  return samples;
}

SplitProposal propose_split(const grid::TimeAxis& time) {
  const int64_t n = time.size();
  GREGALE_CHECK(n >= 8, invalid_argument, "{} records are too few to be split (8 at least)", n);
  const int64_t first_year = time.date(0).year, last_year = time.date(n - 1).year, years = last_year - first_year + 1;
  if (time.monthly() && n >= 72 && years >= 6) {
    const auto [test, validation] = held_out(years);
    auto text = [](int64_t first, int64_t last) {
      return DateRange{fmt::format("{:04d}", first), fmt::format("{:04d}", last)};
    };
    const SplitProposal split{text(first_year, last_year - test - validation),
                              text(last_year - test - validation + 1, last_year - test),
                              text(last_year - test + 1, last_year)};
    // Gaps of whole years may leave a period empty: then records are counted instead.
    auto some = [&](const DateRange& range) {
      return !time.find(grid::parse_date_range(time.calendar(), range.first, range.last)).empty();
    };
    if (first_year >= 0 && some(split.train) && some(split.validation) && some(split.test)) return split;
  }
  const auto [test, validation] = held_out(n);
  auto text = [&](int64_t first, int64_t last) { return DateRange{time.label(first), time.label(last)}; };
  return {text(0, n - test - validation - 1), text(n - test - validation, n - test - 1), text(n - test, n - 1)};
}

void check_disjoint(const grid::TimeAxis& time, const SplitProposal& split) {
  struct Named {
    const char* name;
    const DateRange& range;
  };
  const Named periods[] = {{"train", split.train}, {"validation", split.validation}, {"test", split.test}};
  for (size_t a = 0; a < 3; ++a)
    for (size_t b = a + 1; b < 3; ++b) {
      const std::vector<int64_t> first = records_in(time, periods[a].range),
                                 second = records_in(time, periods[b].range);
      std::vector<int64_t> both;
      std::set_intersection(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(both));
      if (!both.empty())
        throw_error(ErrorCode::invalid_argument, fmt::format("{} ({}) and {} ({}) share the record {}", periods[a].name,
                                                             periods[a].range.to_string(), periods[b].name,
                                                             periods[b].range.to_string(), time.label(both[0])));
    }
}

}  // namespace gregale::data
