// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "base/json.hpp"
#include "train/config.hpp"

namespace gregale::train {

/// Values of configuration keys: from YAML nodes, to JSON, and in words.

using Json = nlohmann::ordered_json;

/// Thrown by the readers; the caller adds key, expectation and place.
struct BadValue {
  std::string got;      ///< "'x'", "a list"
  std::string message;  ///< where not empty: the whole reason, instead of "expected ..., got ..."
};

/// Without a limit of their own, integers stay below a million million, so that sums and small products do not
/// overflow.
inline constexpr int64_t kNoLimit = 1'000'000'000'000;
struct IntegerRange {
  int64_t least = -kNoLimit;
  int64_t most = kNoLimit;
};
struct NumberRange {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool least_excluded = false;
  bool most_excluded = false;
};
std::string describe(const IntegerRange& range);  ///< "an integer >= 1"
std::string describe(const NumberRange& range);   ///< "a number >= 0 and < 1"
std::string describe(const YAML::Node& node);     ///< what is there: "'x'", "a list", "a map", "nothing"

int64_t read_integer(const YAML::Node& node, const IntegerRange& range);
double read_number(const YAML::Node& node, const NumberRange& range);
bool read_boolean(const YAML::Node& node);
std::string read_text(const YAML::Node& node);  ///< not empty
std::string read_choice(const YAML::Node& node, const std::vector<std::string>& choices);
/// A list of texts, each once; a single text is a list of one.
std::vector<std::string> read_texts(const YAML::Node& node);
/// Two dates, or one that stands for both. Syntax and order only: the calendar is the data's.
data::DateRange read_dates(const YAML::Node& node);
std::vector<StaticSource> read_static_sources(const YAML::Node& node);
int64_t read_activation_bits(const YAML::Node& node);  ///< kAutoBits for "auto"
Json activation_bits_text(int64_t bits);
double read_moments(const YAML::Node& node);  ///< 0 for "exact"; the number of {rel: NUMBER}
Json moments_json(double bound);
TargetChoice read_target(const YAML::Node& node, const std::vector<std::string>& baselines);
/// "1.5GB", "800 MiB", "4096": bytes. kB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB (and K, M, G, T) of 1024.
int64_t read_size(const YAML::Node& node);
/// A size such as 1.5GB in bytes; nothing where it is none.
std::optional<int64_t> parse_size(const std::string& text);
std::string size_text(int64_t bytes);  ///< what read_size reads back exactly

Json to_json_value(const data::DateRange& dates);
Json to_json_value(const std::vector<StaticSource>& sources);
Json to_json_value(const TargetChoice& target);
template <class T>
Json to_json_value(const T& value) {
  return value;
}

/// A value as YAML in flow style on one line: `[U, V]`, `{residual: damped_local}`, `"a: b"`.
std::string yaml_text(const Json& value);

/// Edits (insert, delete, replace, swap neighbours) that turn one text into the other.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace gregale::train
