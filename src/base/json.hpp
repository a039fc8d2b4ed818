// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

/// The members of nlohmann::json are compiled once, in json.cpp, and not in every file that reads or writes JSON.
extern template class nlohmann::basic_json<>;
