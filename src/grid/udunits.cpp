// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "grid/udunits.hpp"

#include <udunits2.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <memory>
#include <mutex>

#include "gregale/error.hpp"

namespace gregale::grid {
namespace {

struct FreeSystem {
  void operator()(ut_system* system) const { ut_free_system(system); }
};
struct FreeUnit {
  void operator()(ut_unit* unit) const { ut_free(unit); }
};
struct FreeConverter {
  void operator()(cv_converter* converter) const { cv_free(converter); }
};
using Unit = std::unique_ptr<ut_unit, FreeUnit>;

std::mutex& udunits_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Call with the lock held.
ut_system* unit_system() {
  static const std::unique_ptr<ut_system, FreeSystem> system = [] {
    ut_set_error_message_handler(ut_ignore);
    return std::unique_ptr<ut_system, FreeSystem>(ut_read_xml(nullptr));
  }();
  if (!system) throw_error(ErrorCode::io, "cannot read the unit database of UDUNITS (package libudunits2-data)");
  return system.get();
}

std::optional<double> factor(const std::string& from, const char* to) {
  ut_system* system = unit_system();
  Unit unit(ut_parse(system, from.c_str(), UT_UTF8));
  Unit target(ut_parse(system, to, UT_UTF8));
  if (!unit || !target || ut_are_convertible(unit.get(), target.get()) == 0) return std::nullopt;
  std::unique_ptr<cv_converter, FreeConverter> converter(ut_get_converter(unit.get(), target.get()));
  if (!converter) return std::nullopt;
  // A frequency converts to a time too, by its reciprocal: that is no unit to count in.
  const double one = cv_convert_double(converter.get(), 1.0), two = cv_convert_double(converter.get(), 2.0);
  if (!(std::isfinite(one) && one > 0 && std::abs(two - 2 * one) <= 1e-9 * one)) return std::nullopt;
  return one;
}

}  // namespace

std::optional<double> seconds_per_unit(const std::string& unit) {
  if (unit.empty() || unit.size() > 100) return std::nullopt;
  std::lock_guard lock(udunits_mutex());
  std::optional<double> result = factor(unit, "second");
  if (!result) {
    std::string lower = unit;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    result = factor(lower, "second");
  }
  return result;
}

std::optional<double> epoch_seconds(const std::string& epoch) {
  if (epoch.empty() || epoch.size() > 100) return std::nullopt;
  std::lock_guard lock(udunits_mutex());
  ut_system* system = unit_system();
  Unit unit(ut_parse(system, ("seconds since " + epoch).c_str(), UT_UTF8));
  Unit target(ut_parse(system, "seconds since 1970-01-01 00:00:00 UTC", UT_UTF8));
  if (!unit || !target || ut_are_convertible(unit.get(), target.get()) == 0) return std::nullopt;
  std::unique_ptr<cv_converter, FreeConverter> converter(ut_get_converter(unit.get(), target.get()));
  if (!converter) return std::nullopt;
  const double seconds = cv_convert_double(converter.get(), 0.0);
  if (!std::isfinite(seconds)) return std::nullopt;
  return seconds;
}

}  // namespace gregale::grid
