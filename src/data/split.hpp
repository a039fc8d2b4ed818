// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grid/time_axis.hpp"

namespace gregale::data {

/// Inclusive dates as a person writes them: {"1982", "1989"}, {"1991-01", "1992-12"}.
struct DateRange {
  std::string first, last;
  /// "1982/1989" or "1991"; throws ErrorCode::invalid_argument for an empty text or more than one slash.
  static DateRange parse(const std::string& text);
  std::string to_string() const { return first == last ? first : first + "/" + last; }
  friend bool operator==(const DateRange&, const DateRange&) = default;
};

/// The records that are targets of a period: those dated inside it. Throws ErrorCode::invalid_argument when there are
/// none
/// ("no record in 1995/1996 (the file has 1982-01 to 1992-12)").
std::vector<int64_t> records_in(const grid::TimeAxis& time, const DateRange& range);

/// One training or forecast sample.
struct Sample {
  std::vector<int64_t> inputs;   ///< `history` records, oldest first; the last is the initial time
  std::vector<int64_t> targets;  ///< `rollout` records: lead, 2·lead, ... steps after the initial time
};

/// The samples whose targets all lie in `targets` (split dates name target times; inputs may come from before). Samples
/// touching a gap or the file's beginning are left out. Ordered by their initial time. Throws
/// ErrorCode::invalid_argument for lead, history or rollout below 1 and ErrorCode::unsupported for irregular axes.
std::vector<Sample> make_samples(const grid::TimeAxis& time, std::span<const int64_t> targets, int64_t lead = 1,
                                 int64_t history = 1, int64_t rollout = 1);

struct SplitProposal {
  DateRange train, validation, test;
};

/// Three contiguous periods covering the axis in order: about 73 % training, 9 % validation, 18 % test (whole years on
/// monthly axes of six years or more). 132 months from January 1982 give 1982/1989, 1990, 1991/1992.
/// Throws ErrorCode::invalid_argument for fewer than 8 records.
SplitProposal propose_split(const grid::TimeAxis& time);

/// Throws ErrorCode::invalid_argument where two of the periods share a record, naming both and the record.
void check_disjoint(const grid::TimeAxis& time, const SplitProposal& split);

}  // namespace gregale::data
