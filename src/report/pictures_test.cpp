// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// Colours, PNG, maps and terminal maps.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gregale/error.hpp"
#include "report/coastline.hpp"
#include "report/map.hpp"
#include "report/png.hpp"
#include "report/terminal_map.hpp"

namespace gregale::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// RGBA pixels as libpng reads them.
std::vector<uint8_t> decode_png(const std::string& bytes, int64_t width, int64_t height) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size())) << image.message;
  EXPECT_EQ(image.width, width);
  EXPECT_EQ(image.height, height);
  image.format = PNG_FORMAT_RGBA;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_TRUE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr)) << image.message;
  return pixels;
}

Rgb pixel(const std::vector<uint8_t>& pixels, int64_t width, int64_t x, int64_t y) {
  const auto at = static_cast<size_t>(4 * (y * width + x));
  return {pixels[at], pixels[at + 1], pixels[at + 2]};
}

/// Lightness as the eye sees it, 0 to 100 (CIE 1976, D65).
double lightness(Rgb colour) {
  const auto linear = [](uint8_t channel) {
    const double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  const double y = 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b);
  return y > 0.008856 ? 116 * std::cbrt(y) - 16 : 903.3 * y;
}

grid::LatLonGrid small_grid() { return {{-60, 0, 60}, {0, 90, 180, 270}}; }
Tensor small_field() { return Tensor::from<float>({-1, -1, -1, -1, 0, 0, NAN, 0, 1, 1, 1, 0.5F}, {3, 4}); }

TEST(Colour, MapsAreMonotonicInLightness) {
  for (int i = 1; i <= 50; ++i)
    EXPECT_GT(lightness(colour_at(ColourMap::sequential, i / 50.0)),
              lightness(colour_at(ColourMap::sequential, (i - 1) / 50.0)));
  for (int i = 1; i <= 25; ++i) {
    EXPECT_GT(lightness(colour_at(ColourMap::diverging, i / 50.0)),
              lightness(colour_at(ColourMap::diverging, (i - 1) / 50.0)));
    EXPECT_LT(lightness(colour_at(ColourMap::diverging, 0.5 + i / 50.0)),
              lightness(colour_at(ColourMap::diverging, 0.5 + (i - 1) / 50.0)));
  }
  const Rgb low = colour_at(ColourMap::diverging, 0.2), high = colour_at(ColourMap::diverging, 0.8);
  EXPECT_GT(low.b, low.r);
  EXPECT_GT(high.r, high.b);
  EXPECT_NEAR(lightness(low), lightness(high), 6);
}

TEST(Colour, ScalesClampAndMarkMissingValues) {
  const ColourScale scale{ColourMap::diverging, -2, 2};
  EXPECT_EQ(palette_index(scale, -9), 0);
  EXPECT_EQ(palette_index(scale, 0), 127);
  EXPECT_EQ(palette_index(scale, 9), 254);
  EXPECT_EQ(palette_index(scale, NAN), kMissingIndex);
  EXPECT_EQ(scale.at(NAN), kMissing);
  EXPECT_EQ(to_hex({1, 171, 255}), "#01abff");
}

TEST(Colour, ScalesEndAtRoundNumbers) {
  EXPECT_DOUBLE_EQ(round_up(0.0173), 0.02);
  EXPECT_DOUBLE_EQ(round_up(2.5), 2.5);
  EXPECT_DOUBLE_EQ(round_up(8.1), 10);
  EXPECT_DOUBLE_EQ(round_up(0), 1);
  EXPECT_DOUBLE_EQ(round_up(INFINITY), 1);
  const std::vector<float> wind{-7, NAN, 3, 4.6F}, temperature{231, 288, INFINITY, 301}, flat{5, 5};
  EXPECT_DOUBLE_EQ(state_scale(wind).high, 8);
  EXPECT_DOUBLE_EQ(state_scale(wind).low, -8);
  EXPECT_EQ(state_scale(temperature).map, ColourMap::sequential);
  EXPECT_DOUBLE_EQ(state_scale(temperature).low, 224);
  EXPECT_DOUBLE_EQ(state_scale(temperature).high, 304);
  EXPECT_GT(state_scale(flat).high, state_scale(flat).low);
  EXPECT_GT(state_scale({}).high, state_scale({}).low);
}

TEST(Png, DecodesBack) {
  std::vector<uint8_t> rgb, rgba;
  for (int i = 0; i < 35; ++i) {
    for (int c = 0; c < 3; ++c) rgb.push_back(static_cast<uint8_t>(i * 7 + c * 50));
    for (int c = 0; c < 3; ++c) rgba.push_back(rgb[static_cast<size_t>(3 * i + c)]);
    rgba.push_back(255);
  }
  EXPECT_EQ(decode_png(encode_png(rgb, 5, 7), 5, 7), rgba);
  EXPECT_EQ(decode_png(encode_png(rgba, 7, 5), 7, 5), rgba);
  EXPECT_THROW(encode_png(rgb, 5, 8), Error);
  EXPECT_THROW(encode_png(rgb, 0, 7), Error);
  EXPECT_THROW(encode_png(rgb, INT64_MAX, 7), Error);
}

TEST(Png, Base64IsThatOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xfb\xff\xfe"), "+//+");
}

TEST(Map, NorthIsUpAndTheGlobeBeginsAt180W) {
  const MapFrame frame = map_frame(small_grid());
  EXPECT_DOUBLE_EQ(frame.west, -180);
  EXPECT_DOUBLE_EQ(frame.north, 90);
  ASSERT_EQ(frame.width(), 8);
  EXPECT_THAT(frame.column_of,
              ElementsAre(2, 3, 3, 0, 0, 1, 1, 2));  // cells are 90 degrees wide, centred at 0, 90, ...
  EXPECT_EQ(frame.row_of.front(), 2);
  EXPECT_EQ(frame.row_of.back(), 0);
  const MapFrame flipped = map_frame(grid::LatLonGrid({60, 0, -60}, {0, 90, 180, 270}));
  EXPECT_EQ(flipped.row_of.front(), 0);
  EXPECT_EQ(flipped.row_of.back(), 2);
}

