// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gregale/error.hpp"
#include "train/config_values.hpp"

namespace gregale::train {
namespace {

constexpr size_t kMaxFile = 1 << 20;  // a configuration is a page; a megabyte is a mistake

/// A key may be any text, lines and all; a message is one line.
[[noreturn]] void usage(std::string message) {
  for (char& c : message)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  throw_error(ErrorCode::usage, std::move(message));
}

const ConfigKey* find_key(std::string_view path) {
  for (const ConfigKey& key : config_table())
    if (key.path == path) return &key;
  return nullptr;
}

bool is_section(const std::string& path) {
  return std::any_of(config_table().begin(), config_table().end(),
                     [&](const ConfigKey& key) { return path.empty() || key.path.rfind(path + ".", 0) == 0; });
}

std::string_view last_part(std::string_view path) {
  size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

/// The known key or section that the user most likely meant.
std::string nearest_key(const std::string& path) {
  std::vector<std::string> candidates;
  for (const ConfigKey& key : config_table()) {
    candidates.push_back(key.path);
    for (size_t dot = key.path.find('.'); dot != std::string::npos; dot = key.path.find('.', dot + 1))
      candidates.push_back(key.path.substr(0, dot));
  }
  std::string best;
  size_t least = SIZE_MAX;
  for (const std::string& candidate : candidates) {
    size_t distance = edit_distance(path, candidate);
    size_t dots = static_cast<size_t>(std::count(candidate.begin(), candidate.end(), '.'));
    if (dots > 0) {
      // The right name in the wrong section is one mistake or two, however long the sections' names are; and
      // `batch_size` is `batch`, whatever its length says.
      std::string_view given = last_part(path), known = last_part(candidate);
      distance = std::min(distance, edit_distance(given, known) + 1 + dots);
      if (known.size() > 3 && given.find(known) != std::string_view::npos) distance = std::min(distance, 2 + dots);
    }
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

bool is_utf8(std::string_view text) {
  try {
    Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

class Builder {
 public:
  explicit Builder(RunConfig& config) : config_(config) {}

  /// `place` says where a value comes from; a node of the file adds its line.
  void apply(const std::string& path, const YAML::Node& node, const std::string& place, bool from_file) {
    if (const ConfigKey* key = find_key(path)) {
      read(*key, node, place);
      return;
    }
    if (!is_section(path)) usage(fmt::format("{}: unknown key; did you mean {}? ({})", path, nearest_key(path), place));
    if (node.IsNull()) return;  // a section without keys
    if (!node.IsMap())
      usage(
          fmt::format("{}expected a map of keys, got {} ({})", path.empty() ? "" : path + ": ", describe(node), place));
    std::map<std::string, std::string> seen;
    for (const auto& pair : node) {
      std::string here = from_file ? fmt::format("{} line {}", file_, pair.first.Mark().line + 1) : place;
      if (!pair.first.IsScalar()) usage(fmt::format("a key must be a name, not {} ({})", describe(pair.first), here));
      const std::string& name = pair.first.Scalar();
      std::string full = path.empty() ? name : path + "." + name;
      if (name.find('.') != std::string::npos)
        usage(fmt::format("{}: dots in a key: nest the maps instead, {}: (dots are for --set) ({})", full,
                          fmt::join(split(full), ": "), here));
      if (auto [first, fresh] = seen.emplace(name, here); !fresh)
        usage(fmt::format("{}: given twice ({} and {})", full, first->second, here));
      apply(full, pair.second, here, from_file);
    }
  }

  void apply_file(const YAML::Node& root, const std::string& name) {
    file_ = name;
    if (!root.IsNull()) apply("", root, name, true);
  }

  void apply_override(const std::string& text) {
    size_t equals = text.find('=');
    std::string path = text.substr(0, equals);
    if (equals == std::string::npos || path.empty()) usage(fmt::format("--set {}: expected key=value", text));
    if (!is_utf8(text)) usage(fmt::format("--set {}: not valid UTF-8", path));
    YAML::Node node;
    try {
      node = YAML::Load(text.substr(equals + 1));
    } catch (const YAML::Exception& error) {
      usage(fmt::format("--set {}: not a YAML value: {}", text, error.msg));
    }
    apply(path, node, "--set", false);
  }

  /// What can only be judged when everything has been read.
  void check_together(const std::string& name) const {
    for (const ConfigKey& key : config_table()) {
      if (key.required && !places_.contains(key.path))
        usage(fmt::format("{}: missing: {} ({})", key.path, key.meaning, name));
      const auto& [other, values] = key.only_for;
      if (other.empty() || !places_.contains(key.path)) continue;
      std::string chosen = find_key(other)->write(config_).get<std::string>();
      if (std::find(values.begin(), values.end(), chosen) == values.end())
        usage(fmt::format("{}: not a key of {} {} (only of {}) ({})", key.path, other, chosen, fmt::join(values, ", "),
                          places_.at(key.path)));
    }
    if (config_.model.name == "afno" && config_.model.width % config_.model.blocks != 0)
      usage(fmt::format("model.width: {} is not a multiple of model.blocks, {} ({})", config_.model.width,
                        config_.model.blocks,
                        places_.contains("model.width") ? place_of("model.width") : place_of("model.blocks")));
  }

 private:
  static std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> parts;
    size_t at = 0;
    for (size_t dot; (dot = path.find('.', at)) != std::string::npos; at = dot + 1)
      parts.push_back(path.substr(at, dot - at));
    parts.push_back(path.substr(at));
    return parts;
  }
  std::string place_of(const std::string& path) const {
    auto place = places_.find(path);
    return place == places_.end() ? "default" : place->second;
  }
  void read(const ConfigKey& key, const YAML::Node& node, const std::string& place) {
    try {
      key.read(config_, node);
    } catch (const BadValue& bad) {
      usage(bad.message.empty() ? fmt::format("{}: expected {}, got {} ({})", key.path, key.expected, bad.got, place)
                                : fmt::format("{}: {} ({})", key.path, bad.message, place));
    }
    places_[key.path] = place;
  }

  RunConfig& config_;
  std::string file_;
  std::map<std::string, std::string> places_;  // of every key given, where
};

bool is_used(const ConfigKey& key, const RunConfig& config) {
  const auto& [other, values] = key.only_for;
  return other.empty() ||
         std::find(values.begin(), values.end(), find_key(other)->write(config).get<std::string>()) != values.end();
}

}  // namespace

RunConfig parse_config(std::string_view yaml, const std::string& name, const std::string& folder,
                       const std::vector<std::string>& overrides) {
  if (yaml.size() > kMaxFile) usage(fmt::format("{}: {} bytes are too many for a configuration", name, yaml.size()));
  if (!is_utf8(yaml)) usage(fmt::format("{}: not text (it is not valid UTF-8)", name));
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(yaml));
  } catch (const YAML::Exception& error) {
    usage(fmt::format("{}: not valid YAML: {} (line {})", name, error.msg, error.mark.line + 1));
  }
  if (documents.size() > 1) usage(fmt::format("{}: {} YAML documents; expected one", name, documents.size()));
  RunConfig config;
  config.folder = folder;
  Builder builder(config);
  if (!documents.empty()) builder.apply_file(documents[0], name);
  for (const std::string& text : overrides) builder.apply_override(text);
  builder.check_together(name);
  return config;
}

RunConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  GREGALE_CHECK(fs::exists(status), io, "no such file: {}", path);
  GREGALE_CHECK(!fs::is_directory(status), io, "{} is a directory; expected a YAML file", path);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  GREGALE_CHECK(file != nullptr, io, "cannot read {}: {}", path, std::strerror(errno));
  std::string text(kMaxFile + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  GREGALE_CHECK(!std::ferror(file.get()), io, "cannot read {}: {}", path, std::strerror(errno));
  return parse_config(text, fs::path(path).filename().string(), fs::path(path).parent_path().string(), overrides);
}

std::string print_config(const RunConfig& config) {
  const RunConfig defaults;
  std::string text = "# The whole configuration of a training run: every key with its meaning, range and default.\n";
  std::vector<std::string> open;  // the sections the last key is in
  for (const ConfigKey& key : config_table()) {
    std::vector<std::string> sections;
    for (size_t at = 0, dot; (dot = key.path.find('.', at)) != std::string::npos; at = dot + 1)
      sections.push_back(key.path.substr(at, dot - at));
    size_t common = 0;
    while (common < open.size() && common < sections.size() && open[common] == sections[common]) ++common;
    for (size_t i = common; i < sections.size(); ++i)
      text += fmt::format("{}{}{}:\n", i == 0 ? "\n" : "", std::string(2 * i, ' '), sections[i]);
    open = sections;
    std::string indent(2 * sections.size(), ' ');
    bool used = is_used(key, config);
    std::string note = key.required ? "required" : "default " + yaml_text(key.write(defaults));
    if (!key.only_for.first.empty())
      note += fmt::format("; only for {} {}", key.only_for.first, fmt::join(key.only_for.second, ", "));
    text += fmt::format("{}# {} ({}; {})\n", indent, key.meaning, key.expected, note);
    text += fmt::format("{}{}{}: {}\n", indent, used ? "" : "# ", last_part(key.path), yaml_text(key.write(config)));
  }
  return text;
}

nlohmann::json config_to_json(const RunConfig& config) {
  nlohmann::json json = nlohmann::json::object();
  for (const ConfigKey& key : config_table()) {
    if (!is_used(key, config)) continue;
    std::string pointer = "/" + key.path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    json[nlohmann::json::json_pointer(pointer)] = nlohmann::json(key.write(config));
  }
  return json;
}

RunConfig config_from_json(const nlohmann::json& json, const std::string& name, const std::string& folder) {
  try {
    // JSON is YAML, so one reader serves both.
    return parse_config(json.dump(1), name, folder);
  } catch (const nlohmann::json::exception& error) {
    throw_error(ErrorCode::corrupt_data, fmt::format("{}: bad configuration: {}", name, error.what()));
  } catch (const Error& error) {
    throw_error(ErrorCode::corrupt_data, fmt::format("{}: bad configuration: {}", name, error.message()));
  }
}

std::string resolve_path(const RunConfig& config, const std::string& path) {
  return (std::filesystem::path(config.folder) / path).string();  // an absolute path stays itself
}

}  // namespace gregale::train
