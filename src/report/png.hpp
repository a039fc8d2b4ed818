// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "report/colour.hpp"

namespace gregale::report {

/// The bytes of a PNG file, 8 bits a channel, rows from the top.
/// pixels: width * height * 3 (RGB) or * 4 (RGBA) bytes, told apart by their number.
std::string encode_png(std::span<const uint8_t> pixels, int64_t width, int64_t height);
/// The same from palette indices, one byte a pixel: a quarter of the bytes for a map.
std::string encode_png(std::span<const uint8_t> indices, int64_t width, int64_t height,
                       const std::array<Rgb, kPaletteSize>& palette);

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);
/// "data:image/png;base64,..."
std::string png_data_uri(std::string_view png);

}  // namespace gregale::report
