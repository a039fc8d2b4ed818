// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "tile/schedule_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tile/cut.hpp"

namespace gregale::tile {
namespace {

constexpr const char* kOrders[] = {"formula", "rows", "columns", "curve"};
constexpr const char* kRights[] = {"formula", "packed", "direct"};
constexpr int64_t kMostStep = int64_t{1} << 40;  // beyond any extent that fits into memory

}  // namespace

std::string to_string(const ScheduleChoice& choice) {
  std::string text;
  const auto add = [&](const std::string& item) { text += (text.empty() ? "" : " ") + item; };
  if (choice.rows != 0) add(fmt::format("rows={}", choice.rows));
  if (choice.columns != 0) add(fmt::format("columns={}", choice.columns));
  if (choice.order != ScheduleChoice::Order::formula)
    add(fmt::format("order={}", kOrders[static_cast<size_t>(choice.order)]));
  if (choice.right != ScheduleChoice::Right::formula)
    add(fmt::format("right={}", kRights[static_cast<size_t>(choice.right)]));
  return text;
}

Result<ScheduleChoice> parse_schedule_choice(const std::string& text) {
  ScheduleChoice choice;
  const auto number = [](const std::string& value) {
    int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    return error == std::errc() && end == value.data() + value.size() && n >= 1 && n <= kMostStep ? n : 0;
  };
  const auto word = [](const auto& names, const std::string& value) {
    const auto* found = std::find(std::begin(names) + 1, std::end(names), value);
    return found == std::end(names) ? 0 : found - std::begin(names);
  };
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string item = text.substr(at, end - at);
    const size_t equals = std::min(item.find('='), item.size());
    const std::string key = item.substr(0, equals), value = item.substr(std::min(equals + 1, item.size()));
    if (key == "rows") choice.rows = number(value);
    if (key == "columns") choice.columns = number(value);
    if (key == "order") choice.order = static_cast<ScheduleChoice::Order>(word(kOrders, value));
    if (key == "right") choice.right = static_cast<ScheduleChoice::Right>(word(kRights, value));
    at = end + 1;
  }
  // One spelling each: whatever is unknown, repeated, out of range or out of order does not come back.
  if (to_string(choice) != text) return Error(ErrorCode::invalid_argument, fmt::format("'{}' is no schedule", text));
  return choice;
}

std::vector<ScheduleChoice> schedules_around(const ScheduleFreedom& freedom) {
  using Order = ScheduleChoice::Order;
  using Right = ScheduleChoice::Right;
  std::vector<ScheduleChoice> choices{{}};
  const ScheduleChoice& made = freedom.made;
  const auto add = [&](const ScheduleChoice& c) {
    if (std::find(choices.begin(), choices.end(), c) == choices.end()) choices.push_back(c);
  };
  // 0 where the step would be what it is.
  const auto scaled = [](int64_t step, int64_t extent, int64_t unit, double factor) -> int64_t {
    if (step == 0) return 0;
    const int64_t whole = std::max<int64_t>(1, extent);
    const auto wanted = static_cast<int64_t>(static_cast<double>(std::min(step, whole)) * factor);
    const int64_t got = std::min(round_up(std::max<int64_t>(wanted, 1), unit), whole);
    return got == std::min(step, whole) ? 0 : got;
  };
  const auto rows = [&](double f) { return scaled(made.rows, freedom.rows, freedom.row_unit, f); };
  const auto columns = [&](double f) { return scaled(made.columns, freedom.columns, freedom.column_unit, f); };
  for (const double f : {0.5, 2.0, 4.0}) {
    add({.rows = rows(f)});
    add({.columns = columns(f)});
    add({.rows = rows(f), .columns = columns(1 / f)});
  }
  if (made.order != Order::formula) {
    for (const Order o : {Order::curve, Order::rows, Order::columns})
      if (o != made.order) add({.order = o});
    add({.rows = rows(0.5), .order = Order::curve});
    add({.columns = columns(0.5), .order = Order::curve});
  }
  if (made.right != Right::formula) add({.right = made.right == Right::packed ? Right::direct : Right::packed});
  return choices;
}

}  // namespace gregale::tile
