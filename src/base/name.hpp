// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace gregale {

/// Names of dims, components and mesh axes: a letter or _, then letters, digits, _ and dots; ASCII, whatever the
/// locale.
inline constexpr size_t kMaxNameLength = 128;
inline bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
inline bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9') || c == '.'; }
bool is_name(std::string_view text);

}  // namespace gregale
