// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "gregale/tensor.hpp"
#include "grid/latlon.hpp"

namespace gregale::report {

enum class TerminalColours : uint8_t {
  none,        ///< plain ASCII, darker characters for larger values
  palette256,  ///< half blocks, the 256 colours of xterm
  truecolour,  ///< half blocks, 24 bits
};
/// What the file behind a descriptor can show: none where it is no terminal, NO_COLOR is set (no-color.org), TERM is
/// empty or "dumb"; truecolour where COLORTERM says so.
TerminalColours terminal_colours(int descriptor);
/// Columns of that terminal, within 40 and 120; 80 where it is none.
int64_t terminal_columns(int descriptor);

/// A small map of a field, f32 [lat, lon] of the grid: north up, the globe from 180W, coordinates at the edges, and a
/// line with the scale and units at the end. At most `columns` wide and 48 lines high; values of a character are
/// averaged. Missing values are "?" or grey. Every line ends with a newline, and with colours off again.
std::string terminal_map(const Tensor& field, const grid::LatLonGrid& grid, const std::string& units, int64_t columns,
                         TerminalColours colours);

}  // namespace gregale::report
