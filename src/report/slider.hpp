// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "report/score_report.hpp"

namespace gregale::report {

/// The values a page may carry: four bytes of base64 hold three of int16, so this is below 6 MB.
inline constexpr int64_t kSliderValues = 2'200'000;
inline constexpr int64_t kSliderTimes = 60, kSliderVariables = 6;

/// The month slider: controls, panels for truth, forecast and both errors, the series of a cell, and the fields as
/// int16 (about 1/65000 of each variable's range). What does not fit is left out and said so: variables past the sixth,
/// times past the 60th, and then cells are averaged. slider_script.cpp draws it.
std::string slider_html(const ScoreReport& report);

}  // namespace gregale::report
