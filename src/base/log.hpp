// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace gregale {

/// Diagnostics by topic, for developers: GREGALE_LOG=kernels,passes (or `all`) in the environment lets the lines of
/// these topics through to standard error. Topics: kernels, passes, plan, data, ... Reads the environment at each call,
/// which costs some tens of nanoseconds; ask log_enabled before formatting.
bool log_enabled(std::string_view topic);
/// Writes "gregale/TOPIC: TEXT" whether or not the topic is enabled. Thread-safe.
void log_line(std::string_view topic, std::string_view text);

}  // namespace gregale
