// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gregale::onnx {

/// Code points of UTF-8; each byte that begins none stands for itself above the range of Unicode.
std::vector<uint32_t> code_points(std::string_view text);
std::string utf8_of(const std::vector<uint32_t>& points);
/// Of Latin, Greek and Cyrillic letters; others stay.
uint32_t upper_of(uint32_t point);
uint32_t lower_of(uint32_t point);

}  // namespace gregale::onnx
