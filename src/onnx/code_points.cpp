// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "onnx/code_points.hpp"

namespace gregale::onnx {
namespace {

constexpr uint32_t kBytes = 0x200000;  // a byte b that is no UTF-8 is kBytes + b

/// The distance to the other case of an upper-case letter; 0 for what is none.
uint32_t distance(uint32_t upper) {
  const auto within = [&](uint32_t from, uint32_t to) { return upper >= from && upper <= to; };
  if (within('A', 'Z') || (within(0xC0, 0xDE) && upper != 0xD7)) return 32;
  if (within(0x391, 0x3A9) && upper != 0x3A2) return 32;  // Greek
  if (within(0x410, 0x42F)) return 32;                    // Cyrillic
  if (within(0x400, 0x40F)) return 80;
  // Pairs of neighbours: Latin Extended-A, more Cyrillic, Latin Extended Additional.
  if ((within(0x100, 0x137) && upper != 0x130) || within(0x14A, 0x177) || within(0x460, 0x481) ||
      within(0x48A, 0x4BF) || within(0x4D0, 0x52F) || within(0x1E00, 0x1E95) || within(0x1EA0, 0x1EFF))
    return upper % 2 == 0 ? 1 : 0;
  if (within(0x139, 0x148) || within(0x179, 0x17E)) return upper % 2 == 1 ? 1 : 0;
  return 0;
}

}  // namespace

uint32_t lower_of(uint32_t point) { return point + distance(point); }

uint32_t upper_of(uint32_t point) {
  for (const uint32_t d : {1U, 32U, 80U})
    if (point >= d && distance(point - d) == d) return point - d;
  return point == 0x3C2 ? 0x3A3 : point;  // a sigma that ends a word
}

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> points;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return static_cast<uint32_t>(static_cast<unsigned char>(text[k])); };
    const uint32_t first = byte(i);
    const size_t length = first < 0x80 ? 1 : first >= 0xF0 && first < 0xF8 ? 4 : first >= 0xE0 && first < 0xF0 ? 3 : 2;
    uint32_t point = length == 1 ? first : first & (0xFFU >> (length + 1));
    bool valid = first < 0x80 || (first >= 0xC2 && first < 0xF5 && i + length <= text.size());
    for (size_t k = 1; valid && k < length; ++k) {
      valid = (byte(i + k) & 0xC0) == 0x80;
      point = point << 6 | (byte(i + k) & 0x3F);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    valid = valid && point >= kLeast[length] && point <= 0x10FFFF;
    points.push_back(valid ? point : kBytes + first);
    i += valid ? length : 1;
  }
  return points;
}

std::string utf8_of(const std::vector<uint32_t>& points) {
  std::string text;
  for (const uint32_t p : points) {
    const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
    if (p < 0x80 || p >= kBytes) {
      add(p & 0xFF);
    } else if (p < 0x800) {
      add(0xC0 | p >> 6), add(0x80 | (p & 0x3F));
    } else if (p < 0x10000) {
      add(0xE0 | p >> 12), add(0x80 | (p >> 6 & 0x3F)), add(0x80 | (p & 0x3F));
    } else {
      add(0xF0 | p >> 18), add(0x80 | (p >> 12 & 0x3F)), add(0x80 | (p >> 6 & 0x3F)), add(0x80 | (p & 0x3F));
    }
  }
  return text;
}

}  // namespace gregale::onnx
