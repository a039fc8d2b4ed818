// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "passes/tune_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "gregale/error.hpp"
#include "kernels/machine/machine.hpp"

namespace gregale::passes {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr size_t kMostMachines = 16;  // a home folder may be shared by many
constexpr size_t kMostGroups = 4096;  // of a machine
constexpr std::streamoff kMostBytes = 8 << 20;

void tell(const std::string& text) {
  if (log_enabled("tune")) log_line("tune", text);
}

/// The file's machines; nothing, and the reason, where there is something wrong with it. A missing file is an empty
/// one.
std::optional<Json> read_machines(const std::string& path, std::string* why) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return Json::object();
  // Anything but a file is left alone: opening a pipe would wait for its writer.
  *why = "not a file";
  if (!std::filesystem::is_regular_file(status)) return {};
  std::ifstream file(path, std::ios::binary);
  *why = "cannot be read";
  if (!file) return {};
  std::string text(static_cast<size_t>(kMostBytes), '\0');
  file.read(text.data(), kMostBytes);
  if (file.bad()) return {};
  *why = fmt::format("larger than {} bytes", kMostBytes);
  if (file.gcount() >= kMostBytes) return {};
  text.resize(static_cast<size_t>(file.gcount()));
  constexpr int kDepth = 3;  // what is nested deeper is dropped as it is read
  int deepest = 0;
  const Json document = Json::parse(
      text,
      [&deepest](int depth, Json::parse_event_t, Json&) {
        deepest = std::max(deepest, depth);
        return depth <= kDepth;
      },
      false);
  *why = "damaged";
  if (document.is_discarded() || deepest > kDepth || !document.is_object()) return {};
  const auto version = document.find("version");
  const auto machines = document.find("machines");
  if (version == document.end() || !version->is_number_integer() || *version != kVersion) return {};
  if (machines == document.end() || !machines->is_object()) return {};
  return *machines;
}

std::string name_of(const Target& t) {
  const CpuFeatures& f = t.features;
  return fmt::format("{}; {}{}{}{}; {} cores; {}, {}, {} bytes of cache; gregale {}", t.cpu, to_string(t.isa),
                     f.avx512_bf16 ? " bf16" : "", f.amx_bf16 ? " amx_bf16" : "", f.fast_bf16_dot ? " fast_dot" : "",
                     t.cores, t.l1_bytes, t.l2_bytes, t.l3_bytes, GREGALE_VERSION);
}

}  // namespace

TuneCache::TuneCache(std::string path, const Target& target) : path_(std::move(path)), machine_(name_of(target)) {
  if (path_.empty()) return;
  std::string why;
  const std::optional<Json> machines = read_machines(path_, &why);
  if (!machines) {
    tell(fmt::format("{} is ignored: {}", path_, why));
    return;
  }
  const auto mine = machines->find(machine_);
  if (mine == machines->end() || !mine->is_object()) return;
  size_t refused = 0;
  for (const auto& [group, value] : mine->items()) {
    if (known_.size() >= kMostGroups) break;
    if (!value.is_string()) {
      ++refused;
      continue;
    }
    Result<tile::ScheduleChoice> choice = tile::parse_schedule_choice(value.get<std::string>());
    refused += !choice;
    if (choice) known_[group] = choice.value();
  }
  if (refused > 0) tell(fmt::format("{}: {} entries are ignored, they are no schedules", path_, refused));
}

const tile::ScheduleChoice* TuneCache::find(const std::string& group) const {
  const auto found = known_.find(group);
  return found == known_.end() ? nullptr : &found->second;
}

void TuneCache::set(const std::string& group, const tile::ScheduleChoice& choice) {
  known_[group] = choice;
  fresh_[group] = choice;
}

void TuneCache::save() {
  if (path_.empty() || fresh_.empty()) return;
  try {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path folder = fs::path(path_).parent_path();
    if (!folder.empty()) fs::create_directories(folder, error);
    GREGALE_CHECK(!error, io, "{}: {}", folder.string(), error.message());
    const fs::file_status status = fs::status(path_, error);
    GREGALE_CHECK(!fs::exists(status) || fs::is_regular_file(status), io, "not a file");
    std::string why;
    Json machines = read_machines(path_, &why).value_or(Json::object());
    Json mine = Json::object();
    for (const auto& [group, choice] : fresh_) mine[group] = to_string(choice);
    // What others wrote meanwhile is kept; the new entries count first towards the bounds.
    if (const auto found = machines.find(machine_); found != machines.end() && found->is_object())
      for (const auto& [group, value] : found->items())
        if (mine.size() < kMostGroups && value.is_string() && !mine.contains(group)) mine[group] = value;
    Json kept = Json::object();
    kept[machine_] = std::move(mine);
    for (const auto& [name, groups] : machines.items())
      if (kept.size() < kMostMachines && !kept.contains(name) && groups.is_object()) kept[name] = groups;
    const Json document = {{"version", kVersion}, {"machines", std::move(kept)}};
    write_file(path_, document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    fresh_.clear();
  } catch (const Error& e) {
    tell(fmt::format("nothing is kept in {}: {}", path_, e.what()));
  }
}

std::string default_tune_cache() {
  const std::string machine = kernels::machine_cache_path();
  return machine.empty() ? "" : (std::filesystem::path(machine).parent_path() / "tune.json").string();
}

std::string hash_of_group(const std::string& text) {
  // FNV-1a.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

}  // namespace gregale::passes
