// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace gregale::grid {

/// UDUNITS-2 keeps one table of units and is not thread-safe: these functions share a lock, and its messages are
/// silenced.

/// Seconds in one unit of time ("hours", "day", "msec", "months"), or nothing where it is not a unit of time. A name
/// that UDUNITS does not know as written is tried in lower case ("HOURS").
std::optional<double> seconds_per_unit(const std::string& unit);

/// Reads an epoch that UDUNITS understands ("19820116T1200"): seconds since 1970-01-01 UTC in the standard calendar.
std::optional<double> epoch_seconds(const std::string& epoch);

}  // namespace gregale::grid
