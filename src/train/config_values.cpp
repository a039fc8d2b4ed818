// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/config_values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gregale::train {
namespace {

[[noreturn]] void bad(const YAML::Node& node) { throw BadValue{describe(node), ""}; }

/// Text of the user's, fit for one line of a message.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (char c : text.substr(0, 80)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  return out + (text.size() > 80 ? "...'" : "'");
}

template <class T>
bool whole_number(std::string_view text, T& value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// Year, month, day, hour, minute, second as far as they are given; empty where the text is no date. The forms are
/// those of grid::parse_date, which knows the calendar.
std::vector<int64_t> date_parts(std::string_view text) {
  static constexpr std::array<char, 5> kSeparators{'-', '-', 'T', ':', ':'};
  static constexpr std::array<std::pair<int64_t, int64_t>, 6> kBounds{
      {{-999999, 999999}, {1, 12}, {1, 31}, {0, 23}, {0, 59}, {0, 59}}};
  std::string iso(text);
  if (size_t blank = iso.find(' '); blank != std::string::npos) iso[blank] = 'T';
  if (iso.find('T') != std::string::npos && iso.back() == 'Z') iso.pop_back();
  text = iso;
  std::vector<int64_t> parts;
  size_t at = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    size_t end = i < kSeparators.size() ? text.find(kSeparators[i], i == 0 ? at + 1 : at) : std::string_view::npos;
    std::string_view piece = text.substr(at, end == std::string_view::npos ? end : end - at);
    int64_t value = 0;
    if (!whole_number(piece, value) || value < kBounds[i].first || value > kBounds[i].second) return {};
    if (i > 0 && piece.size() != 2) return {};
    parts.push_back(value);
    if (end == std::string_view::npos) return parts;
    at = end + 1;
  }
  return {};
}

std::string read_date(const YAML::Node& node) {
  if (!node.IsScalar()) bad(node);
  if (date_parts(node.Scalar()).empty())
    throw BadValue{
        "", "not a date: " + in_quotes(node.Scalar()) + " (dates are 1991, 1991-01, 1991-01-16 or 1991-01-16T20:00)"};
  return node.Scalar();
}

StaticSource parse_static_source(std::string text) {
  StaticSource source;
  if (size_t hash = text.rfind('#'); hash != std::string::npos) {
    source.as = text.substr(hash + 1);
    text.resize(hash);
  }
  size_t colon = text.rfind(':');
  if (colon != std::string::npos && text.find('/', colon) == std::string::npos) {
    source.path = text.substr(0, colon);
    source.variable = text.substr(colon + 1);
  } else if (text.find_first_of("./") != std::string::npos) {
    source.path = text;
  } else {
    source.variable = text;
  }
  return source;
}

bool is_plain(const std::string& text) {
  static const std::set<std::string> kWords{"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"};
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  auto part = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '-'; };
  auto first = [&](char c) { return letter(c) || c == '/' || (c >= '0' && c <= '9') || c == '.'; };
  return !text.empty() && first(text[0]) && std::all_of(text.begin(), text.end(), part) && !kWords.contains(text);
}

}  // namespace

std::string to_string(const TargetChoice& target) {
  switch (target.kind) {
    case TargetChoice::Kind::state:
      return "state";
    case TargetChoice::Kind::anomaly:
      return "anomaly";
    case TargetChoice::Kind::residual:
      break;
  }
  return "residual " + target.baseline;
}

std::string describe(const IntegerRange& range) {
  const IntegerRange any;
  if (range.least != any.least && range.most != any.most)
    return fmt::format("an integer from {} to {}", range.least, range.most);
  if (range.least != any.least) return fmt::format("an integer >= {}", range.least);
  return range.most != any.most ? fmt::format("an integer <= {}", range.most) : "an integer";
}

std::string describe(const NumberRange& range) {
  std::string text = "a number";
  if (std::isfinite(range.least)) text += fmt::format(" {} {}", range.least_excluded ? ">" : ">=", range.least);
  if (std::isfinite(range.least) && std::isfinite(range.most)) text += " and";
  if (std::isfinite(range.most)) text += fmt::format(" {} {}", range.most_excluded ? "<" : "<=", range.most);
  return text;
}

std::string describe(const YAML::Node& node) {
  if (node.IsScalar()) return in_quotes(node.Scalar());
  if (node.IsSequence()) return "a list";
  return node.IsMap() ? "a map" : "nothing";
}