TEST(Map, HalfCellsAtThePolesAreHalfAsHigh) {
  const MapFrame frame = map_frame(grid::LatLonGrid({-90, -45, 0, 45, 90}, {0, 90, 180, 270}));
  EXPECT_THAT(frame.row_of, ElementsAre(4, 3, 3, 2, 2, 1, 1, 0));
}

TEST(Map, ARegionKeepsItsBounds) {
  const MapFrame frame = map_frame(grid::LatLonGrid({10, 12, 14}, {170, 172, 174, 176, 178, 180, 182, 184}));
  EXPECT_DOUBLE_EQ(frame.west, 169);
  EXPECT_DOUBLE_EQ(frame.east, 185);
  EXPECT_THAT(frame.column_of, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(frame.row_of, ElementsAre(2, 1, 0));
}

TEST(Map, PixelsAreThoseOfTheScaleAndMissingCellsGrey) {
  const MapFrame frame = map_frame(small_grid());
  const ColourScale scale{ColourMap::diverging, -1, 1};
  const std::vector<uint8_t> pixels = decode_png(map_png(small_field(), frame, scale), frame.width(), frame.height());
  EXPECT_EQ(pixel(pixels, frame.width(), 3, 0), scale.at(1));
  EXPECT_EQ(pixel(pixels, frame.width(), 1, 0), palette(scale.map)[static_cast<size_t>(palette_index(scale, 0.5))]);
  EXPECT_EQ(pixel(pixels, frame.width(), 3, frame.height() - 1), scale.at(-1));
  EXPECT_EQ(pixel(pixels, frame.width(), 0, frame.height() / 2), kMissing);
  EXPECT_EQ(pixel(pixels, frame.width(), 7, frame.height() / 2), kMissing);
  EXPECT_THROW(map_png(Tensor(DType::f32, {2, 4}), frame, scale), Error);
}

TEST(Map, CoastlineIsAPathWithinTheGlobe) {
  const std::string& path = coastline_path();
  ASSERT_GT(path.size(), 5000u);
  EXPECT_LT(path.size(), 60000u);
  EXPECT_GT(std::count(path.begin(), path.end(), 'M'), 20);
  EXPECT_EQ(path.find_first_not_of("Ml+- 0123456789"), std::string::npos);
  const char* at = path.c_str();
  double x = 0, y = 0, western = 0, eastern = 0, northern = 0, southern = 0;
  while (*at) {
    const bool move = *at == 'M';
    if (*at == 'M' || *at == 'l' || *at == ' ') ++at;
    char* end = nullptr;
    const double dx = std::strtod(at, &end), dy = std::strtod(end, &end);
    ASSERT_NE(at, end);
    at = end;
    x = move ? dx : x + dx;
    y = move ? dy : y + dy;
    ASSERT_LE(std::fabs(x), 1800);
    ASSERT_LE(std::fabs(y), 900);
    western = std::min(western, x);
    eastern = std::max(eastern, x);
    northern = std::min(northern, y);
    southern = std::max(southern, y);
  }
  EXPECT_LT(western, -1700);
  EXPECT_GT(eastern, 1700);
  EXPECT_LT(northern, -800);  // Greenland
  EXPECT_GT(southern, 600);   // Antarctica
}

TEST(TerminalMap, PlainTextShowsAKnownField) {
  const std::string map = terminal_map(small_field(), small_grid(), "m/s", 24, TerminalColours::none);
  EXPECT_EQ(map,
            "  90N|@@@####@@@@@@@@@@|\n"
            "     |@@@####@@@@@@@@@@|\n"
            "    0|???++++++++++++??|\n"
            "  90S|                 |\n"
            "      180           180\n"
            "      -1 [ .:-=+*#%@] 1 m/s\n");
}

TEST(TerminalMap, ColoursEndWithEachLine) {
  const std::string map = terminal_map(small_field(), small_grid(), "m/s", 40, TerminalColours::truecolour);
  EXPECT_THAT(map, HasSubstr("\x1b[38;2;"));
  EXPECT_THAT(map, HasSubstr("▀"));
  EXPECT_THAT(map, HasSubstr("\x1b[38;2;160;160;160m"));  // the missing cell
  size_t begin = 0;
  for (size_t end = map.find('\n'); end != std::string::npos; begin = end + 1, end = map.find('\n', begin)) {
    const std::string line = map.substr(begin, end - begin);
    const size_t last = line.rfind("\x1b[");
    if (last != std::string::npos) {
      EXPECT_EQ(line.substr(last, 4), "\x1b[0m") << line;
    }
  }
  EXPECT_EQ(begin, map.size());
  const std::string fewer = terminal_map(small_field(), small_grid(), "m/s", 40, TerminalColours::palette256);
  EXPECT_THAT(fewer, HasSubstr("\x1b[38;5;"));
  EXPECT_THAT(fewer, Not(HasSubstr("38;2;")));
  EXPECT_THROW(terminal_map(Tensor(DType::f32, {2, 4}), small_grid(), "", 40, TerminalColours::none), Error);
}

TEST(TerminalMap, NothingButATerminalGetsColours) {
  const int file = open("/dev/null", O_WRONLY);
  EXPECT_EQ(terminal_colours(file), TerminalColours::none);
  EXPECT_EQ(terminal_columns(file), 80);
  close(file);
}

}  // namespace
}  // namespace gregale::report
