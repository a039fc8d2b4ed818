// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gregale {

/// Writes a whole file so that a reader sees the old bytes or the new ones, never a part: a temporary name beside it,
/// synced, renamed. What exists and is no regular file (/dev/null, a pipe) is written in place.
/// Throws ErrorCode::io with the path and the system's reason, and leaves nothing behind.
void write_file(const std::string& path, std::string_view bytes);

}  // namespace gregale
