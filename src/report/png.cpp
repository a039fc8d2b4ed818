// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "report/png.hpp"

#include <fmt/format.h>
#include <png.h>

#include <cstring>

#include "gregale/error.hpp"

namespace gregale::report {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 28;

/// libpng's simplified interface: errors come back as a message, without longjmp over C++ frames.
std::string write(png_image& image, const void* pixels, const void* colours) {
  png_alloc_size_t size = 0;
  std::string out;
  if (png_image_write_to_memory(&image, nullptr, &size, 0, pixels, 0, colours)) {
    out.resize(size);
    if (png_image_write_to_memory(&image, out.data(), &size, 0, pixels, 0, colours)) {
      out.resize(size);
      return out;
    }
  }
  const std::string reason = image.message;
  png_image_free(&image);
  throw_error(ErrorCode::internal, "[encode_png] " + reason);
}

png_image make_image(int64_t width, int64_t height) {
  GREGALE_CHECK(width > 0 && height > 0 && width <= kMostPixels / height, invalid_argument,
                "[encode_png] {} x {} pixels", width, height);
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  return image;
}

}  // namespace

std::string encode_png(std::span<const uint8_t> pixels, int64_t width, int64_t height) {
  png_image image = make_image(width, height);
  const auto count = static_cast<size_t>(width * height);
  GREGALE_CHECK(pixels.size() == 3 * count || pixels.size() == 4 * count, invalid_argument,
                "[encode_png] {} bytes for {} x {} pixels", pixels.size(), width, height);
  image.format = pixels.size() == 3 * count ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  return write(image, pixels.data(), nullptr);
}

std::string encode_png(std::span<const uint8_t> indices, int64_t width, int64_t height,
                       const std::array<Rgb, kPaletteSize>& palette) {
  png_image image = make_image(width, height);
  GREGALE_CHECK(indices.size() == static_cast<size_t>(width * height), invalid_argument,
                "[encode_png] {} indices for {} x {} pixels", indices.size(), width, height);
  std::array<uint8_t, 3 * kPaletteSize> colours;
  for (size_t i = 0; i < palette.size(); ++i) {
    colours[3 * i] = palette[i].r;
    colours[3 * i + 1] = palette[i].g;
    colours[3 * i + 2] = palette[i].b;
  }
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = kPaletteSize;
  return write(image, indices.data(), colours.data());
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t left = bytes.size() - i;
    uint32_t group = static_cast<uint8_t>(bytes[i]) << 16;
    if (left > 1) group |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + 1])) << 8;
    if (left > 2) group |= static_cast<uint8_t>(bytes[i + 2]);
    out += kDigits[group >> 18];
    out += kDigits[group >> 12 & 63];
    out += left > 1 ? kDigits[group >> 6 & 63] : '=';
    out += left > 2 ? kDigits[group & 63] : '=';
  }
  return out;
}

std::string png_data_uri(std::string_view png) { return "data:image/png;base64," + base64(png); }

}  // namespace gregale::report