int64_t read_integer(const YAML::Node& node, const IntegerRange& range) {
  int64_t value = 0;
  if (!node.IsScalar() || !whole_number(node.Scalar(), value) || value < range.least || value > range.most) bad(node);
  return value;
}

double read_number(const YAML::Node& node, const NumberRange& range) {
  double value = 0;
  if (!node.IsScalar() || !whole_number(node.Scalar(), value) || !std::isfinite(value)) bad(node);
  if (value < range.least || value > range.most || (range.least_excluded && value == range.least) ||
      (range.most_excluded && value == range.most))
    bad(node);
  return value;
}

bool read_boolean(const YAML::Node& node) {
  if (!node.IsScalar() || (node.Scalar() != "true" && node.Scalar() != "false")) bad(node);
  return node.Scalar() == "true";
}

std::string read_text(const YAML::Node& node) {
  if (!node.IsScalar() || node.Scalar().empty()) bad(node);
  return node.Scalar();
}

std::string read_choice(const YAML::Node& node, const std::vector<std::string>& choices) {
  if (!node.IsScalar() || std::find(choices.begin(), choices.end(), node.Scalar()) == choices.end()) bad(node);
  return node.Scalar();
}

std::vector<std::string> read_texts(const YAML::Node& node) {
  if (!node.IsSequence()) return {read_text(node)};
  if (node.size() == 0) throw BadValue{"an empty list", ""};
  std::vector<std::string> texts;
  for (const YAML::Node& item : node) {
    std::string text = read_text(item);
    if (std::find(texts.begin(), texts.end(), text) != texts.end())
      throw BadValue{"", in_quotes(text) + " is given twice"};
    texts.push_back(std::move(text));
  }
  return texts;
}

data::DateRange read_dates(const YAML::Node& node) {
  data::DateRange dates;
  if (node.IsScalar()) {
    dates.first = dates.last = read_date(node);
    return dates;
  }
  if (!node.IsSequence()) bad(node);
  if (node.size() != 2) throw BadValue{fmt::format("a list of {}", node.size()), ""};
  dates.first = read_date(node[0]);
  dates.last = read_date(node[1]);
  // `1982` to `1982-06` is in order: only what both give is compared.
  std::vector<int64_t> first = date_parts(dates.first);
  std::vector<int64_t> last = date_parts(dates.last);
  size_t common = std::min(first.size(), last.size());
  first.resize(common);
  last.resize(common);
  if (last < first) throw BadValue{"", fmt::format("{} is after {}", dates.first, dates.last)};
  return dates;
}

std::vector<StaticSource> read_static_sources(const YAML::Node& node) {
  std::vector<StaticSource> sources;
  auto add = [&](const YAML::Node& item) {
    StaticSource source;
    if (item.IsMap()) {
      std::set<std::string> seen;
      for (const auto& pair : item) {
        std::string key = pair.first.IsScalar() ? pair.first.Scalar() : "";
        if (!seen.insert(key).second) throw BadValue{"", in_quotes(key) + " is given twice"};
        if (key == "path") {
          source.path = read_text(pair.second);
        } else if (key == "variable") {
          source.variable = read_text(pair.second);
        } else if (key == "as") {
          source.as = read_text(pair.second);
        } else {
          throw BadValue{"", "unknown key " + in_quotes(key) + " (a static field has path, variable and as)"};
        }
      }
    } else {
      source = parse_static_source(read_text(item));
    }
    if (source.path.empty() && source.variable.empty())
      throw BadValue{"", "a static field needs a path, a variable, or both"};
    if (!source.as.empty() && source.as != "orography" && source.as != "land")
      throw BadValue{"", "as: expected orography or land, got " + in_quotes(source.as)};
    if (std::find(sources.begin(), sources.end(), source) != sources.end())
      throw BadValue{"", "the same static field is given twice"};
    sources.push_back(std::move(source));
  };
  if (!node.IsSequence()) {
    add(node);
  } else {
    for (const YAML::Node& item : node) add(item);
  }
  return sources;
}

