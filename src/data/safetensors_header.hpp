// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "data/safetensors.hpp"

namespace gregale::data {

/// The limit of the reference implementation.
inline constexpr int64_t kMaxSafetensorsHeader = 100'000'000;

/// Parses the JSON header and checks all of it that needs no file: names occur once, types are known, products do not
/// overflow, byte ranges fit their shapes, begin at 0, and follow each other without holes or overlap. data_bytes is
/// the end of the last one; data_offset is left 0. `path` is named in errors.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& path);

}  // namespace gregale::data
