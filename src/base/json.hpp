// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

/// The members of nlohmann::json are compiled once, in json.cpp, and not in every file that reads or writes JSON.
extern template class nlohmann::basic_json<>;

namespace gregale {

/// JSON on one line; bytes that are no UTF-8 become U+FFFD.
std::string json_text(const nlohmann::json& value);

}  // namespace gregale