TargetChoice read_target(const YAML::Node& node, const std::vector<std::string>& baselines) {
  std::string baseline;
  if (node.IsMap()) {
    if (node.size() != 1 || !node.begin()->first.IsScalar() || node.begin()->first.Scalar() != "residual") bad(node);
    YAML::Node named = node.begin()->second;
    if (!named.IsScalar()) bad(named);
    baseline = named.Scalar();
  } else {
    std::string text = read_text(node);
    if (text == "state") return {};
    if (text == "anomaly") return {TargetChoice::Kind::anomaly, ""};
    if (text.rfind("residual ", 0) != 0) bad(node);
    baseline = text.substr(text.find_first_not_of(' ', 9) == std::string::npos ? 9 : text.find_first_not_of(' ', 9));
  }
  if (std::find(baselines.begin(), baselines.end(), baseline) == baselines.end())
    throw BadValue{
        "", fmt::format("expected a residual on one of {}, got {}", fmt::join(baselines, ", "), in_quotes(baseline))};
  return {TargetChoice::Kind::residual, baseline};
}

int64_t read_activation_bits(const YAML::Node& node) {
  if (node.IsScalar() && node.Scalar() == "auto") return kAutoBits;
  return read_integer(node, {.least = 1, .most = 8});
}

Json activation_bits_text(int64_t bits) { return bits == kAutoBits ? Json("auto") : Json(bits); }

double read_moments(const YAML::Node& node) {
  if (node.IsScalar() && node.Scalar() == "exact") return 0;
  if (!node.IsMap() || node.size() != 1 || !node.begin()->first.IsScalar() || node.begin()->first.Scalar() != "rel")
    bad(node);
  return read_number(node.begin()->second, {.least = kLeastMoments, .most = kMostMoments});
}

Json moments_json(double bound) { return bound == 0 ? Json("exact") : Json{{"rel", bound}}; }

namespace {
constexpr std::array<std::pair<const char*, int64_t>, 14> kUnits{{{"", 1},
                                                                  {"B", 1},
                                                                  {"kB", 1000},
                                                                  {"KB", 1000},
                                                                  {"MB", 1000'000},
                                                                  {"GB", 1000'000'000},
                                                                  {"TB", 1000'000'000'000},
                                                                  {"KiB", int64_t{1} << 10},
                                                                  {"MiB", int64_t{1} << 20},
                                                                  {"GiB", int64_t{1} << 30},
                                                                  {"TiB", int64_t{1} << 40},
                                                                  {"M", int64_t{1} << 20},
                                                                  {"G", int64_t{1} << 30},
                                                                  {"T", int64_t{1} << 40}}};
}  // namespace

std::optional<int64_t> parse_size(const std::string& text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  std::string unit(static_cast<const char*>(end), text.data() + text.size());
  if (unit.rfind(' ', 0) == 0) unit.erase(0, 1);
  if (error != std::errc() || !std::isfinite(value)) return {};
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double bytes = value * static_cast<double>(factor);
    if (!(bytes >= 1) || bytes > 1e18) return {};
    return std::llround(bytes);
  }
  return {};
}

int64_t read_size(const YAML::Node& node) {
  if (!node.IsScalar()) bad(node);
  const std::optional<int64_t> bytes = parse_size(node.Scalar());
  if (!bytes) bad(node);
  return *bytes;
}

std::string size_text(int64_t bytes) {
  for (const char* unit : {"TiB", "GiB", "MiB", "TB", "GB", "MB", "kB"}) {
    for (const auto& [name, factor] : kUnits) {
      // At most three decimals, so that the text is short and exact.
      if (std::string_view(name) == unit && bytes >= factor &&
          bytes % (factor % 1000 == 0 ? factor / 1000 : factor) == 0)
        return fmt::format("{}{}", static_cast<double>(bytes) / static_cast<double>(factor), unit);
    }
  }
  return fmt::format("{}B", bytes);
}

Json to_json_value(const data::DateRange& dates) { return Json::array({dates.first, dates.last}); }

Json to_json_value(const std::vector<StaticSource>& sources) {
  Json list = Json::array();
  for (const StaticSource& source : sources) {
    Json item = Json::object();
    if (!source.path.empty()) item["path"] = source.path;
    if (!source.variable.empty()) item["variable"] = source.variable;
    if (!source.as.empty()) item["as"] = source.as;
    list.push_back(std::move(item));
  }
  return list;
}

Json to_json_value(const TargetChoice& target) {
  if (target.kind == TargetChoice::Kind::residual) return Json{{"residual", target.baseline}};
  return to_string(target);
}

std::string yaml_text(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return is_plain(text) ? text : value.dump();
  }
  std::vector<std::string> items;
  if (value.is_array()) {
    for (const Json& item : value) items.push_back(yaml_text(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) items.push_back(key + ": " + yaml_text(item));
    return fmt::format("{{{}}}", fmt::join(items, ", "));
  }
  return value.dump();
}

size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment; three rows suffice.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace gregale::train
