// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
// The document of `gregale machine --json` and the cache, which holds such documents:
// {"version": 2, "machines": [newest first]}.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "base/file.hpp"
#include "base/json.hpp"
#include "gregale/error.hpp"
#include "kernels/machine/machine.hpp"

namespace gregale::kernels {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 2;           // 1 knew no tile unit
constexpr size_t kMostMachines = 16;  // a home folder may be shared by many
constexpr std::streamoff kMostBytes = 1 << 20;

Json rate_json(const Rate& rate) { return {{"one_thread", rate.one_thread}, {"all_threads", rate.all_threads}}; }
Json rate_json(const std::optional<Rate>& rate) {
  if (rate) return rate_json(*rate);
  return {{"one_thread", nullptr}, {"all_threads", nullptr}};
}

/// The value of a key; a null document where there is none.
const Json& member(const Json& object, const char* key) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(key);
  return found == object.end() ? kNone : *found;
}

/// Reads values, and remembers whether all of them were possible.
struct Reader {
  bool good = true;

  double positive(const Json& value) {
    const double x = value.is_number() ? value.get<double>() : 0;
    if (!(x > 0) || !std::isfinite(x)) good = false;
    return x;
  }
  int64_t integer(const Json& value, int64_t least, int64_t most) {
    // An unsigned number above the largest int64_t would wrap: doubles decide first.
    const bool in_range = value.is_number_integer() && value.get<double>() >= static_cast<double>(least) &&
                          value.get<double>() <= static_cast<double>(most);
    if (!in_range) good = false;
    return in_range ? value.get<int64_t>() : least;
  }
  std::string text(const Json& value) {
    if (!value.is_string()) good = false;
    return value.is_string() ? value.get<std::string>() : "";
  }
  Rate rate(const Json& value) {
    return {positive(member(value, "one_thread")), positive(member(value, "all_threads"))};
  }
  std::optional<Rate> optional_rate(const Json& value) {
    if (value.is_object() && member(value, "one_thread").is_null() && member(value, "all_threads").is_null()) return {};
    return rate(value);
  }
};

constexpr int64_t kMostSize = int64_t{1} << 50;

bool same_machine(const Machine& a, const Target& target, int threads) {
  const Target& b = a.target;
  return b.cpu == target.cpu && b.cores == target.cores && b.isa == target.isa && b.l1_bytes == target.l1_bytes &&
         b.l2_bytes == target.l2_bytes && b.l3_bytes == target.l3_bytes && a.threads == threads;
}

/// What can be read of a cache; never throws for what is in it.
std::vector<Machine> read_cache(const std::string& path) {
  std::vector<Machine> machines;
  std::error_code error;
  // Anything but a file is left alone: opening a pipe would wait for its writer.
  if (path.empty() || !std::filesystem::is_regular_file(path, error)) return machines;
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<size_t>(kMostBytes), '\0');
  file.read(text.data(), kMostBytes);
  if (file.bad() || (!file && !file.eof()) || file.gcount() >= kMostBytes) return machines;
  text.resize(static_cast<size_t>(file.gcount()));
  const Json document = Json::parse(text, nullptr, false);
  const Json& version = member(document, "version");
  if (!version.is_number_integer() || version != kVersion) return machines;
  const Json& list = member(document, "machines");
  if (!list.is_array()) return machines;
  for (const Json& entry : list) {
    if (machines.size() == kMostMachines) break;
    if (auto machine = machine_from_json(entry)) machines.push_back(std::move(*machine));
  }
  return machines;
}

}  // namespace

Json to_json(const Machine& m) {
  const Target& t = m.target;
  return {
      {"cpu", t.cpu},
      {"isa", to_string(t.isa)},
      {"cores", t.cores},
      {"threads", m.threads},
      {"cache_bytes", {{"l1", t.l1_bytes}, {"l2", t.l2_bytes}, {"l3", t.l3_bytes}}},
      {"peak_gflops", {{"fp32", rate_json(m.fp32)}, {"bf16", rate_json(m.bf16)}, {"int8", rate_json(m.int8)}}},
      {"read_gbs", {{"l1", rate_json(m.read_l1)}, {"l2", rate_json(m.read_l2)}, {"memory", rate_json(m.read_memory)}}},
      {"copy_gbs", rate_json(m.copy)},
      {"copy_nt_gbs", m.copy_nt ? Json(*m.copy_nt) : Json()},
      {"working_set_bytes", {{"l1", m.l1_set}, {"l2", m.l2_set}, {"memory", m.memory_set}}},
      {"rounds", m.rounds},
      {"noise", m.noise},
      {"reasons", m.reasons}};
}

