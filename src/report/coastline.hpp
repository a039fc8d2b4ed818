// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gregale::report {

/// The world's coastline, the 0 m contour of a one degree relief (scripts/make_coastline.py), as the d attribute of an
/// SVG path: x = longitude from -180 to 180, y = -latitude, in 0.1 degree.
const std::string& coastline_path();

}  // namespace gregale::report
