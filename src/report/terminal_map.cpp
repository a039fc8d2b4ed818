// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/terminal_map.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "gregale/error.hpp"
#include "report/colour.hpp"
#include "report/map.hpp"

namespace gregale::report {
namespace {

constexpr std::string_view kRamp = " .:-=+*#%@";
constexpr int64_t kMargin = 5;  // "90N |" without the bar

/// The nearest of xterm's 6x6x6 cube and its greys.
int xterm_index(Rgb colour) {
  const auto level = [](int v) { return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40; };
  const auto value = [](int l) { return l == 0 ? 0 : 55 + 40 * l; };
  const int r = level(colour.r), g = level(colour.g), b = level(colour.b);
  const int mean = (colour.r + colour.g + colour.b) / 3, grey = std::clamp((mean - 3) / 10, 0, 23);
  const auto distance = [&](int x, int y, int z) {
    return (x - colour.r) * (x - colour.r) + (y - colour.g) * (y - colour.g) + (z - colour.b) * (z - colour.b);
  };
  const int shade = 8 + 10 * grey;
  return distance(shade, shade, shade) < distance(value(r), value(g), value(b)) ? 232 + grey : 16 + 36 * r + 6 * g + b;
}

/// The escape sequence of a foreground (38) or background (48) colour.
std::string colour_code(TerminalColours colours, int layer, Rgb colour) {
  if (colours == TerminalColours::truecolour)
    return fmt::format("\x1b[{};2;{};{};{}m", layer, colour.r, colour.g, colour.b);
  return fmt::format("\x1b[{};5;{}m", layer, xterm_index(colour));
}

/// Means over the cells each character's half covers.
std::vector<double> resample(const Tensor& field, const MapFrame& frame, int64_t width, int64_t height) {
  const auto values = field.as<float>();
  std::vector<double> out;
  for (int64_t y = 0; y < height; ++y) {
    const int64_t y0 = y * frame.height() / height, y1 = std::max(y0 + 1, (y + 1) * frame.height() / height);
    for (int64_t x = 0; x < width; ++x) {
      const int64_t x0 = x * frame.width() / width, x1 = std::max(x0 + 1, (x + 1) * frame.width() / width);
      double sum = 0;
      int64_t count = 0;
      for (int64_t j = y0; j < y1; ++j)
        for (int64_t i = x0; i < x1; ++i) {
          const int64_t row = frame.row_of[static_cast<size_t>(j)], column = frame.column_of[static_cast<size_t>(i)];
          const float value = values[static_cast<size_t>(row * field.extent(1) + column)];
          if (!std::isfinite(value)) continue;
          sum += static_cast<double>(value);
          ++count;
        }
      out.push_back(count > 0 ? sum / static_cast<double>(count) : NAN);
    }
  }
  return out;
}

char ascii_of(const ColourScale& scale, double value) {
  if (!std::isfinite(value)) return '?';
  const double t = std::clamp(scale.position(value), 0.0, 1.0);
  return kRamp[std::min(kRamp.size() - 1, static_cast<size_t>(t * static_cast<double>(kRamp.size())))];
}

}  // namespace

TerminalColours terminal_colours(int descriptor) {
  const auto environment = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value ? value : "");
  };
  if (isatty(descriptor) == 0 || !environment("NO_COLOR").empty()) return TerminalColours::none;
  const std::string_view kind = environment("TERM"), depth = environment("COLORTERM");
  if (kind.empty() || kind == "dumb") return TerminalColours::none;
  return depth == "truecolor" || depth == "24bit" ? TerminalColours::truecolour : TerminalColours::palette256;
}

int64_t terminal_columns(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::clamp<int64_t>(size.ws_col, 40, 120);
}

std::string terminal_map(const Tensor& field, const grid::LatLonGrid& grid, const std::string& units, int64_t columns,
                         TerminalColours colours) {
  GREGALE_CHECK(field.rank() == 2 && field.extent(0) == grid.rows() && field.extent(1) == grid.columns(), shape,
                "[terminal_map] the field does not fit {}", grid.describe());
  const MapFrame frame = map_frame(grid, 720);
  const ColourScale scale = state_scale(field.as<float>());
  // A character is about twice as high as wide, so a half block is square.
  int64_t width = std::max<int64_t>(16, columns - kMargin - 2);
  const double shape = (frame.north - frame.south) / (frame.east - frame.west);
  int64_t lines = std::max<int64_t>(2, std::llround(static_cast<double>(width) * shape / 2));
  if (lines > 44) {
    width = std::max<int64_t>(8, width * 44 / lines);
    lines = 44;
  }
  const bool plain = colours == TerminalColours::none;
  const std::vector<double> cells = resample(field, frame, width, plain ? lines : 2 * lines);

  std::string out;
  for (int64_t line = 0; line < lines; ++line) {
    const std::string label = line == 0           ? grid::format_latitude(frame.north)
                              : line == lines / 2 ? grid::format_latitude((frame.north + frame.south) / 2)
                              : line == lines - 1 ? grid::format_latitude(frame.south)
                                                  : "";
    out += fmt::format("{:>{}}|", label, kMargin);
    std::string last;
    for (int64_t x = 0; x < width; ++x) {
      const auto at = [&](int64_t y) { return cells[static_cast<size_t>(y * width + x)]; };
      if (plain) {
        out += ascii_of(scale, at(line));
        continue;
      }
      const std::string code =
          colour_code(colours, 38, scale.at(at(2 * line))) + colour_code(colours, 48, scale.at(at(2 * line + 1)));
      if (code != last) out += code;
      last = code;
      out += "▀";
    }
    out += plain ? "|\n" : "\x1b[0m|\n";
  }
  const std::string west = grid::format_longitude(frame.west), east = grid::format_longitude(frame.east);
  out += fmt::format("{:>{}} {:<{}}{}\n", "", kMargin, west,
                     std::max<int64_t>(1, width - static_cast<int64_t>(east.size())), east);
  out += fmt::format("{:>{}} {:g} ", "", kMargin, scale.low);
  if (plain) {
    out += fmt::format("[{}]", kRamp);
  } else {
    for (int i = 0; i < 24; ++i) out += colour_code(colours, 48, colour_at(scale.map, (i + 0.5) / 24)) + " ";
    out += "\x1b[0m";
  }
  return out + fmt::format(" {:g}{}\n", scale.high, units.empty() ? "" : " " + units);
}

}  // namespace gregale::report