std::optional<Machine> machine_from_json(const Json& document) {
  Reader read;
  Machine m;
  Target& t = m.target;
  t.cpu = read.text(member(document, "cpu"));
  const std::string isa = read.text(member(document, "isa"));
  bool known = false;
  for (const Isa one : {Isa::reference, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (isa != to_string(one)) continue;
    t.isa = one;
    known = true;
  }
  t.cores = static_cast<int>(read.integer(member(document, "cores"), 1, 1 << 20));
  m.threads = static_cast<int>(read.integer(member(document, "threads"), 1, 1 << 20));
  const Json& caches = member(document, "cache_bytes");
  t.l1_bytes = read.integer(member(caches, "l1"), 0, kMostSize);
  t.l2_bytes = read.integer(member(caches, "l2"), 0, kMostSize);
  t.l3_bytes = read.integer(member(caches, "l3"), 0, kMostSize);
  const Json& peak = member(document, "peak_gflops");
  m.fp32 = read.rate(member(peak, "fp32"));
  m.bf16 = read.optional_rate(member(peak, "bf16"));
  m.int8 = read.optional_rate(member(peak, "int8"));
  const Json& reads = member(document, "read_gbs");
  m.read_l1 = read.rate(member(reads, "l1"));
  m.read_l2 = read.rate(member(reads, "l2"));
  m.read_memory = read.rate(member(reads, "memory"));
  m.copy = read.rate(member(document, "copy_gbs"));
  const Json& copy_nt = member(document, "copy_nt_gbs");
  if (!copy_nt.is_null()) m.copy_nt = read.positive(copy_nt);
  const Json& sets = member(document, "working_set_bytes");
  m.l1_set = read.integer(member(sets, "l1"), 1, kMostSize);
  m.l2_set = read.integer(member(sets, "l2"), 1, kMostSize);
  m.memory_set = read.integer(member(sets, "memory"), 1, kMostSize);
  m.rounds = static_cast<int>(read.integer(member(document, "rounds"), 1, 1 << 20));
  const Json& noise = member(document, "noise");
  if (!noise.is_number() || !(noise.get<double>() >= 0)) return {};
  m.noise = noise.get<double>();
  const Json& reasons = member(document, "reasons");
  if (!reasons.is_object()) return {};
  for (const auto& [key, value] : reasons.items()) m.reasons[key] = read.text(value);
  if (!read.good || !known) return {};
  return m;
}

std::string machine_cache_path() {
  // The XDG base directory specification: a relative path is to be ignored.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/gregale/machine.json";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/gregale/machine.json";
  return "";
}

std::optional<Machine> load_machine(const std::string& path, const Target& target, int threads) {
  for (Machine& machine : read_cache(path)) {
    if (same_machine(machine, target, threads)) return std::move(machine);
  }
  return {};
}

void save_machine(const std::string& path, const Machine& machine) {
  namespace fs = std::filesystem;
  GREGALE_CHECK(!path.empty(), io, "no folder for the cache: neither XDG_CACHE_HOME nor HOME is an absolute path");
  std::error_code error;
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty()) fs::create_directories(folder, error);
  GREGALE_CHECK(!error, io, "cannot create {}: {}", folder.string(), error.message());
  const fs::file_status status = fs::status(path, error);
  GREGALE_CHECK(!fs::exists(status) || fs::is_regular_file(status), io, "cannot write {}: not a file", path);
  Json list = Json::array({to_json(machine)});
  for (const Machine& other : read_cache(path)) {
    if (list.size() == kMostMachines) break;
    if (!same_machine(other, machine.target, machine.threads)) list.push_back(to_json(other));
  }
  const Json document = {{"version", kVersion}, {"machines", std::move(list)}};
  write_file(path, document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace gregale::kernels
