// Copyright 2026 The Gregale authors
// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "gregale/error.hpp"

namespace gregale::train {
namespace {

/// The second has moments in fewer bytes, which programs that know the first alone refuse.
constexpr const char *kFormat = "gregale.checkpoint/1", *kPackedFormat = "gregale.checkpoint/2";
constexpr size_t kKept = 2;

const std::string& at(const data::Metadata& metadata, const char* key) {
  auto found = metadata.find(key);
  GREGALE_CHECK(found != metadata.end(), corrupt_data, "the metadata have no '{}'", key);
  return found->second;
}

Checkpoint read_checkpoint(const std::string& path) {
  data::Safetensors file = data::read_safetensors(path);
  Checkpoint c;
  try {
    const std::string& format = at(file.metadata, "format");
    GREGALE_CHECK(format == kFormat || format == kPackedFormat, corrupt_data, "{} is not a checkpoint", path);
    c.step = std::stoll(at(file.metadata, "step"));
    GREGALE_CHECK(c.step >= 0, corrupt_data, "step {}", c.step);
    c.config = nlohmann::json::parse(at(file.metadata, "config"));
    c.history = nlohmann::json::parse(at(file.metadata, "history"));
    c.fingerprint = at(file.metadata, "fingerprint");
    GREGALE_CHECK(c.config.is_object() && c.history.is_array(), corrupt_data, "configuration or history is damaged");
    if (file.metadata.contains("activations")) {
      c.activations = nlohmann::json::parse(at(file.metadata, "activations"));
      GREGALE_CHECK(c.activations.is_object(), corrupt_data, "bits of activations are damaged");
    }
    for (auto& [name, tensor] : file.tensors) c.state[name] = tensor;
    if (format == kPackedFormat) unpack_moments(c.state);
  } catch (const std::exception& e) {  // numbers and JSON out of shape
    throw Error(ErrorCode::corrupt_data, fmt::format("{}: {}", path, e.what()));
  }
  return c;
}

}  // namespace

std::string checkpoint_path(const std::string& folder, int64_t step) {
  return fmt::format("{}/checkpoint-{}.safetensors", folder, step);
}

std::vector<int64_t> checkpoint_steps(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::string prefix = "checkpoint-", suffix = ".safetensors";
    if (name.size() <= prefix.size() + suffix.size() || name.rfind(prefix, 0) != 0 ||
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
      continue;
    int64_t step = 0;
    const char* begin = name.data() + prefix.size();
    const char* end = name.data() + name.size() - suffix.size();
    const auto r = std::from_chars(begin, end, step);
    if (r.ec == std::errc() && r.ptr == end && step >= 0) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

MomentsCertificate write_checkpoint(const std::string& folder, const Checkpoint& c, const data::SinkFactory& open,
                                    double moments) {
  VariableValues state = c.state;
  MomentsCertificate certificate;
  if (moments > 0) certificate = pack_moments(state, moments);
  data::NamedTensors tensors;
  for (const auto& [name, tensor] : state) tensors[name] = tensor;
  const bool packed = certificate.tensors > certificate.exact;
  data::Metadata metadata{{"format", packed ? kPackedFormat : kFormat},
                          {"step", std::to_string(c.step)},
                          {"config", json_text(c.config)},
                          {"history", json_text(c.history)},
                          {"fingerprint", c.fingerprint}};
  if (!c.activations.is_null()) metadata["activations"] = json_text(c.activations);
  data::write_safetensors(checkpoint_path(folder, c.step), tensors, metadata, open);
  // Later ones were damaged, or this run would have begun there: they must not take the place of whole ones.
  std::vector<int64_t> steps = checkpoint_steps(folder);
  std::error_code ignored;
  for (; !steps.empty() && steps.back() > c.step; steps.pop_back())
    std::filesystem::remove(checkpoint_path(folder, steps.back()), ignored);
  for (size_t i = 0; i + kKept < steps.size(); ++i) std::filesystem::remove(checkpoint_path(folder, steps[i]), ignored);
  return certificate;
}

std::optional<FoundCheckpoint> find_checkpoint(const std::string& folder) {
  std::vector<int64_t> steps = checkpoint_steps(folder);
  FoundCheckpoint found;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      found.checkpoint = read_checkpoint(checkpoint_path(folder, *step));
      return found;
    } catch (const Error& e) {
      found.damaged.push_back(e.what());
    }
  }
  if (!found.damaged.empty())
    throw_error(ErrorCode::corrupt_data,
                fmt::format("no checkpoint in {} can be used: {}", folder, found.damaged.front()));
  return std::nullopt;
}

}  // namespace gregale::train
